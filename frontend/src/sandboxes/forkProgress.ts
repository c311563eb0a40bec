import type { SandboxRow } from '../live/sandboxList';
import { why } from './why';

/** How far a fork is. */
export interface ForkProgress {
  running: number;
  failed: number;
  /** Nothing is under way any more. */
  over: boolean;
  words: string;
  /** Why children failed, each reason once. */
  reasons: readonly string[];
}

const UNDER_WAY = new Set<SandboxRow['state']>(['PENDING', 'STARTING']);

/**
 * How far the children of a fork are, by the live list. One that is not in it has not been told of yet; one that is in any
 * state but failed and no longer on its way there has started, whatever was done with it since.
 */
export function forkProgress(children: readonly string[], rows: readonly SandboxRow[]): ForkProgress {
  const wanted = new Set(children);
  const known = rows.filter((row) => wanted.has(row.id));
  const failures = known.filter((row) => row.state === 'FAILED');
  const running = known.filter((row) => row.state !== 'FAILED' && !UNDER_WAY.has(row.state)).length;
  const failed = failures.length;
  const words = `${running} of ${children.length} started` + (failed === 0 ? '' : `, ${failed} failed`);
  const reasons = [...new Set(failures.map(why).filter(Boolean))];
  return { running, failed, over: running + failed === children.length, words, reasons };
}
