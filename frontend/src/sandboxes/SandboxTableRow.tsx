import { memo } from 'react';

import { paths } from '../api/paths';
import type { SandboxRow } from '../live/sandboxList';
import { Age } from '../ui/Age';
import { CopyButton } from '../ui/CopyButton';
import { mebibytes } from '../ui/format';
import { SandboxActions } from './SandboxActions';
import { StateBadge } from './StateBadge';
import { titleOf } from './titleOf';
import type { Command, Commands } from './useCommands';
import { why } from './why';

interface Props {
  sandbox: SandboxRow;
  open: boolean;
  busy: Commands['busy'];
  onCommand: (sandbox: SandboxRow, command: Command) => void;
}

/** Two lines whatever happens to the sandbox, so that nothing below it moves. */
export const SandboxTableRow = memo(function SandboxTableRow({ sandbox, open, busy, onCommand }: Props) {
  const reason = why(sandbox);
  return (
    <tr role="row" className={open ? 'row row--open' : 'row'} data-sandbox={sandbox.id}>
      <td role="cell" className="col-name">
        <a
          className="row__name"
          href={open ? paths.sandboxes : paths.sandbox(sandbox.id)}
          aria-expanded={open}
          title={titleOf(sandbox)}
        >
          <bdi>{titleOf(sandbox)}</bdi>
        </a>
        <span className="row__id">
          <code title={sandbox.id}>{sandbox.id}</code>
          <CopyButton text={sandbox.id} what={`id of ${titleOf(sandbox)}`} />
        </span>
      </td>
      <td role="cell" className="col-state">
        <StateBadge state={sandbox.state} />
        {reason && (
          <span className="row__minor" title={reason}>
            {reason}
          </span>
        )}
      </td>
      <td role="cell" className="col-template">
        <bdi className="row__major">{sandbox.template.name}</bdi>
        <span className="row__minor">
          {sandbox.vcpus} vCPU · {mebibytes(sandbox.memoryMb)}
        </span>
      </td>
      <td role="cell" className="col-age">
        <Age since={sandbox.createdAt} />
        <span className="row__minor">
          changed <Age since={sandbox.updatedAt} /> ago
        </span>
      </td>
      <td role="cell" className="col-actions">
        <SandboxActions sandbox={sandbox} busy={busy} onCommand={onCommand} />
      </td>
    </tr>
  );
});
