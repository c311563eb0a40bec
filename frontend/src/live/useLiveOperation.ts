import { useEffect, useState } from 'react';
import { useClient } from 'urql';
import { onEnd, pipe, subscribe } from 'wonka';

import { problemOf, type Problem } from '../api/problem';
import type { OperationLiveSubscription } from '../gql/graphql';
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
      start: (heard, ended) => {
        const subscription = pipe(
          client.subscription(OperationLive, { id }),
          onEnd(() => {
            if (!finished) ended(null);
          }),
          subscribe(({ data, error }) => {
            if (error) {
              ended(problemOf(error));
            } else if (data?.operation.__typename === 'OperationChanged') {
              setOperation(data.operation.operation);
              finished = data.operation.operation.state !== 'RUNNING';
              heard();
            }
          }),
        );
        return () => {
          subscription.unsubscribe();
        };
      },
      onState: () => undefined, // the list beside it says whether the connection is there
      // refused, and not just for now: asking again would be refused again
      isFatal: (problem) => !problem.retryable,
      onFatal: setProblem,
    });
  }, [client, id]);

  return { operation, problem };
}
