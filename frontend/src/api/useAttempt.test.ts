import { expect, test } from 'vitest';

import { attempts } from './useAttempt';

test('a key belongs to what is asked for, until that is refused for good', () => {
  let made = 0;
  const attempt = attempts(() => `key-${++made}`);
  expect(attempt.keyFor({ name: 'a' })).toBe('key-1');
  attempt.answered({ code: 'UNREACHABLE', message: '', path: [], retryable: true });
  expect(attempt.keyFor({ name: 'a' })).toBe('key-1');
  expect(attempt.keyFor({ name: 'b' })).toBe('key-2');
  attempt.answered({ code: 'INVALID', message: '', path: [], retryable: false });
  expect(attempt.keyFor({ name: 'b' })).toBe('key-3');
});
