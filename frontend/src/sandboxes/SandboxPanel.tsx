import { useEffect, useId, useRef } from 'react';

import { paths } from '../api/paths';
import type { SandboxRow } from '../live/sandboxList';
import { ActionButton } from '../ui/ActionButton';
import { CopyButton } from '../ui/CopyButton';
import { Icon } from '../ui/Icon';
import { reasonAgainst } from './allowed';
import { CommandBox } from './CommandBox';
import { SandboxActions } from './SandboxActions';
import { SandboxFacts } from './SandboxFacts';
import { StateBadge } from './StateBadge';
import { titleOf } from './titleOf';
import type { Command, Commands } from './useCommands';
import type { Runs } from './useRuns';
import { why } from './why';

interface Props {
  sandbox: SandboxRow;
  rows: readonly SandboxRow[];
  busy: Commands['busy'];
  runs: Runs;
  onCommand: (sandbox: SandboxRow, command: Command) => void;
  onFork: (sandbox: SandboxRow) => void;
  onMakeTemplate: (sandbox: SandboxRow) => void;
}

/** Everything about one sandbox, beside the table (over it where there is no room). Escape closes it. */
export function SandboxPanel({ sandbox, rows, busy, runs, onCommand, onFork, onMakeTemplate }: Props) {
  const heading = useId();
  const panel = useRef<HTMLElement>(null);
  const reason = why(sandbox);

  useEffect(() => {
    panel.current?.focus({ preventScroll: true });
  }, [sandbox.id]);

  return (
    <aside
      className="panel"
      aria-labelledby={heading}
      ref={panel}
      tabIndex={-1}
      onKeyDown={(event) => {
        if (event.key === 'Escape') location.hash = paths.sandboxes;
      }}
    >
      <div className="panel__head">
        <h2 id={heading} title={titleOf(sandbox)}>
          <bdi>{titleOf(sandbox)}</bdi>
        </h2>
        <a className="icon-button" href={paths.sandboxes} aria-label={`Close ${titleOf(sandbox)}`}>
          <Icon name="close" />
        </a>
      </div>
      <p className="panel__id">
        <code>{sandbox.id}</code>
        <CopyButton text={sandbox.id} what="id" />
      </p>
      <div className="panel__state">
        <StateBadge state={sandbox.state} />
        <SandboxActions sandbox={sandbox} busy={busy} withText onCommand={onCommand} />
      </div>
      <div className="panel__more">
        <ActionButton
          icon="fork"
          label="Fork…"
          description={`Fork ${titleOf(sandbox)}`}
          reason={reasonAgainst(sandbox, 'FORK')}
          busy={false}
          withText
          onClick={() => {
            onFork(sandbox);
          }}
        />
        <ActionButton
          icon="template"
          label="Make template…"
          description={`Make a template of ${titleOf(sandbox)}`}
          reason={reasonAgainst(sandbox, 'CREATE_TEMPLATE')}
          busy={false}
          withText
          onClick={() => {
            onMakeTemplate(sandbox);
          }}
        />
      </div>
      <p className="panel__why">{reason}</p>
      <SandboxFacts sandbox={sandbox} rows={rows} />
      <CommandBox key={sandbox.id} sandbox={sandbox} runs={runs} />
    </aside>
  );
}
