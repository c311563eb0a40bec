import { createGraphiQLFetcher } from '@graphiql/toolkit';
import { GraphiQL } from 'graphiql';
import { useEffect, useState } from 'react';

import { openSocket } from '../api/client';
import { cookiesOf, headersOf, type Credential } from '../api/credential';
import { paths } from '../api/paths';
import { Header } from '../shell/Header';
import type { SignedIn } from '../shell/SessionGate';
import type { SessionControl } from '../shell/useSession';
import { DEFAULT_QUERY } from './defaultQuery';

interface Props {
  session: SignedIn;
  control: SessionControl;
}

/** GraphiQL with what proves the session on every request, over HTTP and over WebSocket. */
export function ExplorerPage({ session, control }: Props) {
  const [{ fetcher, socket }] = useState(() => makeFetcher(session.credential));

  useEffect(() => () => void socket.dispose(), [socket]);

  return (
    <div className="explorer">
      <Header viewer={session.viewer} connection={null} here="explorer" control={control} />
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

function makeFetcher(credential: Credential) {
  const socket = openSocket(credential);
  const fetcher = createGraphiQLFetcher({
    url: paths.graphql,
    headers: headersOf(credential),
    fetch: (input, init) => fetch(input, { ...init, credentials: cookiesOf(credential) }),
    wsClient: socket,
  });
  return { fetcher, socket };
}
