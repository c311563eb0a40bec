import type { ReactNode } from 'react';

import { CopyButton } from '../ui/CopyButton';
import { Dialog } from '../ui/Dialog';

interface Props {
  title: string;
  /** What it is called: "API key". */
  what: string;
  secret: string;
  children: ReactNode;
  onClose: () => void;
}

/** A secret that the server keeps no copy of: it is gone with this dialog. */
export function ShownOnce({ title, what, secret, children, onClose }: Props) {
  return (
    <Dialog title={title} onClose={onClose}>
      <p className="dialog__text">{children} It cannot be seen again.</p>
      <div className="secret">
        <code aria-label={what}>{secret}</code>
        <CopyButton text={secret} what={what} />
      </div>
      <div className="row-of-buttons">
        <button className="button button--primary" type="button" onClick={onClose}>
          Done
        </button>
      </div>
    </Dialog>
  );
}
