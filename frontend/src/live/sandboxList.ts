import type { SandboxesLiveSubscription, SandboxRowFragment } from '../gql/graphql';

export type SandboxRow = SandboxRowFragment;
export type SandboxEvent = SandboxesLiveSubscription['sandboxes'];

/** The live list as it is known here. Values are never changed: each event gives a new list. */
export interface SandboxList {
  rows: ReadonlyMap<string, SandboxRow>;
  /** Sandboxes that left, with the last version that was seen of them: a late event must not bring them back. */
  gone: ReadonlyMap<string, string>;
  /** Where the stream is; a new subscription goes on from here. Null before the first event. */
  cursor: string | null;
  /** The server sent only the newest part of a very long list. */
  truncated: boolean;
}

export const EMPTY_LIST: SandboxList = { rows: new Map(), gone: new Map(), cursor: null, truncated: false };

/**
 * Applies one event. A row only ever moves to an equal or newer version (equal, since a host that stops answering
 * changes what is shown without changing what is stored), and one that left comes back only with a newer one.
 */
export function applyEvent(list: SandboxList, event: SandboxEvent): SandboxList {
  switch (event.__typename) {
    case 'SandboxesReset':
      return reset(list, event.sandboxes, event.cursor, event.truncated);
    case 'SandboxChanged':
      return { ...list, cursor: event.cursor, rows: changed(list, event.sandbox) };
    case 'SandboxRemoved':
      return removed(list, event.id, event.cursor);
    case 'Heartbeat':
      return list.cursor === event.cursor ? list : { ...list, cursor: event.cursor };
  }
}

/** Newest first, and always the same order: rows do not move when they change. */
export function inOrder(list: SandboxList): SandboxRow[] {
  return [...list.rows.values()].sort((a, b) => compare(b.createdAt, a.createdAt) || compare(b.id, a.id));
}

/** Versions are decimal numbers too large for a JavaScript number: the longer one is the larger one. */
export function isOlder(version: string, than: string): boolean {
  return version.length === than.length ? version < than : version.length < than.length;
}

function reset(list: SandboxList, sandboxes: readonly SandboxRow[], cursor: string, truncated: boolean): SandboxList {
  const present = sandboxes.filter((row) => !isStale(list, row)).map((row) => [row.id, row] as const);
  const keptNewer = sandboxes.flatMap((row) => {
    const known = list.rows.get(row.id);
    return known && isOlder(row.version, known.version) ? [[row.id, known] as const] : [];
  });
  return { rows: new Map([...present, ...keptNewer]), gone: list.gone, cursor, truncated };
}

function changed(list: SandboxList, row: SandboxRow): ReadonlyMap<string, SandboxRow> {
  return isStale(list, row) ? list.rows : new Map(list.rows).set(row.id, row);
}

function removed(list: SandboxList, id: string, cursor: string): SandboxList {
  const known = list.rows.get(id);
  if (!known) return { ...list, cursor };
  const rows = new Map(list.rows);
  rows.delete(id);
  return { ...list, rows, gone: new Map(list.gone).set(id, known.version), cursor };
}

function isStale(list: SandboxList, row: SandboxRow): boolean {
  const known = list.rows.get(row.id)?.version;
  const last = list.gone.get(row.id);
  return (known !== undefined && isOlder(row.version, known)) || (last !== undefined && !isOlder(last, row.version));
}

function compare(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}
