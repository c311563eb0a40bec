import { Client, fetchExchange, subscriptionExchange, type ExecutionResult } from '@urql/core';
import { createClient as createSocket, type Client as Socket } from 'graphql-ws';

import { cookiesOf, headersOf, type Credential } from './credential';
import { paths } from './paths';

/** The server and everything between sends something at least this often, or the connection counts as dead. */
const PING_EVERY_MS = 10_000;
const PONG_WITHIN_MS = 5_000;

/**
 * The WebSocket of one session. It does not reconnect by itself: a stream that ends, for whatever reason, is started
 * again by `keepSubscribed`, which knows where it was.
 */
export function openSocket(credential: Credential): Socket {
  let pongTimeout: ReturnType<typeof setTimeout> | undefined;
  const socket: Socket = createSocket({
    url: paths.graphqlSocket,
    // a cookie comes with the connection by itself
    connectionParams: credential.kind === 'key' ? headersOf(credential) : {},
    connectionAckWaitTimeout: PONG_WITHIN_MS,
    keepAlive: PING_EVERY_MS,
    retryAttempts: 0,
    on: {
      ping: (received) => {
        if (received) return;
        pongTimeout = setTimeout(() => {
          socket.terminate();
        }, PONG_WITHIN_MS);
      },
      pong: (received) => {
        if (received) clearTimeout(pongTimeout);
      },
      closed: () => {
        clearTimeout(pongTimeout);
      },
    },
  });
  return socket;
}

export interface Api {
  client: Client;
  /** Calls the listener whenever the WebSocket is accepted by the server; gives what ends that. */
  onConnected: (listener: () => void) => () => void;
}

/** What acts for whoever this proves. Nothing is cached: lists live by subscription, and mutations answer what they did. */
export function createApi(credential: Credential): Api {
  const socket = openSocket(credential);
  return { client: createClient(credential, socket), onConnected: (listener) => socket.on('connected', listener) };
}

function createClient(credential: Credential, socket: Socket): Client {
  return new Client({
    url: paths.graphql,
    preferGetMethod: false,
    requestPolicy: 'network-only',
    fetchOptions: { headers: headersOf(credential), credentials: cookiesOf(credential), cache: 'no-store' },
    exchanges: [
      fetchExchange,
      subscriptionExchange({
        forwardSubscription: ({ query = '', variables }) => ({
          subscribe: (sink) => ({
            unsubscribe: socket.subscribe<ExecutionResult['data']>(
              { query, variables: { ...variables } },
              {
                // the two libraries differ only in whether an absent `data` may be written as undefined
                next: (result) => {
                  sink.next(result as ExecutionResult);
                },
                error: (cause) => {
                  sink.error(cause);
                },
                complete: () => {
                  sink.complete();
                },
              },
            ),
          }),
        }),
      }),
    ],
  });
}
