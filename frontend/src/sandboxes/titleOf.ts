import type { SandboxRow } from '../live/sandboxList';

/** How long the end of an id is that tells sandboxes apart; machines have it as their host name. */
const TELLING = 12;

/** What a sandbox is called here: its name, or the end of its id when it has none. */
export function titleOf({ id, name }: Pick<SandboxRow, 'id' | 'name'>): string {
  return name.trim() === '' ? `sb-${id.slice(-TELLING)}` : name;
}
