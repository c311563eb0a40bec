import type { TemplateChoicesQuery } from '../gql/graphql';
import { mebibytes } from '../ui/format';
import { wholeNumber } from './wholeNumber';

export type TemplateChoice = TemplateChoicesQuery['templates']['nodes'][number];

/** The parts of a sandbox's shape, as the API calls them. */
export const SHAPE = ['vcpus', 'memoryMb', 'diskSizeMb'] as const;
export type ShapeField = (typeof SHAPE)[number];
/** Each part as it was typed. */
export type ShapeText = Readonly<Record<ShapeField, string>>;

export const NO_SHAPE: ShapeText = { vcpus: '', memoryMb: '', diskSizeMb: '' };

const FIXED = 'Fixed by the template, which holds memory.';

/** What a template fixes of a field; null where it can be chosen, and while no template is known. */
export function fixedBy(template: TemplateChoice | null, field: ShapeField): number | null {
  return field === 'diskSizeMb' ? null : (template?.[field] ?? null);
}

/** What stands below a field of the shape. */
export function shapeHint(template: TemplateChoice | null, field: ShapeField): string {
  if (fixedBy(template, field) !== null) return FIXED;
  if (field === 'vcpus') return 'Virtual CPUs.';
  if (field === 'memoryMb' || !template) return 'In MiB.';
  return `In MiB; the template’s is ${mebibytes(template.diskSizeMb)}.`;
}

/** The shape to ask for: what the template fixes is left out. Gives the name of the first field that holds no number. */
export function shapeOf(template: TemplateChoice | null, text: ShapeText): Record<ShapeField, number | null> | ShapeField {
  const shape: Record<ShapeField, number | null> = { vcpus: null, memoryMb: null, diskSizeMb: null };
  for (const field of SHAPE) {
    const value = fixedBy(template, field) === null ? wholeNumber(text[field]) : null;
    if (value === undefined) return field;
    shape[field] = value;
  }
  return shape;
}

/** The templates as they are offered: the platform's first, then the team's, each by name; `base`, the default, at the top. */
export function offered(templates: readonly TemplateChoice[]): (readonly [string, string])[] {
  const rank = ({ isPlatform, name }: TemplateChoice): string => `${isPlatform ? 0 : 1} ${name === 'base' ? 0 : 1} ${name}`;
  return [...templates]
    .sort((a, b) => (rank(a) < rank(b) ? -1 : 1))
    .map((template) => [template.id, template.isPlatform ? `${template.name} (platform)` : template.name] as const);
}
