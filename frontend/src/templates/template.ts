import type { SourcesQuery, TemplatesQuery } from '../gql/graphql';
import { mebibytes } from '../ui/format';

export type Template = TemplatesQuery['templates']['nodes'][number];
export type Source = Extract<NonNullable<SourcesQuery['nodes'][number]>, { __typename: 'Sandbox' }>;

/** Why a template cannot be deleted now, in the server's words; null when it can. */
export function reasonAgainstDelete(template: Template): string | null {
  // there is one action, and one entry for it
  const [found] = template.allowedActions;
  if (found?.allowed) return null;
  return found?.reason ?? 'Nestbox does not offer this here.';
}

/** What sandboxes of it are: the parts that it fixes, and its disk. */
export function shapeWords({ vcpus, memoryMb, diskSizeMb }: Pick<Template, 'vcpus' | 'memoryMb' | 'diskSizeMb'>): string {
  const fixed = [vcpus !== null && `${vcpus} vCPU`, memoryMb !== null && mebibytes(memoryMb)];
  return [...fixed, `${mebibytes(diskSizeMb)} disk`].filter(Boolean).join(' · ');
}

/** The sandboxes that these templates were made of, each once. */
export function sourceIds(templates: readonly Pick<Template, 'sourceSandboxId'>[]): string[] {
  return [...new Set(templates.flatMap(({ sourceSandboxId }) => sourceSandboxId ?? []))];
}
