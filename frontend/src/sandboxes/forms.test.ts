import { expect, test } from 'vitest';

import { formProblem } from '../api/formProblem';
import type { SandboxRow } from '../live/sandboxList';
import { bytes } from '../ui/format';
import { forkProgress } from './forkProgress';
import { wholeNumber } from './wholeNumber';

const row = (id: string, state: SandboxRow['state'], detail = ''): SandboxRow => ({
  id,
  state,
  detail,
  cause: state === 'FAILED' ? 'START_FAILED' : 'USER',
  version: '1',
  name: id,
  vcpus: 1,
  memoryMb: 512,
  diskSizeMb: 5120,
  storedBytes: 0,
  parentId: 'parent',
  autoPauseAt: null,
  createdAt: '2026-01-01T00:00:00Z',
  updatedAt: '2026-01-01T00:00:00Z',
  template: { id: 'tpl-1', name: 'base' },
  labels: [],
  allowedActions: [],
});

test('a fork is over when each child has started or failed', () => {
  const children = ['a', 'b', 'c'];
  expect(forkProgress(children, [])).toMatchObject({ running: 0, over: false, words: '0 of 3 started' });
  const under = [row('a', 'RUNNING'), row('b', 'STARTING'), row('other', 'RUNNING')];
  expect(forkProgress(children, under)).toMatchObject({ running: 1, over: false, words: '1 of 3 started' });
  const failed = [row('a', 'PAUSED'), row('b', 'FAILED', 'no room'), row('c', 'FAILED', 'no room')];
  expect(forkProgress(children, failed)).toEqual({
    running: 1,
    failed: 2,
    over: true,
    words: '1 of 3 started, 2 failed',
    reasons: ['Start failed: no room'],
  });
});

test('a problem is shown beside the field that it is about, else below them', () => {
  const problem = { code: 'INVALID', message: 'No.', path: ['name'], retryable: false };
  const beside = formProblem(problem, ['count', 'name']);
  expect([beside.of('count'), beside.of('name'), beside.rest]).toEqual([null, 'No.', null]);
  expect(formProblem({ ...problem, path: ['input'] }, ['name']).rest).toBe('No.');
  expect(formProblem(null, ['name']).rest).toBeNull();
});

test('numbers are read as they are typed', () => {
  expect(['', ' 3 ', '0', '-1', '1.5', 'x', '9999999999'].map(wholeNumber)).toEqual([
    null,
    3,
    0,
    undefined,
    undefined,
    undefined,
    undefined,
  ]);
});

test('bytes are written in their largest unit', () => {
  expect([0, 1023, 1024, 3.4 * 2 ** 20, 340 * 2 ** 20, 1.2 * 2 ** 30, 2 ** 50].map(bytes)).toEqual([
    '0 B',
    '1023 B',
    '1.0 KiB',
    '3.4 MiB',
    '340 MiB',
    '1.2 GiB',
    '1024 TiB',
  ]);
});
