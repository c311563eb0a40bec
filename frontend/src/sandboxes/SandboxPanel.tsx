import { useEffect, useId, useRef } from 'react';

import { paths } from '../api/paths';
import type { SandboxRow } from '../live/sandboxList';
import { Age } from '../ui/Age';
import { CopyButton } from '../ui/CopyButton';
import { absolute, mebibytes } from '../ui/format';
import { Icon } from '../ui/Icon';
import { CommandBox } from './CommandBox';
import { SandboxActions } from './SandboxActions';
import { StateBadge } from './StateBadge';
import { titleOf } from './titleOf';
import type { Command, Commands } from './useCommands';
import type { Runs } from './useRuns';
import { why } from './why';

interface Props {
  sandbox: SandboxRow;
  busy: Commands['busy'];
  runs: Runs;
  onCommand: (sandbox: SandboxRow, command: Command) => void;
}

/** Everything about one sandbox, beside the table (over it where there is no room). Escape closes it. */
export function SandboxPanel({ sandbox, busy, runs, onCommand }: Props) {
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
      <p className="panel__why">{reason}</p>
      <Facts sandbox={sandbox} />
      <CommandBox key={sandbox.id} sandbox={sandbox} runs={runs} />
    </aside>
  );
}

function Facts({ sandbox }: { sandbox: SandboxRow }) {
  return (
    <dl className="facts">
      <div>
        <dt>Template</dt>
        <dd>
          <bdi>{sandbox.template.name}</bdi>
        </dd>
      </div>
      <div>
        <dt>Shape</dt>
        <dd>
          {sandbox.vcpus} vCPU · {mebibytes(sandbox.memoryMb)} · {mebibytes(sandbox.diskSizeMb)} disk
        </dd>
      </div>
      <div>
        <dt>Created</dt>
        <dd>
          <Age since={sandbox.createdAt} /> ago
        </dd>
      </div>
      <div>
        <dt>Changed</dt>
        <dd>
          <Age since={sandbox.updatedAt} /> ago
        </dd>
      </div>
      {sandbox.autoPauseAt && (
        <div>
          <dt>Pauses when unused</dt>
          <dd>
            <time dateTime={sandbox.autoPauseAt}>{absolute(sandbox.autoPauseAt)}</time>
          </dd>
        </div>
      )}
      {sandbox.labels.length > 0 && (
        <div className="facts__wide">
          <dt>Labels</dt>
          <dd className="labels">
            {sandbox.labels.map(({ key, value }) => (
              <span className="label" key={key}>
                <bdi>{key}</bdi>
                {value && <bdi className="label__value">{value}</bdi>}
              </span>
            ))}
          </dd>
        </div>
      )}
    </dl>
  );
}
