import { useEffect, useId, useRef, useState, type KeyboardEvent, type SubmitEvent } from 'react';

import type { SandboxRow } from '../live/sandboxList';
import { Icon } from '../ui/Icon';
import { reasonAgainst } from './allowed';
import { RunOutput } from './RunOutput';
import { titleOf } from './titleOf';
import type { Runs } from './useRuns';

/** A line for the sandbox's shell, and what its commands said. The arrow keys bring earlier lines back. */
export function CommandBox({ sandbox, runs }: { sandbox: SandboxRow; runs: Runs }) {
  const [line, setLine] = useState('');
  const [back, setBack] = useState(0);
  const log = useRef<HTMLDivElement>(null);
  const hint = useId();
  const done = runs.of(sandbox.id);
  const reason = reasonAgainst(sandbox, 'EXEC');

  useEffect(() => {
    log.current?.scrollTo({ top: log.current.scrollHeight });
  }, [done]);

  function submit(event: SubmitEvent): void {
    event.preventDefault();
    if (reason !== null || line.trim() === '') return;
    runs.start(sandbox.id, line);
    setLine('');
    setBack(0);
  }

  function recall(event: KeyboardEvent): void {
    const step = event.key === 'ArrowUp' ? 1 : event.key === 'ArrowDown' ? -1 : 0;
    const next = Math.min(done.length, Math.max(0, back + step));
    if (step === 0 || next === back) return;
    event.preventDefault();
    setBack(next);
    setLine(done.at(-next)?.line ?? '');
    if (next === 0) setLine('');
  }

  return (
    <section className="terminal" aria-label="Commands">
      <div className="terminal__log" ref={log} role="log" aria-label="Output" tabIndex={0}>
        {done.length === 0 && <p className="terminal__empty">Output of your commands appears here.</p>}
        <ol>
          {done.map((run) => (
            <RunOutput key={run.id} run={run} />
          ))}
        </ol>
      </div>
      <form className="terminal__form" onSubmit={submit}>
        <span className="terminal__prompt" aria-hidden="true">
          $
        </span>
        <input
          className="terminal__input"
          type="text"
          aria-label={`Command for ${titleOf(sandbox)}`}
          aria-describedby={hint}
          autoComplete="off"
          autoCapitalize="off"
          spellCheck={false}
          placeholder={reason === null ? 'uname -a' : ''}
          value={line}
          onChange={(event) => {
            setLine(event.target.value);
          }}
          onKeyDown={recall}
        />
        <button className="terminal__run" type="submit" aria-disabled={reason !== null} aria-describedby={hint}>
          <Icon name="run" />
          Run
        </button>
      </form>
      <p className={reason === null ? 'visually-hidden' : 'terminal__hint'} id={hint}>
        {reason ?? 'Runs in the sandbox’s shell.'}
      </p>
    </section>
  );
}
