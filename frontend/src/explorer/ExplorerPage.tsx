import { createGraphiQLFetcher } from '@graphiql/toolkit';
import { GraphiQL } from 'graphiql';
import { useEffect, useState } from 'react';

import { bearer, openSocket } from '../api/client';
import { paths } from '../api/paths';
import { Header } from '../shell/Header';
import type { SignedIn } from '../shell/SessionGate';
import { DEFAULT_QUERY } from './defaultQuery';

interface Props {
  session: SignedIn;
  onSignOut: () => void;
}

/** GraphiQL with the key of the session on every request: in the header over HTTP, in connection_init over WebSocket. */
export function ExplorerPage({ session, onSignOut }: Props) {
  const [{ fetcher, socket }] = useState(() => makeFetcher(session.key));

  useEffect(() => () => void socket.dispose(), [socket]);

  return (
    <div className="explorer">
      <Header viewer={session.viewer} connection={null} here="explorer" onSignOut={onSignOut} />
      <div className="explorer__body">
        <GraphiQL
          fetcher={fetcher}
          defaultQuery={DEFAULT_QUERY}
          shouldPersistHeaders={false}
          showPersistHeadersSettings={false}
          isHeadersEditorEnabled={false}
          forcedTheme="system"
        >
          {/* the page's header has the name already */}
          <GraphiQL.Logo> </GraphiQL.Logo>
        </GraphiQL>
      </div>
    </div>
  );
}

function makeFetcher(key: string) {
  const socket = openSocket(key);
  const fetcher = createGraphiQLFetcher({
    url: paths.graphql,
    headers: { authorization: bearer(key) },
    wsClient: socket,
  });
  return { fetcher, socket };
}
