import { useQuery } from 'urql';

import { paths } from '../api/paths';
import type { SandboxRow } from '../live/sandboxList';
import { Age } from '../ui/Age';
import { absolute, bytes, mebibytes } from '../ui/format';
import { Parent } from './documents';
import { titleOf } from './titleOf';

/** What a sandbox is, and where it comes from. `rows` is the live list, in which its parent may be. */
export function SandboxFacts({ sandbox, rows }: { sandbox: SandboxRow; rows: readonly SandboxRow[] }) {
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
        <dt>Stored</dt>
        <dd title="What its files take on the disk of its host">{bytes(sandbox.storedBytes)}</dd>
      </div>
      {sandbox.parentId !== null && (
        <div>
          <dt>Forked from</dt>
          <dd>
            <ForkedFrom id={sandbox.parentId} rows={rows} />
          </dd>
        </div>
      )}
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

/** The parent as it is in the list, or, when it has left it, as its history has it. */
function ForkedFrom({ id, rows }: { id: string; rows: readonly SandboxRow[] }) {
  const listed = rows.find((row) => row.id === id);
  const [{ data }] = useQuery({ query: Parent, variables: { id }, pause: listed !== undefined });
  if (listed) {
    return (
      <a href={paths.sandbox(id)}>
        <bdi>{titleOf(listed)}</bdi>
      </a>
    );
  }
  const past = data?.sandbox ?? { id, name: '', state: 'DELETED' };
  return (
    <>
      <bdi>{titleOf(past)}</bdi>
      {past.state === 'DELETED' && ' (deleted)'}
    </>
  );
}
