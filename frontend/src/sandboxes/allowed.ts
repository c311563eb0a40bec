import type { SandboxAction } from '../gql/graphql';
import type { SandboxRow } from '../live/sandboxList';

/** Why an action cannot be used now, in the server's words; null when it can. */
export function reasonAgainst(sandbox: SandboxRow, action: SandboxAction): string | null {
  const found = sandbox.allowedActions.find((each) => each.action === action);
  if (found?.allowed) return null;
  return found?.reason ?? 'Nestbox does not offer this here.';
}
