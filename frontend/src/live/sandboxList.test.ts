import { describe, expect, test } from 'vitest';

import { applyEvent, EMPTY_LIST, inOrder, isOlder, type SandboxEvent, type SandboxList, type SandboxRow } from './sandboxList';

function sandbox(id: string, version: string, state: SandboxRow['state'] = 'RUNNING', createdAt = '2026-01-01T00:00:00Z') {
  return {
    id,
    version,
    state,
    createdAt,
    name: id,
    cause: 'USER',
    detail: '',
    vcpus: 1,
    memoryMb: 512,
    diskSizeMb: 5120,
    storedBytes: 0,
    parentId: null,
    autoPauseAt: null,
    updatedAt: createdAt,
    template: { id: 'tpl-1', name: 'base' },
    labels: [],
    allowedActions: [],
  } satisfies SandboxRow;
}

const reset = (...sandboxes: SandboxRow[]): SandboxEvent => ({
  __typename: 'SandboxesReset',
  sandboxes,
  cursor: 'r',
  truncated: false,
});
const changed = (row: SandboxRow): SandboxEvent => ({ __typename: 'SandboxChanged', sandbox: row, cursor: `c${row.version}` });
const removed = (id: string): SandboxEvent => ({ __typename: 'SandboxRemoved', id, cursor: 'x' });
const after = (...events: SandboxEvent[]): SandboxList => events.reduce(applyEvent, EMPTY_LIST);
const stateOf = (list: SandboxList, id: string) => list.rows.get(id)?.state;

describe('the live list', () => {
  test('a snapshot replaces everything that was there', () => {
    expect([...after(reset(sandbox('a', '1')), reset(sandbox('b', '2'))).rows.keys()]).toEqual(['b']);
  });

  test('an older version changes nothing, in a change or in a snapshot', () => {
    const newer = changed(sandbox('a', '10', 'PAUSED'));
    const older = sandbox('a', '9', 'RUNNING');
    expect(stateOf(after(newer, changed(older)), 'a')).toBe('PAUSED');
    expect(stateOf(after(newer, reset(older)), 'a')).toBe('PAUSED');
  });

  test('the same version may be shown differently: its host stopped answering', () => {
    expect(stateOf(after(changed(sandbox('a', '5')), changed(sandbox('a', '5', 'UNREACHABLE'))), 'a')).toBe('UNREACHABLE');
  });

  test('a late change does not bring back what was removed', () => {
    const gone = [changed(sandbox('a', '5', 'DELETING')), removed('a')];
    expect(after(...gone, changed(sandbox('a', '5'))).rows.size).toBe(0);
    expect(after(...gone, reset(sandbox('a', '4'))).rows.size).toBe(0);
    expect(after(...gone, changed(sandbox('a', '6'))).rows.size).toBe(1);
  });

  test('every event moves the cursor, also one that changes no row', () => {
    const heartbeat: SandboxEvent = { __typename: 'Heartbeat', cursor: 'h' };
    expect(after(reset(), heartbeat).cursor).toBe('h');
    expect(after(reset(), removed('unknown')).cursor).toBe('x');
    expect(after(changed(sandbox('a', '9')), changed(sandbox('a', '8'))).cursor).toBe('c8');
  });

  test('rows are newest first and do not move when they change', () => {
    const [first, second] = [sandbox('a', '1'), sandbox('b', '1', 'RUNNING', '2026-01-02T00:00:00Z')];
    const before = inOrder(after(reset(first, second))).map((row) => row.id);
    const then = inOrder(after(reset(first, second), changed({ ...first, version: '7' }))).map((row) => row.id);
    expect(before).toEqual(['b', 'a']);
    expect(then).toEqual(before);
  });

  test('versions compare as numbers of any length', () => {
    expect(isOlder('9', '10')).toBe(true);
    expect(isOlder('18446744073709551616', '9')).toBe(false);
    expect(isOlder('7', '7')).toBe(false);
  });
});
