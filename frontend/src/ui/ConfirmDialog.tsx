import type { ReactNode } from 'react';

import { Dialog } from './Dialog';

interface Props {
  title: string;
  /** Whom or what it is about; the sentence goes on from there. */
  subject: string;
  confirm: string;
  children: ReactNode;
  onClose: () => void;
  onConfirm: () => void;
}

export function ConfirmDialog({ title, subject, confirm, children, onClose, onConfirm }: Props) {
  return (
    <Dialog title={title} onClose={onClose}>
      <p className="dialog__text">
        <strong className="dialog__subject">
          <bdi>{subject}</bdi>
        </strong>{' '}
        {children}
      </p>
      <div className="row-of-buttons">
        <button className="button" type="button" autoFocus onClick={onClose}>
          Cancel
        </button>
        <button className="button button--danger" type="button" onClick={onConfirm}>
          {confirm}
        </button>
      </div>
    </Dialog>
  );
}
