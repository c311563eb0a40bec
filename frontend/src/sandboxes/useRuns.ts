import { useCallback, useState } from 'react';
import { useClient } from 'urql';

import { firstProblem, problemOf, type Problem } from '../api/problem';
import type { RunCommandMutation } from '../gql/graphql';
import { RunCommand } from './documents';

export type ExecResult = NonNullable<RunCommandMutation['exec']['result']>;

/** One command that was sent to a sandbox, and what came of it. */
export interface Run {
  id: number;
  line: string;
  outcome: { status: 'running' } | { status: 'done'; result: ExecResult } | { status: 'refused'; problem: Problem };
}

/** Enough to scroll back; output can be a megabyte each. */
const KEPT_PER_SANDBOX = 50;

export interface Runs {
  of: (sandboxId: string) => readonly Run[];
  start: (sandboxId: string, line: string) => void;
  clear: (sandboxId: string) => void;
}

const NONE: readonly Run[] = [];
let lastId = 0;

/** The commands of this visit, by sandbox: closing the panel does not lose them, reloading the page does. */
export function useRuns(): Runs {
  const client = useClient();
  const [runs, setRuns] = useState<ReadonlyMap<string, readonly Run[]>>(new Map());

  const change = useCallback((sandboxId: string, next: (runs: readonly Run[]) => readonly Run[]) => {
    setRuns((all) => new Map(all).set(sandboxId, next(all.get(sandboxId) ?? NONE)));
  }, []);

  const start = useCallback(
    (sandboxId: string, line: string) => {
      const id = ++lastId;
      change(sandboxId, (of) => [...of.slice(1 - KEPT_PER_SANDBOX), { id, line, outcome: { status: 'running' } }]);
      void client
        .mutation(RunCommand, { sandboxId, shell: line })
        .toPromise()
        .then(({ data, error }) => {
          const problem = data ? firstProblem(data.exec.userErrors) : problemOf(error);
          const result = data?.exec.result;
          const outcome: Run['outcome'] = result
            ? { status: 'done', result }
            : { status: 'refused', problem: problem ?? problemOf(null) };
          change(sandboxId, (of) => of.map((run) => (run.id === id ? { ...run, outcome } : run)));
        });
    },
    [client, change],
  );

  const clear = useCallback(
    (sandboxId: string) => {
      change(sandboxId, (of) => of.filter((run) => run.outcome.status === 'running'));
    },
    [change],
  );

  return { of: (sandboxId) => runs.get(sandboxId) ?? NONE, start, clear };
}
