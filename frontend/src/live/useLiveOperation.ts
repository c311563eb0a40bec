import { useEffect, useState } from 'react';
import { useClient } from 'urql';

import type { Problem } from '../api/problem';
import type { OperationLiveSubscription } from '../gql/graphql';
import { attempt } from './attempt';
import { OperationLive } from './documents';
import { keepSubscribed } from './keepSubscribed';

export type LiveOperation = Extract<OperationLiveSubscription['operation'], { operation: unknown }>['operation'];

export interface Watched {
  /** Null until it is known. */
  operation: LiveOperation | null;
  /** Why it is watched no more, though it may go on. */
  problem: Problem | null;
}

/** An operation as it goes on; its stream starts again after a lost connection, and ends with it. */
export function useLiveOperation(id: string): Watched {
  const client = useClient();
  const [operation, setOperation] = useState<LiveOperation | null>(null);
  const [problem, setProblem] = useState<Problem | null>(null);

  useEffect(() => {
    let finished = false;
    return keepSubscribed({
      start: (heard, ended) =>
        attempt(
          client.subscription(OperationLive, { id }),
          ({ operation: event }) => {
            if (event.__typename !== 'OperationChanged') return;
            setOperation(event.operation);
            finished = event.operation.state !== 'RUNNING';
            heard();
          },
          (problem) => {
            if (problem || !finished) ended(problem);
          },
        ),
      onState: () => undefined, // the list beside it says whether the connection is there
      // refused, and not just for now: asking again would be refused again
      isFatal: (problem) => !problem.retryable,
      onFatal: setProblem,
    });
  }, [client, id]);

  return { operation, problem };
}
