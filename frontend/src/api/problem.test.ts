import { CombinedError } from '@urql/core';
import { expect, test } from 'vitest';

import { endsSession, problemOf } from './problem';

const closed = (code: number) => new CombinedError({ networkError: { code, reason: '' } as unknown as Error });

test("the server's own sentence is shown, with the request it belongs to", () => {
  const error = new CombinedError({
    graphQLErrors: [{ message: 'Too deep.', extensions: { code: 'TOO_DEEP', requestId: 'r1', retryable: true } }],
  });
  expect(problemOf(error)).toEqual({ code: 'TOO_DEEP', message: 'Too deep. (request r1)', path: [], retryable: true });
});

test('only a refused key ends the session', () => {
  expect(endsSession(problemOf(closed(4403)))).toBe(true);
  expect(endsSession(problemOf(closed(4401)))).toBe(true);
  expect(endsSession(problemOf(closed(1012)))).toBe(false);
  expect(endsSession(problemOf(new CombinedError({ networkError: new TypeError('Failed to fetch') })))).toBe(false);
  expect(endsSession(problemOf(new CombinedError({ networkError: new Error(), response: { status: 401 } })))).toBe(true);
});

test('anything else is still a sentence', () => {
  expect(problemOf(new RangeError('x')).message).toMatch(/\.$/);
});
