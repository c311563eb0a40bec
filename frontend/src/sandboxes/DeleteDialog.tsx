import type { SandboxRow } from '../live/sandboxList';
import { Dialog } from '../ui/Dialog';
import { titleOf } from './titleOf';

interface Props {
  sandbox: SandboxRow;
  onClose: () => void;
  onConfirm: () => void;
}

export function DeleteDialog({ sandbox, onClose, onConfirm }: Props) {
  return (
    <Dialog title="Delete this sandbox?" onClose={onClose}>
      <p className="dialog__text">
        <strong className="dialog__subject">
          <bdi>{titleOf(sandbox)}</bdi>
        </strong>{' '}
        goes with its memory and its disk. There is no way back.
      </p>
      <div className="row-of-buttons">
        <button className="button" type="button" autoFocus onClick={onClose}>
          Keep it
        </button>
        <button className="button button--danger" type="button" onClick={onConfirm}>
          Delete
        </button>
      </div>
    </Dialog>
  );
}
