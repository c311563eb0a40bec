import type { SandboxRow } from '../live/sandboxList';
import { SandboxTableRow } from './SandboxTableRow';
import type { Command, Commands } from './useCommands';

interface Props {
  rows: readonly SandboxRow[];
  open: string | null;
  busy: Commands['busy'];
  /** What is shown may be old: the connection is gone for the moment. */
  stale: boolean;
  onCommand: (sandbox: SandboxRow, command: Command) => void;
}

/** Roles are written out since the narrow layout turns rows into cards, and browsers forget what a table is when its display changes. */
export function SandboxTable({ rows, open, busy, stale, onCommand }: Props) {
  return (
    <table className={stale ? 'table table--stale' : 'table'} role="table" aria-label="Sandboxes">
      <thead role="rowgroup">
        <tr role="row">
          <th role="columnheader" scope="col" className="col-name">
            Name
          </th>
          <th role="columnheader" scope="col" className="col-state">
            State
          </th>
          <th role="columnheader" scope="col" className="col-template">
            Template
          </th>
          <th role="columnheader" scope="col" className="col-age">
            Age
          </th>
          <th role="columnheader" scope="col" className="col-actions">
            <span className="visually-hidden">Actions</span>
          </th>
        </tr>
      </thead>
      <tbody role="rowgroup">
        {rows.map((row) => (
          <SandboxTableRow key={row.id} sandbox={row} open={row.id === open} busy={busy} onCommand={onCommand} />
        ))}
      </tbody>
    </table>
  );
}
