import { useCallback, useState } from 'react';
import { useClient } from 'urql';

import { firstProblem, problemOf } from '../api/problem';
import type { SandboxAction } from '../gql/graphql';
import type { SandboxRow } from '../live/sandboxList';
import { useNotices } from '../shell/Notices';
import type { IconName } from '../ui/Icon';
import { DeleteSandbox, PauseSandbox, ResumeSandbox, StartSandbox } from './documents';
import { titleOf } from './titleOf';

/** The commands that have a button. Whether and why not one can be used is for `allowedActions` to say. */
export const COMMANDS = {
  PAUSE: { label: 'Pause', icon: 'pause', done: 'paused', document: PauseSandbox },
  RESUME: { label: 'Resume', icon: 'resume', done: 'resumed', document: ResumeSandbox },
  START: { label: 'Start', icon: 'resume', done: 'started', document: StartSandbox },
  DELETE: { label: 'Delete', icon: 'delete', done: 'deleted', document: DeleteSandbox },
} as const satisfies Partial<Record<SandboxAction, { label: string; icon: IconName; done: string; document: unknown }>>;

export type Command = keyof typeof COMMANDS;
export const COMMAND_NAMES = Object.keys(COMMANDS) as Command[];

export interface Commands {
  /** The commands that were sent and not yet answered, as `<sandbox id> <command>`. */
  busy: ReadonlySet<string>;
  run: (sandbox: SandboxRow, command: Command) => void;
}

export const busyKey = (id: string, command: Command): string => `${id} ${command}`;

/** Sends commands and shows what went wrong. What they change arrives by the subscription, as it does for everybody else. */
export function useCommands(): Commands {
  const client = useClient();
  const { warn, announce } = useNotices();
  const [busy, setBusy] = useState<ReadonlySet<string>>(new Set());

  const run = useCallback(
    (sandbox: SandboxRow, command: Command) => {
      const { document, done, label } = COMMANDS[command];
      const key = busyKey(sandbox.id, command);
      setBusy((keys) => new Set(keys).add(key));
      void client
        .mutation(document, { id: sandbox.id })
        .toPromise()
        .then(({ data, error }) => {
          const problem = data ? firstProblem(data.outcome.userErrors) : problemOf(error);
          if (problem) warn(`${label} ${titleOf(sandbox)}: ${problem.message}`);
          else announce(`${titleOf(sandbox)} ${done}`);
          setBusy((keys) => new Set([...keys].filter((each) => each !== key)));
        });
    },
    [client, warn, announce],
  );

  return { busy, run };
}
