import './styles/index.css';

import { StrictMode } from 'react';
import { createRoot } from 'react-dom/client';

import { SandboxesPage } from './sandboxes/SandboxesPage';
import { Notices } from './shell/Notices';
import { SessionGate } from './shell/SessionGate';

const root = document.getElementById('root');
if (!root) throw new Error('index.html has no #root');

createRoot(root).render(
  <StrictMode>
    <SessionGate title="Sign in">
      {(session, signOut) => (
        <Notices>
          <SandboxesPage session={session} onSignOut={signOut} />
        </Notices>
      )}
    </SessionGate>
  </StrictMode>,
);
