import { useState, type SubmitEvent } from 'react';
import { useMutation } from 'urql';

import { formProblem } from '../api/formProblem';
import { firstProblem, problemOf, type Problem } from '../api/problem';
import { useAttempt } from '../api/useAttempt';
import { ChoiceField } from '../ui/ChoiceField';
import { Dialog } from '../ui/Dialog';
import { Field } from '../ui/Field';
import { FormButtons } from '../ui/FormButtons';
import { CreateSandbox } from './documents';
import { parseLabels } from './labels';
import { NO_SHAPE, offered, SHAPE, shapeOf } from './shape';
import { ShapeFields } from './ShapeFields';
import { useTemplateChoices } from './useTemplateChoices';
import { noWholeNumber } from './wholeNumber';

interface Props {
  onClose: () => void;
  onCreated: (id: string) => void;
}

/** Asks for a new sandbox and closes as soon as it is accepted: its row shows how it starts, and what came of it. */
export function CreateDialog({ onClose, onCreated }: Props) {
  const { templates, problem: noTemplates } = useTemplateChoices();
  const choices = offered(templates);
  const [chosen, setChosen] = useState<string | null>(null);
  const [name, setName] = useState('');
  const [labels, setLabels] = useState('');
  const [shapeText, setShapeText] = useState(NO_SHAPE);
  const [problem, setProblem] = useState<Problem | null>(null);
  const [{ fetching }, create] = useMutation(CreateSandbox);
  const attempt = useAttempt();
  // until somebody chooses, it is what the API takes when nothing is said
  const templateId = chosen ?? choices[0]?.[0] ?? null;
  const template = templates.find((each) => each.id === templateId) ?? null;

  async function submit(): Promise<void> {
    const shape = shapeOf(template, shapeText);
    if (typeof shape === 'string') {
      setProblem(noWholeNumber(shape));
      return;
    }
    const wanted = { name: name.trim() || null, labels: parseLabels(labels), templateId: chosen, ...shape };
    const { data, error } = await create({ input: { ...wanted, idempotencyKey: attempt.keyFor(wanted), waitSeconds: 0 } });
    const found = data ? firstProblem(data.createSandbox.userErrors) : problemOf(error);
    attempt.answered(found);
    setProblem(found);
    if (!found && data?.createSandbox.sandbox) onCreated(data.createSandbox.sandbox.id);
  }

  function onSubmit(event: SubmitEvent): void {
    event.preventDefault();
    if (!fetching) void submit();
  }

  const problems = formProblem(problem, ['name', 'labels', ...SHAPE]);
  return (
    <Dialog title="New sandbox" onClose={onClose}>
      <form onSubmit={onSubmit} noValidate>
        <Field
          label="Name"
          hint="Without one it is shown by its id."
          value={name}
          error={problems.of('name')}
          autoFocus
          onChange={setName}
        />
        <ChoiceField label="Template" value={templateId ?? ''} choices={choices} onChange={setChosen} />
        <ShapeFields template={template} text={shapeText} problems={problems} onChange={setShapeText} />
        <Field
          label="Labels"
          hint="key=value, separated by commas"
          value={labels}
          error={problems.of('labels')}
          onChange={setLabels}
        />
        <FormButtons
          send="Create"
          sending="Creating…"
          busy={fetching}
          problem={problems.rest ?? noTemplates?.message ?? null}
          onClose={onClose}
        />
      </form>
    </Dialog>
  );
}
