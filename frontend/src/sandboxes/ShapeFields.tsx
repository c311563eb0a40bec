import type { FormProblem } from '../api/formProblem';
import { Field } from '../ui/Field';
import { fixedBy, SHAPE, shapeHint, type ShapeField, type ShapeText, type TemplateChoice } from './shape';

const LABELS: Record<ShapeField, string> = { vcpus: 'vCPUs', memoryMb: 'Memory', diskSizeMb: 'Disk' };

interface Props {
  template: TemplateChoice | null;
  text: ShapeText;
  problems: FormProblem<ShapeField>;
  onChange: (text: ShapeText) => void;
}

/** How large a sandbox is to be, as far as its template leaves that open. */
export function ShapeFields({ template, text, problems, onChange }: Props) {
  return (
    <div className="field-row">
      {SHAPE.map((field) => {
        const fixed = fixedBy(template, field);
        return (
          <Field
            key={field}
            label={LABELS[field]}
            hint={shapeHint(template, field)}
            numeric
            readOnly={fixed !== null}
            value={fixed === null ? text[field] : String(fixed)}
            error={problems.of(field)}
            onChange={(value) => {
              onChange({ ...text, [field]: value });
            }}
          />
        );
      })}
    </div>
  );
}
