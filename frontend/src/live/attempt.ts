import type { AnyVariables, OperationResult, OperationResultSource } from '@urql/core';
import { onEnd, pipe, subscribe } from 'wonka';

import { problemOf, type Problem } from '../api/problem';

/** One attempt at a stream: gives `take` what comes, calls `ended` when it is over, and gives its stop. */
export function attempt<Data, Variables extends AnyVariables>(
  source: OperationResultSource<OperationResult<Data, Variables>>,
  take: (data: Data) => void,
  ended: (problem: Problem | null) => void,
): () => void {
  const subscription = pipe(
    source,
    onEnd(() => {
      ended(null);
    }),
    subscribe(({ data, error }) => {
      if (error) ended(problemOf(error));
      else if (data) take(data);
    }),
  );
  return () => {
    subscription.unsubscribe();
  };
}
