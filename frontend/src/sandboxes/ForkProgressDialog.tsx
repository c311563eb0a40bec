import type { SandboxRow } from '../live/sandboxList';
import { useLiveOperation } from '../live/useLiveOperation';
import { Dialog } from '../ui/Dialog';
import { ProgressBar } from '../ui/ProgressBar';
import { forkProgress } from './forkProgress';
import { titleOf } from './titleOf';

interface Props {
  operationId: string;
  /** The ids of the children. */
  childIds: readonly string[];
  parent: SandboxRow;
  rows: readonly SandboxRow[];
  onClose: () => void;
}

/** How the children of a fork start. It goes on without this dialog. */
export function ForkProgressDialog({ operationId, childIds, parent, rows, onClose }: Props) {
  const { operation, problem } = useLiveOperation(operationId);
  const { running, failed, over, words, reasons } = forkProgress(childIds, rows);
  const refused = operation?.error?.message ?? problem?.message;
  const ended = over || refused !== undefined;
  return (
    <Dialog title={ended ? 'Forked' : 'Forking…'} onClose={onClose}>
      <ProgressBar label={`Fork of ${titleOf(parent)}`} done={running + failed} of={childIds.length}>
        {operation?.state === 'RUNNING' ? 'Keeping memory and disk for the children…' : words}
      </ProgressBar>
      <div className="field__error" role="alert">
        {[...(refused === undefined ? [] : [refused]), ...reasons].map((reason) => (
          <p key={reason}>{reason}</p>
        ))}
      </div>
      <div className="row-of-buttons">
        <button className={ended ? 'button button--primary' : 'button'} type="button" autoFocus onClick={onClose}>
          {ended ? 'Done' : 'Go on in the background'}
        </button>
      </div>
    </Dialog>
  );
}
