import { useCallback, useEffect, useState } from 'react';

import { createApi, type Api } from '../api/client';
import { endsSession, problemOf, type Problem } from '../api/problem';
import { storedKey } from '../api/storage';
import type { ViewerQuery as ViewerData } from '../gql/graphql';
import { ViewerQuery } from './documents';

export type Viewer = ViewerData['viewer'];

export type Session =
  | { status: 'signed-out'; problem: Problem | null }
  /** The key is being tried; `first` when it was there before the page was, so that no form flashes by. */
  | { status: 'checking'; first: boolean }
  | { status: 'unreachable'; key: string; problem: Problem }
  | { status: 'signed-in'; key: string; viewer: Viewer; api: Api };

export interface SessionControl {
  session: Session;
  signIn: (key: string) => void;
  signOut: (problem?: Problem) => void;
}

/** Who is using the page. A key is kept only once the server has accepted it, and dropped as soon as it no longer is. */
export function useSession(): SessionControl {
  const [session, setSession] = useState<Session>(() =>
    storedKey.read() === null ? { status: 'signed-out', problem: null } : { status: 'checking', first: true },
  );

  const check = useCallback(async (key: string): Promise<void> => {
    setSession(await tryKey(key));
  }, []);

  useEffect(() => {
    const key = storedKey.read();
    if (key !== null) void tryKey(key).then(setSession);
  }, []);

  const signIn = useCallback(
    (key: string) => {
      setSession({ status: 'checking', first: false });
      void check(key);
    },
    [check],
  );

  const signOut = useCallback((problem?: Problem) => {
    storedKey.clear();
    setSession({ status: 'signed-out', problem: problem ?? null });
  }, []);

  return { session, signIn, signOut };
}

async function tryKey(key: string): Promise<Session> {
  const api = createApi(key);
  const { data, error } = await api.client.query(ViewerQuery, {}).toPromise();
  if (data) {
    storedKey.write(key);
    return { status: 'signed-in', key, viewer: data.viewer, api };
  }
  const problem = problemOf(error);
  if (!endsSession(problem) && storedKey.read() === key) return { status: 'unreachable', key, problem };
  storedKey.clear();
  return { status: 'signed-out', problem };
}
