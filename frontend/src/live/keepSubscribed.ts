import type { Problem } from '../api/problem';

/** First wait before a stream is started again; each failure in a row doubles it. */
const FIRST_WAIT_MS = 250;
const LONGEST_WAIT_MS = 5_000;

export interface Stream {
  /** Starts one attempt. Calls `heard` at every event and `ended` once, when it is over for any reason; gives its stop. */
  start: (heard: () => void, ended: (problem: Problem | null) => void) => () => void;
  /** `live` at the first event of an attempt, `reconnecting` when one is over. */
  onState: (state: 'live' | 'reconnecting') => void;
  /** Called instead of trying again when the problem is not one that time heals. */
  onFatal: (problem: Problem) => void;
  isFatal: (problem: Problem) => boolean;
}

/**
 * Keeps one stream going: starts it, and starts it again when it ends, with growing, jittered pauses, so that a server
 * that comes back is not met by all of its clients at once. A computer that comes back online does not wait.
 *
 * Returns the function that ends it for good.
 */
export function keepSubscribed(stream: Stream): () => void {
  let failures = 0;
  let stop: (() => void) | null = null;
  let timer: ReturnType<typeof setTimeout> | undefined;
  let over = false;

  function attempt(): void {
    clearTimeout(timer);
    const life = { current: true };
    const stopAttempt = stream.start(
      () => {
        if (!life.current) return;
        failures = 0;
        stream.onState('live');
      },
      (problem) => {
        if (!life.current) return;
        life.current = false;
        stop = null;
        if (problem && stream.isFatal(problem)) {
          end();
          stream.onFatal(problem);
          return;
        }
        stream.onState('reconnecting');
        timer = setTimeout(attempt, waitAfter(failures++));
      },
    );
    // an attempt may be over before it gives its stop
    if (life.current) {
      stop = () => {
        life.current = false;
        stopAttempt();
      };
    }
  }

  function attemptNow(): void {
    if (!over && stop === null) attempt();
  }

  function end(): void {
    over = true;
    clearTimeout(timer);
    removeEventListener('online', attemptNow);
    stop?.();
    stop = null;
  }

  addEventListener('online', attemptNow);
  attempt();
  return end;
}

/** Between half and all of the doubled wait. */
export function waitAfter(failures: number, random: () => number = Math.random): number {
  const longest = Math.min(LONGEST_WAIT_MS, FIRST_WAIT_MS * 2 ** Math.min(failures, 16));
  return longest * (0.5 + random() / 2);
}
