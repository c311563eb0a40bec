import type { SandboxState } from '../gql/graphql';
import { words } from '../ui/format';

/** How a state looks. `moving` are those that end by themselves; their mark breathes. */
const TONES: Record<SandboxState, 'good' | 'rest' | 'moving' | 'bad' | 'off' | 'unknown'> = {
  PENDING: 'moving',
  STARTING: 'moving',
  RUNNING: 'good',
  PAUSING: 'moving',
  PAUSED: 'rest',
  RESUMING: 'moving',
  SNAPSHOTTING: 'moving',
  STOPPING: 'moving',
  STOPPED: 'off',
  FAILED: 'bad',
  DELETING: 'moving',
  DELETED: 'off',
  UNREACHABLE: 'unknown',
};

export function StateBadge({ state }: { state: SandboxState }) {
  return <span className={`badge badge--${TONES[state]}`}>{words(state)}</span>;
}
