import { useId } from 'react';

import { Icon, type IconName } from './Icon';

interface Props {
  icon: IconName;
  label: string;
  /** What the button is for when several look the same: "Pause web-1". */
  description: string;
  /** Why it cannot be used now; null when it can. */
  reason: string | null;
  busy: boolean;
  withText: boolean;
  tone?: 'danger';
  onClick: () => void;
}

/** A button that, when it cannot be used, stays reachable and says why: on hover, on focus and to screen readers. */
export function ActionButton({ icon, label, description, reason, busy, withText, tone, onClick }: Props) {
  const tip = useId();
  const blocked = reason !== null || busy;
  const classes = ['action', withText ? 'action--text' : '', tone === 'danger' ? 'action--danger' : '', busy ? 'action--busy' : ''];
  return (
    <span className="tip-anchor">
      <button
        className={classes.filter(Boolean).join(' ')}
        type="button"
        aria-label={description}
        aria-disabled={blocked}
        aria-busy={busy}
        aria-describedby={reason === null ? undefined : tip}
        onClick={() => {
          if (!blocked) onClick();
        }}
      >
        <Icon name={icon} />
        {withText && <span aria-hidden="true">{label}</span>}
      </button>
      <span className="tip" role="tooltip" id={tip}>
        {reason ?? label}
      </span>
    </span>
  );
}
