import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';

import type { Problem } from '../api/problem';
import { keepSubscribed, waitAfter } from './keepSubscribed';

interface Attempt {
  heard: () => void;
  ended: (problem: Problem | null) => void;
  stopped: boolean;
}

const problem = (code: string): Problem => ({ code, message: code, path: [], retryable: false });

function watch() {
  const attempts: Attempt[] = [];
  const states: string[] = [];
  const end = keepSubscribed({
    start: (heard, ended) => {
      const attempt: Attempt = { heard, ended, stopped: false };
      attempts.push(attempt);
      return () => {
        attempt.stopped = true;
      };
    },
    onState: (state) => states.push(state),
    onFatal: ({ code }) => states.push(`fatal ${code}`),
    isFatal: ({ code }) => code === 'UNAUTHENTICATED',
  });
  return { attempts, states, end };
}

describe('a stream that is kept going', () => {
  let online: () => void = () => undefined;

  beforeEach(() => {
    vi.useFakeTimers();
    vi.stubGlobal('addEventListener', (_: string, listener: () => void) => {
      online = listener;
    });
    vi.stubGlobal('removeEventListener', () => {
      online = () => undefined;
    });
  });
  afterEach(() => {
    vi.useRealTimers();
    vi.unstubAllGlobals();
  });

  test('starts again when it ends, whether it failed or was completed', () => {
    const { attempts, states } = watch();
    attempts[0]?.heard();
    attempts[0]?.ended(null);
    vi.advanceTimersByTime(15_000);
    attempts[1]?.ended(problem('UNREACHABLE'));
    vi.advanceTimersByTime(15_000);
    expect(attempts).toHaveLength(3);
    expect(states).toEqual(['live', 'reconnecting', 'reconnecting']);
  });

  test('does not try again what time does not heal', () => {
    const { attempts, states } = watch();
    attempts[0]?.ended(problem('UNAUTHENTICATED'));
    vi.advanceTimersByTime(60_000);
    expect(attempts).toHaveLength(1);
    expect(states).toEqual(['fatal UNAUTHENTICATED']);
  });

  test('does not wait when the computer comes back online, and starts nothing twice', () => {
    const { attempts } = watch();
    online();
    expect(attempts).toHaveLength(1);
    attempts[0]?.ended(null);
    online();
    vi.advanceTimersByTime(15_000);
    expect(attempts).toHaveLength(2);
  });

  test('is over when it is ended, waiting or not', () => {
    const running = watch();
    running.end();
    expect(running.attempts[0]?.stopped).toBe(true);
    const waiting = watch();
    waiting.attempts[0]?.ended(null);
    waiting.end();
    vi.advanceTimersByTime(60_000);
    expect(waiting.attempts).toHaveLength(1);
  });

  test('waits longer after each failure, up to a limit, and never the same', () => {
    expect(waitAfter(0, () => 1)).toBe(250);
    expect(waitAfter(2, () => 0)).toBe(500);
    expect(waitAfter(40, () => 1)).toBe(5_000);
  });
});
