import { memo } from 'react';

import { duration } from '../ui/format';
import { terminalText } from './terminalText';
import type { ExecResult, Run } from './useRuns';

/** One command with its output, its exit code and how long it took. */
export const RunOutput = memo(function RunOutput({ run }: { run: Run }) {
  const { outcome } = run;
  return (
    <li className="run">
      <p className="run__line">
        <span aria-hidden="true">$ </span>
        <bdi>{run.line}</bdi>
      </p>
      {outcome.status === 'running' && <p className="run__verdict run__verdict--running">running…</p>}
      {outcome.status === 'refused' && <p className="run__verdict run__verdict--bad">{outcome.problem.message}</p>}
      {outcome.status === 'done' && <Done result={outcome.result} />}
    </li>
  );
});

function Done({ result }: { result: ExecResult }) {
  return (
    <>
      <Stream text={result.stdout} truncated={result.stdoutTruncated} name="stdout" />
      <Stream text={result.stderr} truncated={result.stderrTruncated} name="stderr" />
      <p className={result.exitCode === 0 ? 'run__verdict' : 'run__verdict run__verdict--bad'}>
        <span className="run__exit">{verdict(result)}</span> · {duration(result.durationMs)}
      </p>
    </>
  );
}

function Stream({ text, truncated, name }: { text: string; truncated: boolean; name: 'stdout' | 'stderr' }) {
  if (text === '' && !truncated) return null;
  return (
    <>
      <pre className={`run__stream run__stream--${name}`} aria-label={name}>
        {terminalText(text)}
      </pre>
      {truncated && <p className="run__cut">{name} was longer; this is its beginning</p>}
    </>
  );
}

function verdict(result: ExecResult): string {
  if (result.timedOut) return 'ended at its time limit';
  if (result.signal !== null) return `ended by signal ${result.signal}`;
  return `exit ${result.exitCode}`;
}
