import { useCallback, useState } from 'react';

import { paths } from '../api/paths';
import type { SandboxRow } from '../live/sandboxList';
import { useLiveSandboxes } from '../live/useLiveSandboxes';
import { Header } from '../shell/Header';
import type { SignedIn } from '../shell/SessionGate';
import type { SessionControl } from '../shell/useSession';
import { Icon } from '../ui/Icon';
import { CreateDialog } from './CreateDialog';
import { DeleteDialog } from './DeleteDialog';
import { EmptyState } from './EmptyState';
import { ForkDialog } from './ForkDialog';
import { SandboxPanel } from './SandboxPanel';
import { SandboxTable } from './SandboxTable';
import { TemplateDialog } from './TemplateDialog';
import { useCommands, type Command } from './useCommands';
import { useOpenSandbox } from './useOpenSandbox';
import { useRuns } from './useRuns';

interface Props {
  session: SignedIn;
  control: SessionControl;
}

type Asking = { what: 'create' } | { what: 'delete' | 'fork' | 'template'; sandbox: SandboxRow } | null;

export function SandboxesPage({ session, control }: Props) {
  const { rows, loaded, truncated, connection } = useLiveSandboxes(session.api, control.refresh);
  const commands = useCommands();
  const runs = useRuns();
  const [asking, setAsking] = useState<Asking>(null);
  const openId = useOpenSandbox();
  const open = rows.find((row) => row.id === openId) ?? null;

  const { run } = commands;
  const command = useCallback(
    (sandbox: SandboxRow, wanted: Command) => {
      if (wanted === 'DELETE') setAsking({ what: 'delete', sandbox });
      else run(sandbox, wanted);
    },
    [run],
  );
  const stopAsking = (): void => {
    setAsking(null);
  };
  const askForNew = (): void => {
    setAsking({ what: 'create' });
  };

  return (
    <>
      <Header viewer={session.viewer} connection={connection} here="dashboard" control={control} />
      <main className={open ? 'page page--split' : 'page'}>
        <section className="page__list" aria-labelledby="page-heading" aria-busy={!loaded}>
          <div className="page__title">
            <h1 id="page-heading">
              Sandboxes {loaded && <span className="count">{rows.length}</span>}
            </h1>
            <button className="button button--primary" type="button" onClick={askForNew}>
              <Icon name="plus" />
              New sandbox
            </button>
          </div>
          {loaded && rows.length === 0 && <EmptyState onCreate={askForNew} />}
          {rows.length > 0 && (
            <SandboxTable
              rows={rows}
              open={openId}
              busy={commands.busy}
              stale={connection === 'reconnecting'}
              onCommand={command}
            />
          )}
          {truncated && <p className="page__note">Only the newest {rows.length} are shown here.</p>}
        </section>
        {open && (
          <SandboxPanel
            sandbox={open}
            rows={rows}
            busy={commands.busy}
            runs={runs}
            onCommand={command}
            onFork={(sandbox) => {
              setAsking({ what: 'fork', sandbox });
            }}
            onMakeTemplate={(sandbox) => {
              setAsking({ what: 'template', sandbox });
            }}
          />
        )}
      </main>
      {asking?.what === 'create' && (
        <CreateDialog
          onClose={stopAsking}
          onCreated={(id) => {
            stopAsking();
            location.hash = paths.sandbox(id);
          }}
        />
      )}
      {asking?.what === 'fork' && <ForkDialog sandbox={asking.sandbox} rows={rows} onClose={stopAsking} />}
      {asking?.what === 'template' && <TemplateDialog sandbox={asking.sandbox} onClose={stopAsking} />}
      {asking?.what === 'delete' && (
        <DeleteDialog
          sandbox={asking.sandbox}
          onClose={stopAsking}
          onConfirm={() => {
            stopAsking();
            run(asking.sandbox, 'DELETE');
          }}
        />
      )}
    </>
  );
}
