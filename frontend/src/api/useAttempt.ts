import { useMemo } from 'react';

import { idempotencyKey } from './idempotencyKey';
import type { Problem } from './problem';

export interface Attempt {
  /** The idempotency key of this input: the same one for as long as the input is the same. */
  keyFor: (input: object) => string;
  /** To be told what came of it: what was refused for good can be asked for anew. */
  answered: (problem: Problem | null) => void;
}

/** One key per form as it is filled in: pressing the button again after a lost answer does nothing twice. */
export function attempts(newKey: () => string = idempotencyKey): Attempt {
  let last = { input: '', key: '' };
  return {
    keyFor: (input) => {
      const text = JSON.stringify(input);
      if (last.input !== text) last = { input: text, key: newKey() };
      return last.key;
    },
    answered: (problem) => {
      if (problem && !problem.retryable) last = { input: '', key: '' };
    },
  };
}

export function useAttempt(): Attempt {
  return useMemo(() => attempts(), []);
}
