import type { DocumentInput } from '@urql/core';
import { useCallback } from 'react';
import { useClient } from 'urql';

import { firstProblem, problemOf } from '../api/problem';
import type { UserErrorFieldsFragment } from '../gql/graphql';
import { useNotices } from './Notices';

interface Outcome {
  outcome: { userErrors: readonly UserErrorFieldsFragment[] };
}

/** Sends a mutation whose only answer is whether it was done; what was refused is shown, and `onDone` follows either way. */
export function useAction(onDone: () => void) {
  const client = useClient();
  const { warn, announce } = useNotices();

  return useCallback(
    <Data extends Outcome, Variables extends object>(
      document: DocumentInput<Data, Variables>,
      variables: Variables,
      done: string,
    ): void => {
      void client
        .mutation(document, variables)
        .toPromise()
        .then(({ data, error }) => {
          const problem = data ? firstProblem(data.outcome.userErrors) : problemOf(error);
          if (problem) warn(problem.message);
          else announce(done);
          onDone();
        });
    },
    [client, warn, announce, onDone],
  );
}
