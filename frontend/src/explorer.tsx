import 'graphiql/style.css';
import './styles/index.css';
import './styles/explorer.css';

import { StrictMode } from 'react';
import { createRoot } from 'react-dom/client';

import { ExplorerPage } from './explorer/ExplorerPage';
import { SessionGate } from './shell/SessionGate';

const root = document.getElementById('root');
if (!root) throw new Error('explorer.html has no #root');

createRoot(root).render(
  <StrictMode>
    <SessionGate title="Sign in to the explorer">
      {(session, control) => <ExplorerPage session={session} control={control} />}
    </SessionGate>
  </StrictMode>,
);
