import { useEffect, useState } from 'react';
import { useClient } from 'urql';
import { onEnd, pipe, subscribe } from 'wonka';

import { problemOf } from '../api/problem';
import type { QuotaLiveSubscription } from '../gql/graphql';
import { QuotaLive } from './documents';
import { keepSubscribed } from './keepSubscribed';

export type LiveQuota = Extract<QuotaLiveSubscription['quota'], { quota: unknown }>['quota'];

/** What the team may have and has, as it changes; null until it is known. Its stream starts again after a lost connection. */
export function useLiveQuota(): LiveQuota | null {
  const client = useClient();
  const [quota, setQuota] = useState<LiveQuota | null>(null);

  useEffect(
    () =>
      keepSubscribed({
        start: (heard, ended) => {
          const subscription = pipe(
            client.subscription(QuotaLive, {}),
            onEnd(() => {
              ended(null);
            }),
            subscribe(({ data, error }) => {
              if (error) {
                ended(problemOf(error));
                return;
              }
              if (data?.quota.__typename === 'QuotaChanged') setQuota(data.quota.quota);
              heard();
            }),
          );
          return () => {
            subscription.unsubscribe();
          };
        },
        onState: () => undefined,
        isFatal: (problem) => !problem.retryable,
        onFatal: () => undefined, // whoever may not see the team sees nothing of this page
      }),
    [client],
  );

  return quota;
}
