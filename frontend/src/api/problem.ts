import { CombinedError } from '@urql/core';

/** One thing that went wrong, ready to be shown: `message` is a sentence of the server wherever it sent one. */
export interface Problem {
  code: string;
  message: string;
  /** The input field that it is about (`["input", "name"]`), empty when it is about no field. */
  path: readonly string[];
  retryable: boolean;
}

interface UserErrorLike {
  code: string;
  message: string;
  path: readonly string[];
  retryable: boolean;
}

/** Codes that end a session: the key or the session is not, or no longer, accepted. */
const SESSION_ENDED = new Set(['UNAUTHENTICATED']);
/** WebSocket close codes of graphql-transport-ws with the same meaning. */
const CLOSED_UNAUTHENTICATED = new Set<unknown>([4401, 4403]);

/**
 * The one way from anything that failed to something to show. Takes what urql and graphql-ws throw (GraphQL errors,
 * network errors, close events); for `userErrors` of a payload see `firstProblem`.
 */
export function problemOf(error: unknown): Problem {
  if (!(error instanceof CombinedError)) return problem('UNEXPECTED', 'Something unexpected happened in this page.');
  const [first] = error.graphQLErrors;
  if (first) {
    const { code, requestId, retryable } = first.extensions;
    // the id helps whoever reads the log; a mistyped key needs no log
    const request = typeof requestId === 'string' && code !== 'UNAUTHENTICATED' ? ` (request ${requestId})` : '';
    return problem(typeof code === 'string' ? code : 'INTERNAL', first.message + request, retryable === true);
  }
  return problemOfConnection(error.networkError, (error.response as Response | undefined)?.status);
}

/** What an endpoint beside GraphQL refused, from its JSON `{"error": {"code", "message", "requestId"}}`. */
export function problemOfAnswer(answer: unknown, status: number): Problem {
  const error = (answer as { error?: { code?: unknown; message?: unknown } } | null)?.error;
  if (typeof error?.code !== 'string' || typeof error.message !== 'string') return problemOfConnection(null, status);
  return problem(error.code, error.message, status === 429 || status >= 500);
}

/** What a payload's `userErrors` say, as a problem; null when there are none. */
export function firstProblem(userErrors: readonly UserErrorLike[]): Problem | null {
  return userErrors[0] ?? null;
}

/** True when the only way on is to sign in again. */
export function endsSession(found: Problem): boolean {
  return SESSION_ENDED.has(found.code);
}

function problemOfConnection(cause: unknown, status: number | undefined): Problem {
  if (CLOSED_UNAUTHENTICATED.has(closeCode(cause))) return refusedKey();
  if (status === 401) return refusedKey();
  if (status === 429) return problem('RATE_LIMITED', 'Too many requests. Wait a moment and try again.', true);
  if (status !== undefined && status >= 500) {
    return problem('UNAVAILABLE', `Nestbox answered with an error (HTTP ${status}). Try again in a moment.`, true);
  }
  return unreachable();
}

export function unreachable(): Problem {
  return problem('UNREACHABLE', 'Nestbox does not answer. Is it running, and can this computer reach it?', true);
}

/** graphql-ws hands on the socket's close event, or one of its own with the same field. */
function closeCode(cause: unknown): unknown {
  return typeof cause === 'object' && cause !== null && 'code' in cause ? cause.code : undefined;
}

function refusedKey(): Problem {
  return problem('UNAUTHENTICATED', 'This is not accepted, or no longer: the key was revoked, or the session has ended.');
}

function problem(code: string, message: string, retryable = false): Problem {
  return { code, message, path: [], retryable };
}
