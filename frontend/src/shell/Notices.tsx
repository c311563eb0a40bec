import { createContext, use, useCallback, useMemo, useState, type ReactNode } from 'react';

import { Icon } from '../ui/Icon';

interface Notice {
  id: number;
  text: string;
}

interface NoticeControl {
  /** Shows what went wrong until somebody closes it. */
  warn: (text: string) => void;
  /** Says to screen readers what has just been done; those who see have seen it. */
  announce: (text: string) => void;
}

const SHOWN_AT_ONCE = 3;
const Context = createContext<NoticeControl | null>(null);

export function useNotices(): NoticeControl {
  const control = use(Context);
  if (!control) throw new Error('useNotices needs Notices around it');
  return control;
}

export function Notices({ children }: { children: ReactNode }) {
  const [notices, setNotices] = useState<readonly Notice[]>([]);
  const [announcement, announce] = useState('');

  const warn = useCallback((text: string) => {
    setNotices((shown) => [...shown.slice(1 - SHOWN_AT_ONCE), { id: (shown.at(-1)?.id ?? 0) + 1, text }]);
  }, []);
  const control = useMemo(() => ({ warn, announce }), [warn]);

  return (
    <Context value={control}>
      {children}
      <div className="notices" role="region" aria-label="Notices">
        {notices.map(({ id, text }) => (
          <div className="notice" role="alert" key={id}>
            <p>{text}</p>
            <button
              className="icon-button"
              type="button"
              aria-label="Dismiss"
              onClick={() => {
                setNotices((shown) => shown.filter((each) => each.id !== id));
              }}
            >
              <Icon name="close" />
            </button>
          </div>
        ))}
      </div>
      <p className="visually-hidden" role="status">
        {announcement}
      </p>
    </Context>
  );
}
