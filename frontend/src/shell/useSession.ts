import { useCallback, useEffect, useState } from 'react';

import { currentSession, endSession, signInByPassword, type SessionAnswer } from '../api/auth';
import { createApi, type Api } from '../api/client';
import type { Credential } from '../api/credential';
import { endsSession, problemOf, type Problem } from '../api/problem';
import { storedKey } from '../api/storage';
import type { ViewerQuery as ViewerData } from '../gql/graphql';
import { ViewerQuery } from './documents';

export type Viewer = ViewerData['viewer'];
export type Oidc = SessionAnswer['oidc'];

/** What somebody signs in with. */
export type Proof = { kind: 'key'; key: string } | { kind: 'password'; email: string; password: string };

export type Session =
  | { status: 'signed-out'; problem: Problem | null; oidc: Oidc }
  /** Somebody is being let in; `first` when that began before the page was shown, so that no form flashes by. */
  | { status: 'checking'; first: boolean; oidc: Oidc }
  | { status: 'unreachable'; problem: Problem }
  | { status: 'signed-in'; credential: Credential; viewer: Viewer; api: Api };

export interface SessionControl {
  session: Session;
  signIn: (proof: Proof) => void;
  signOut: () => void;
  /** Finds out again who is using the page, and for which team: it has just changed, or something was refused. */
  refresh: (problem?: Problem) => void;
}

/** Tells the other tabs of this browser that the session has changed: the cookie is theirs too. */
const CHANNEL = 'nestbox-session';
const REFUSED_PAUSE_MS = 500;

/**
 * Who is using the page. A key is kept only once the server has accepted it, and dropped as soon as it no longer is. Of a
 * session in a cookie the page knows no more than what the server says.
 */
export function useSession(): SessionControl {
  const [session, setSession] = useState<Session>({ status: 'checking', first: true, oidc: null });

  useEffect(() => {
    void find(null).then(setSession);
    const channel = new BroadcastChannel(CHANNEL);
    channel.onmessage = () => {
      if (storedKey.read() === null) void find(null).then(setSession);
    };
    return () => {
      channel.close();
    };
  }, []);

  const signIn = useCallback((proof: Proof) => {
    setSession((before) => ({ status: 'checking', first: false, oidc: oidcOf(before) }));
    void enter(proof).then(setSession);
  }, []);

  const signOut = useCallback(() => {
    if (storedKey.read() === null) void endSession().then(() => leave().then(setSession));
    else void leave().then(setSession);
  }, []);

  const refresh = useCallback((problem?: Problem) => {
    void (problem ? findAfter(problem) : find(null)).then(setSession);
    if (!problem) tellOtherTabs();
  }, []);

  return { session, signIn, signOut, refresh };
}

async function find(refused: Problem | null): Promise<Session> {
  const key = storedKey.read();
  if (key !== null) return tryCredential({ kind: 'key', key }, null);
  const { data, problem } = await currentSession();
  if (problem) return { status: 'unreachable', problem };
  if (data.user) return tryCredential({ kind: 'cookie' }, data.oidc);
  return { status: 'signed-out', problem: refused, oidc: data.oidc };
}

/** Not at once: a server that lets somebody in and refuses their streams would be asked without a pause. */
async function findAfter(refused: Problem): Promise<Session> {
  await new Promise((resolve) => setTimeout(resolve, REFUSED_PAUSE_MS));
  return find(refused);
}

async function enter(proof: Proof): Promise<Session> {
  if (proof.kind === 'key') return tryCredential(proof, await oidcNow());
  const { problem } = await signInByPassword(proof.email, proof.password);
  if (problem) return { status: 'signed-out', problem, oidc: await oidcNow() };
  tellOtherTabs();
  return tryCredential({ kind: 'cookie' }, null);
}

async function leave(): Promise<Session> {
  storedKey.clear();
  tellOtherTabs();
  return { status: 'signed-out', problem: null, oidc: await oidcNow() };
}

async function tryCredential(credential: Credential, oidc: Oidc): Promise<Session> {
  const api = createApi(credential);
  const { data, error } = await api.client.query(ViewerQuery, {}).toPromise();
  if (data) {
    if (credential.kind === 'key') storedKey.write(credential.key);
    return { status: 'signed-in', credential, viewer: data.viewer, api };
  }
  const problem = problemOf(error);
  if (!endsSession(problem) && (credential.kind === 'cookie' || storedKey.read() === credential.key)) {
    return { status: 'unreachable', problem };
  }
  storedKey.clear();
  return { status: 'signed-out', problem, oidc };
}

const oidcOf = (session: Session): Oidc => ('oidc' in session ? session.oidc : null);

const oidcNow = async (): Promise<Oidc> => (await currentSession()).data?.oidc ?? null;

function tellOtherTabs(): void {
  const channel = new BroadcastChannel(CHANNEL);
  channel.postMessage(null);
  channel.close();
}
