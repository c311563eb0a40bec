import type { SandboxRow } from '../live/sandboxList';
import { words } from '../ui/format';

/** Why a sandbox is in its state, when it is worth saying: a user's own command is not. */
export function why(sandbox: SandboxRow): string {
  const cause = sandbox.cause === 'USER' ? '' : words(sandbox.cause);
  return [cause, sandbox.detail].filter(Boolean).join(': ');
}
