import './styles/index.css';

import { StrictMode } from 'react';
import { createRoot } from 'react-dom/client';

import { paths } from './api/paths';
import { InvitationPage } from './invitation/InvitationPage';
import { SandboxesPage } from './sandboxes/SandboxesPage';
import { Notices } from './shell/Notices';
import { SessionGate } from './shell/SessionGate';
import { NoTeamPage } from './team/NoTeamPage';
import { TeamPage } from './team/TeamPage';
import { TemplatesPage } from './templates/TemplatesPage';

const root = document.getElementById('root');
if (!root) throw new Error('index.html has no #root');

createRoot(root).render(<StrictMode>{location.pathname === paths.invitation ? <InvitationPage /> : <Dashboard />}</StrictMode>);

/** The pages of somebody who is signed in; somebody in no team is shown how to get into one. */
function Dashboard() {
  return (
    <SessionGate title="Sign in">
      {(session, control) => (
        <Notices>
          {session.viewer.teamId === null ? (
            <NoTeamPage session={session} control={control} />
          ) : location.pathname === paths.team ? (
            <TeamPage session={session} control={control} />
          ) : location.pathname === paths.templates ? (
            <TemplatesPage session={session} control={control} />
          ) : (
            <SandboxesPage session={session} control={control} />
          )}
        </Notices>
      )}
    </SessionGate>
  );
}
