import { useState } from 'react';

import type { Role, TeamQuery } from '../gql/graphql';
import type { Viewer } from '../shell/useSession';
import { words } from '../ui/format';
import { ConfirmDialog } from '../ui/ConfirmDialog';
import { ChangeMemberRole, LeaveTeam, RemoveMember, TransferOwnership } from './documents';
import { PageTurner } from '../ui/PageTurner';
import { ROLES } from './roles';
import { useAction } from '../shell/useAction';

type Members = NonNullable<NonNullable<TeamQuery['team']>['members']>;
type Member = Members['nodes'][number];

interface Props {
  connection: Members;
  viewer: Viewer;
  admin: boolean;
  onChanged: () => void;
  /** What the viewer may do has changed, or the team that they act for. */
  onSelfChanged: () => void;
  after: string | null;
  onPage: (after: string | null) => void;
}

type Asking = { what: 'remove' | 'leave' | 'transfer'; member: Member } | null;

const nameOf = (member: Member): string => member.name || member.email;

export function MembersSection({ connection, viewer, admin, onChanged, onSelfChanged, after, onPage }: Props) {
  const act = useAction(onChanged);
  const actOnSelf = useAction(onSelfChanged);
  const [asking, setAsking] = useState<Asking>(null);

  function confirmed({ what, member }: NonNullable<Asking>): void {
    setAsking(null);
    if (what === 'remove') act(RemoveMember, { userId: member.id }, `${nameOf(member)} removed`);
    else if (what === 'transfer') actOnSelf(TransferOwnership, { userId: member.id }, `${nameOf(member)} is an owner`);
    else if (viewer.teamId) actOnSelf(LeaveTeam, { teamId: viewer.teamId }, 'You have left the team');
  }

  function changeRole(member: Member, role: Role): void {
    const send = member.id === viewer.id ? actOnSelf : act;
    send(ChangeMemberRole, { userId: member.id, role }, `${nameOf(member)} is ${words(role).toLowerCase()}`);
  }

  return (
    <section className="card" aria-labelledby="members">
      <h2 id="members">
        Members <span className="count">{connection.totalCount}</span>
      </h2>
      <ul className="list">
        {connection.nodes.map((member) => (
          <li className="list__row" key={member.id}>
            <div className="list__main">
              <bdi className="list__name">{nameOf(member)}</bdi>
              {member.id === viewer.id && <span className="tag">you</span>}
              {member.deactivated && <span className="tag">deactivated</span>}
              {member.name !== '' && <bdi className="list__detail">{member.email}</bdi>}
            </div>
            {admin ? (
              <select
                className="input input--small"
                aria-label={`Role of ${nameOf(member)}`}
                value={member.role}
                onChange={(event) => {
                  changeRole(member, event.target.value as Role);
                }}
              >
                {ROLES.map((role) => (
                  <option value={role} key={role}>
                    {words(role)}
                  </option>
                ))}
              </select>
            ) : (
              <span>{words(member.role)}</span>
            )}
            <MemberButtons
              member={member}
              viewer={viewer}
              admin={admin}
              onAsk={(what) => {
                setAsking({ what, member });
              }}
            />
          </li>
        ))}
      </ul>
      <PageTurner pageInfo={connection.pageInfo} after={after} onPage={onPage} />
      {asking && <Question asking={asking} onClose={() => { setAsking(null); }} onConfirm={() => { confirmed(asking); }} />}
    </section>
  );
}

interface ButtonsProps {
  member: Member;
  viewer: Viewer;
  admin: boolean;
  onAsk: (what: 'remove' | 'leave' | 'transfer') => void;
}

function MemberButtons({ member, viewer, admin, onAsk }: ButtonsProps) {
  const self = member.id === viewer.id;
  return (
    <div className="list__buttons">
      {viewer.role === 'OWNER' && !self && member.role !== 'OWNER' && (
        <button className="button button--quiet" type="button" aria-label={`Hand over to ${nameOf(member)}`} onClick={() => { onAsk('transfer'); }}>
          Hand over
        </button>
      )}
      {self ? (
        <button className="button button--quiet" type="button" onClick={() => { onAsk('leave'); }}>
          Leave
        </button>
      ) : (
        admin && (
          <button className="button button--quiet" type="button" aria-label={`Remove ${nameOf(member)}`} onClick={() => { onAsk('remove'); }}>
            Remove
          </button>
        )
      )}
    </div>
  );
}

interface QuestionProps {
  asking: NonNullable<Asking>;
  onClose: () => void;
  onConfirm: () => void;
}

function Question({ asking, onClose, onConfirm }: QuestionProps) {
  const name = nameOf(asking.member);
  switch (asking.what) {
    case 'remove':
      return (
        <ConfirmDialog title="Remove this member?" subject={name} confirm="Remove" onClose={onClose} onConfirm={onConfirm}>
          is out of the team at once. The keys that they made for it are revoked; sandboxes stay.
        </ConfirmDialog>
      );
    case 'leave':
      return (
        <ConfirmDialog title="Leave this team?" subject="You" confirm="Leave" onClose={onClose} onConfirm={onConfirm}>
          see nothing of it any more until somebody invites you again. The keys that you made for it are revoked.
        </ConfirmDialog>
      );
    case 'transfer':
      return (
        <ConfirmDialog title="Hand the team over?" subject={name} confirm="Hand over" onClose={onClose} onConfirm={onConfirm}>
          becomes an owner of the team in your place, and you an admin of it.
        </ConfirmDialog>
      );
  }
}
