import { useEffect, useMemo, useReducer, useRef, useState } from 'react';

import type { Api } from '../api/client';
import { endsSession, type Problem } from '../api/problem';
import { attempt } from './attempt';
import { SandboxesLive } from './documents';
import { keepSubscribed } from './keepSubscribed';
import { applyEvent, EMPTY_LIST, inOrder, type SandboxEvent, type SandboxRow } from './sandboxList';

export type ConnectionState = 'connecting' | 'live' | 'reconnecting';

export interface LiveSandboxes {
  rows: readonly SandboxRow[];
  /** False until the first snapshot is here: an empty list before that means nothing. */
  loaded: boolean;
  truncated: boolean;
  connection: ConnectionState;
}

/** The team's sandboxes, alive by one subscription that goes on from its cursor whenever the connection comes back. */
export function useLiveSandboxes({ client, onConnected }: Api, onSessionEnd: (problem: Problem) => void): LiveSandboxes {
  const [list, dispatch] = useReducer(applyEvent, EMPTY_LIST);
  const [connection, setConnection] = useState<ConnectionState>('connecting');
  const cursor = useRef<string | null>(null);
  const sessionEnd = useRef(onSessionEnd);

  useEffect(() => {
    sessionEnd.current = onSessionEnd;
  }, [onSessionEnd]);

  useEffect(() => {
    const apply = (event: SandboxEvent): void => {
      cursor.current = event.cursor;
      dispatch(event);
    };
    return keepSubscribed({
      start: (heard, ended) =>
        attempt(
          client.subscription(SandboxesLive, { after: cursor.current }),
          ({ sandboxes }) => {
            apply(sandboxes);
            heard();
          },
          (problem) => {
            // the cursor is none of this database (any more): begin with a new snapshot
            if (problem?.code === 'INVALID') cursor.current = null;
            ended(problem);
          },
        ),
      onState: setConnection,
      isFatal: endsSession,
      onFatal: (problem) => {
        sessionEnd.current(problem);
      },
    });
  }, [client]);

  // a stream that goes on may have nothing to tell for long; that it was accepted is enough to be live
  useEffect(
    () =>
      onConnected(() => {
        setConnection((state) => (state === 'reconnecting' ? 'live' : state));
      }),
    [onConnected],
  );

  const rows = useMemo(() => inOrder(list), [list]);
  return { rows, loaded: list.cursor !== null, truncated: list.truncated, connection };
}
