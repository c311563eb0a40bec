import { paths } from '../api/paths';
import { titleOf } from '../sandboxes/titleOf';
import { ActionButton } from '../ui/ActionButton';
import { Age } from '../ui/Age';
import { bytes, words } from '../ui/format';
import { reasonAgainstDelete, shapeWords, type Source, type Template } from './template';

interface Props {
  templates: readonly Template[];
  sources: ReadonlyMap<string, Source>;
  /** The templates that are being deleted. */
  busy: ReadonlySet<string>;
  onDelete: (template: Template) => void;
}

/** Roles are written out for the reason that `SandboxTable` gives. */
export function TemplateTable({ templates, sources, busy, onDelete }: Props) {
  return (
    <table className="table table--templates" role="table" aria-label="Templates">
      <thead role="rowgroup">
        <tr role="row">
          <th role="columnheader" scope="col" className="col-name">
            Name
          </th>
          <th role="columnheader" scope="col" className="col-type">
            Type
          </th>
          <th role="columnheader" scope="col" className="col-size">
            Size
          </th>
          <th role="columnheader" scope="col" className="col-source">
            Source
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
        {templates.map((template) => (
          <tr role="row" className="row" key={template.id}>
            <td role="cell" className="col-name">
              <bdi className="row__major row__major--name" title={template.name}>
                {template.name}
              </bdi>
              <span className="row__minor" title={template.description}>
                {template.description}
              </span>
            </td>
            <td role="cell" className="col-type">
              <span className="row__major">{words(template.type)}</span>
              <span className="row__minor">{shapeWords(template)}</span>
            </td>
            <td role="cell" className="col-size">
              {template.storedBytes === null ? 'not known' : bytes(template.storedBytes)}
            </td>
            <td role="cell" className="col-source">
              <SourceCell template={template} sources={sources} />
            </td>
            <td role="cell" className="col-age">
              <Age since={template.createdAt} />
            </td>
            <td role="cell" className="col-actions">
              <ActionButton
                icon="delete"
                label="Delete"
                description={`Delete ${template.name}`}
                reason={reasonAgainstDelete(template)}
                busy={busy.has(template.id)}
                withText={false}
                tone="danger"
                onClick={() => {
                  onDelete(template);
                }}
              />
            </td>
          </tr>
        ))}
      </tbody>
    </table>
  );
}

function SourceCell({ template, sources }: Pick<Props, 'sources'> & { template: Template }) {
  if (template.sourceSandboxId === null) return <span className="row__major">{template.isPlatform ? 'Platform' : ''}</span>;
  const source = sources.get(template.sourceSandboxId) ?? null;
  const title = titleOf(source ?? { id: template.sourceSandboxId, name: '' });
  if (source === null || source.state === 'DELETED') {
    return (
      <>
        <bdi className="row__major">{title}</bdi>
        {source !== null && <span className="row__minor">deleted</span>}
      </>
    );
  }
  return (
    <a className="row__major" href={paths.dashboard + paths.sandbox(source.id)}>
      <bdi>{title}</bdi>
    </a>
  );
}
