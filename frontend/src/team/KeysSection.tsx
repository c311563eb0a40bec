import { useState } from 'react';

import type { TeamQuery } from '../gql/graphql';
import type { Viewer } from '../shell/useSession';
import { Age } from '../ui/Age';
import { absolute, words } from '../ui/format';
import { Icon } from '../ui/Icon';
import { ConfirmDialog } from '../ui/ConfirmDialog';
import { CreateKeyDialog } from './CreateKeyDialog';
import { RevokeApiKey } from './documents';
import { PageTurner } from '../ui/PageTurner';
import { useAction } from '../shell/useAction';

type Keys = NonNullable<NonNullable<TeamQuery['team']>['apiKeys']>;
type ApiKey = Keys['nodes'][number];

interface Props {
  connection: Keys;
  viewer: Viewer;
  onChanged: () => void;
  after: string | null;
  onPage: (after: string | null) => void;
}

export function KeysSection({ connection, viewer, onChanged, after, onPage }: Props) {
  const act = useAction(onChanged);
  const [creating, setCreating] = useState(false);
  const [revoking, setRevoking] = useState<ApiKey | null>(null);

  return (
    <section className="card" aria-labelledby="keys">
      <div className="card__title">
        <h2 id="keys">API keys</h2>
        <button
          className="button"
          type="button"
          onClick={() => {
            setCreating(true);
          }}
        >
          <Icon name="plus" />
          New key
        </button>
      </div>
      {connection.nodes.length === 0 && <p className="card__note">Programs use keys. There is none yet.</p>}
      <ul className="list">
        {connection.nodes.map((key) => (
          <li className={key.revokedAt === null ? 'list__row' : 'list__row list__row--over'} key={key.id}>
            <div className="list__main">
              <bdi className="list__name">{key.name}</bdi>
              {key.revokedAt !== null && <span className="tag">revoked</span>}
              <KeyDetail apiKey={key} />
            </div>
            <span>{words(key.scopes.at(-1) ?? '')}</span>
            <div className="list__buttons">
              {key.revokedAt === null && (
                <button
                  className="button button--quiet"
                  type="button"
                  aria-label={`Revoke ${key.name}`}
                  onClick={() => {
                    setRevoking(key);
                  }}
                >
                  Revoke
                </button>
              )}
            </div>
          </li>
        ))}
      </ul>
      <PageTurner pageInfo={connection.pageInfo} after={after} onPage={onPage} />
      {creating && (
        <CreateKeyDialog
          scopes={viewer.scopes}
          onCreated={onChanged}
          onClose={() => {
            setCreating(false);
          }}
        />
      )}
      {revoking && (
        <ConfirmDialog
          title="Revoke this key?"
          subject={revoking.name}
          confirm="Revoke"
          onClose={() => {
            setRevoking(null);
          }}
          onConfirm={() => {
            setRevoking(null);
            act(RevokeApiKey, { id: revoking.id }, `${revoking.name} revoked`);
          }}
        >
          opens nothing any more, within seconds. There is no way back.
        </ConfirmDialog>
      )}
    </section>
  );
}

function KeyDetail({ apiKey }: { apiKey: ApiKey }) {
  return (
    <span className="list__detail">
      made by {apiKey.createdBy || 'the command line'}, {apiKey.lastUsedAt ? <>used <Age since={apiKey.lastUsedAt} /> ago</> : 'never used'}
      {apiKey.expiresAt && <>, until {absolute(apiKey.expiresAt)}</>}
    </span>
  );
}
