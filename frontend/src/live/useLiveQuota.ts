import { useEffect, useState } from 'react';
import { useClient } from 'urql';

import type { Problem } from '../api/problem';
import type { QuotaLiveSubscription } from '../gql/graphql';
import { attempt } from './attempt';
import { QuotaLive } from './documents';
import { keepSubscribed } from './keepSubscribed';

export type LiveQuota = Extract<QuotaLiveSubscription['quota'], { quota: unknown }>['quota'];

export interface WatchedQuota {
  /** Null until it is known. */
  quota: LiveQuota | null;
  /** Why it is watched no more. */
  problem: Problem | null;
}

/** What the team may have and has, as it changes; its stream starts again after a lost connection. */
export function useLiveQuota(): WatchedQuota {
  const client = useClient();
  const [quota, setQuota] = useState<LiveQuota | null>(null);
  const [problem, setProblem] = useState<Problem | null>(null);

  useEffect(
    () =>
      keepSubscribed({
        start: (heard, ended) =>
          attempt(
            client.subscription(QuotaLive, {}),
            ({ quota }) => {
              if (quota.__typename === 'QuotaChanged') setQuota(quota.quota);
              heard();
            },
            ended,
          ),
        onState: () => undefined,
        isFatal: (problem) => !problem.retryable,
        onFatal: setProblem,
      }),
    [client],
  );

  return { quota, problem };
}
