import { useState } from 'react';

import type { Viewer } from '../shell/useSession';
import { CreateTeamForm } from './CreateTeamForm';
import { PasswordDialog } from './PasswordDialog';

interface Props {
  viewer: Viewer;
  onTeamsChanged: () => void;
}

/** What is about the person rather than the team. */
export function AccountSection({ viewer, onTeamsChanged }: Props) {
  const [changing, setChanging] = useState(false);
  return (
    <section className="card" aria-labelledby="account">
      <div className="card__title">
        <h2 id="account">You</h2>
        <button
          className="button"
          type="button"
          onClick={() => {
            setChanging(true);
          }}
        >
          Change password
        </button>
      </div>
      <p className="card__note">
        Signed in as <bdi>{viewer.email}</bdi>
        {viewer.isPlatformAdmin && ', an admin of the whole platform'}.
      </p>
      <CreateTeamForm onCreated={onTeamsChanged} />
      {changing && (
        <PasswordDialog
          onClose={() => {
            setChanging(false);
          }}
        />
      )}
    </section>
  );
}
