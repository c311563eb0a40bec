import { useState } from 'react';

import type { TeamQuery } from '../gql/graphql';
import { absolute, words } from '../ui/format';
import { Icon } from '../ui/Icon';
import { RevokeInvitation } from './documents';
import { InviteDialog } from './InviteDialog';
import { useAction } from '../shell/useAction';

type Invitation = NonNullable<NonNullable<TeamQuery['team']>['invitations']>['nodes'][number];

interface Props {
  invitations: readonly Invitation[];
  onChanged: () => void;
}

export function InvitationsSection({ invitations, onChanged }: Props) {
  const act = useAction(onChanged);
  const [inviting, setInviting] = useState(false);

  return (
    <section className="card" aria-labelledby="invitations">
      <div className="card__title">
        <h2 id="invitations">
          Invitations <span className="count">{invitations.length}</span>
        </h2>
        <button
          className="button"
          type="button"
          onClick={() => {
            setInviting(true);
          }}
        >
          <Icon name="plus" />
          Invite somebody
        </button>
      </div>
      {invitations.length === 0 && <p className="card__note">Nobody is invited at the moment.</p>}
      <ul className="list">
        {invitations.map((invitation) => (
          <li className="list__row" key={invitation.id}>
            <div className="list__main">
              <bdi className="list__name">{invitation.email}</bdi>
              <span className="list__detail">
                {invitation.invitedBy && <>invited by {invitation.invitedBy}, </>}until {absolute(invitation.expiresAt)}
              </span>
            </div>
            <span>{words(invitation.role)}</span>
            <div className="list__buttons">
              <button
                className="button button--quiet"
                type="button"
                aria-label={`Take back the invitation for ${invitation.email}`}
                onClick={() => {
                  act(RevokeInvitation, { id: invitation.id }, 'Invitation taken back');
                }}
              >
                Take back
              </button>
            </div>
          </li>
        ))}
      </ul>
      {inviting && (
        <InviteDialog
          onInvited={onChanged}
          onClose={() => {
            setInviting(false);
          }}
        />
      )}
    </section>
  );
}
