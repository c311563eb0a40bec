import { useEffect, useState } from 'react';

import { Icon } from './Icon';

const SHOWN_MS = 1_500;

/** Copies `text`, and says so where the finger is and to screen readers. `what` is what it is called: "Copy id of web-1". */
export function CopyButton({ text, what }: { text: string; what: string }) {
  const [copied, setCopied] = useState<'yes' | 'no' | null>(null);

  useEffect(() => {
    if (copied === null) return;
    const timer = setTimeout(() => {
      setCopied(null);
    }, SHOWN_MS);
    return () => {
      clearTimeout(timer);
    };
  }, [copied]);

  return (
    <button
      className="copy"
      type="button"
      aria-label={`Copy ${what}`}
      title={`Copy ${what}`}
      onClick={() => {
        void copy(text).then((done) => {
          setCopied(done ? 'yes' : 'no');
        });
      }}
    >
      <Icon name={copied === 'yes' ? 'check' : 'copy'} />
      <span className="visually-hidden" role="status">
        {copied === 'yes' && 'Copied'}
        {copied === 'no' && 'This browser does not allow copying here'}
      </span>
    </button>
  );
}

/** False where the browser has no clipboard for this page: plain HTTP to another computer. */
async function copy(text: string): Promise<boolean> {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    return false;
  }
}
