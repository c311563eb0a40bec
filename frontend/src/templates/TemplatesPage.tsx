import { useCallback, useState } from 'react';
import { useQuery } from 'urql';

import { problemOf } from '../api/problem';
import { Header } from '../shell/Header';
import type { SignedIn } from '../shell/SessionGate';
import { useAction } from '../shell/useAction';
import type { SessionControl } from '../shell/useSession';
import { ConfirmDialog } from '../ui/ConfirmDialog';
import { PageTurner } from '../ui/PageTurner';
import { DeleteTemplate, SourcesQuery, TemplatesQuery } from './documents';
import { sourceIds, type Source, type Template } from './template';
import { TemplateTable } from './TemplateTable';

interface Props {
  session: SignedIn;
  control: SessionControl;
}

/** What sandboxes of the team can start from. No stream tells of templates: they are asked for again after each change. */
export function TemplatesPage({ session, control }: Props) {
  const [after, setAfter] = useState<string | null>(null);
  const [deleting, setDeleting] = useState<Template | null>(null);
  const [busy, setBusy] = useState<ReadonlySet<string>>(new Set());
  const [{ data, error }, ask] = useQuery({ query: TemplatesQuery, variables: { after } });
  const templates = data?.templates.nodes ?? [];
  const sources = useSources(templates);
  const again = useCallback(() => {
    setBusy(new Set());
    ask({ requestPolicy: 'network-only' });
  }, [ask]);
  const act = useAction(again);

  return (
    <>
      <Header viewer={session.viewer} connection={null} here="templates" control={control} />
      <main className="page" aria-busy={!data}>
        <section className="page__list" aria-labelledby="page-heading">
          <div className="page__title">
            <h1 id="page-heading">
              Templates {data && <span className="count">{data.templates.totalCount}</span>}
            </h1>
          </div>
          {error && !data && <p role="alert">{problemOf(error).message}</p>}
          {data && <TemplateTable templates={templates} sources={sources} busy={busy} onDelete={setDeleting} />}
          {data && <PageTurner pageInfo={data.templates.pageInfo} after={after} onPage={setAfter} />}
          <p className="page__note">
            To make one, open a sandbox and choose “Make template…”. Sizes are the blocks that it takes on the disks of hosts.
          </p>
        </section>
      </main>
      {deleting && (
        <ConfirmDialog
          title="Delete this template?"
          subject={deleting.name}
          confirm="Delete"
          onClose={() => {
            setDeleting(null);
          }}
          onConfirm={() => {
            setDeleting(null);
            setBusy((ids) => new Set(ids).add(deleting.id));
            act(DeleteTemplate, { id: deleting.id }, `${deleting.name} deleted`);
          }}
        >
          goes from all hosts, and its name is free again. There is no way back.
        </ConfirmDialog>
      )}
    </>
  );
}

/** The sandboxes that the templates were made of, by id. */
function useSources(templates: readonly Template[]): ReadonlyMap<string, Source> {
  const ids = sourceIds(templates);
  const [{ data }] = useQuery({ query: SourcesQuery, variables: { ids }, pause: ids.length === 0 });
  return new Map((data?.nodes ?? []).flatMap((node) => (node?.__typename === 'Sandbox' ? [[node.id, node] as const] : [])));
}
