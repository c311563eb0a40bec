import { headersOf } from './credential';
import { paths } from './paths';
import { problemOfAnswer, unreachable, type Problem } from './problem';

export interface Person {
  id: string;
  email: string;
  name: string;
}

export interface Invitation {
  team: string;
  email: string;
  role: string;
  invitedBy: string;
  expiresAt: string;
}

export interface SessionAnswer {
  /** Whoever is signed in with this browser. */
  user: Person | null;
  /** Another service that signs people in, if there is one. */
  oidc: { name: string } | null;
}

export type Answer<T> = { data: T; problem: null } | { data: null; problem: Problem };

export const currentSession = (): Promise<Answer<SessionAnswer>> => ask('GET', paths.auth('session'));

export const signInByPassword = (email: string, password: string): Promise<Answer<{ user: Person }>> =>
  ask('POST', paths.auth('sign-in'), { email, password });

export const endSession = (): Promise<Answer<unknown>> => ask('POST', paths.auth('sign-out'), {});

export const lookAtInvitation = (token: string): Promise<Answer<Invitation>> =>
  ask('POST', paths.auth('invitations/look'), { token });

export const acceptInvitation = (given: {
  token: string;
  password: string | null;
  name: string;
}): Promise<Answer<{ user: Person }>> => ask('POST', paths.auth('invitations/accept'), given);

async function ask<T>(method: 'GET' | 'POST', path: string, content?: object): Promise<Answer<T>> {
  try {
    const response = await fetch(path, {
      method,
      cache: 'no-store',
      credentials: 'same-origin',
      headers: { ...headersOf({ kind: 'cookie' }), ...(content && { 'content-type': 'application/json' }) },
      ...(content && { body: JSON.stringify(content) }),
    });
    const answer: unknown = await response.json();
    return response.ok ? { data: answer as T, problem: null } : { data: null, problem: problemOfAnswer(answer, response.status) };
  } catch {
    return { data: null, problem: unreachable() };
  }
}
