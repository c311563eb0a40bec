import type { ReactNode } from 'react';
import { Provider } from 'urql';

import { SignIn } from './SignIn';
import { useSession, type Session, type SessionControl } from './useSession';

export type SignedIn = Extract<Session, { status: 'signed-in' }>;

interface Props {
  title: string;
  children: (session: SignedIn, control: SessionControl) => ReactNode;
}

/** Shows its children to somebody who is signed in, anew for each team, and the way to get there to everybody else. */
export function SessionGate({ title, children }: Props) {
  const control = useSession();
  const { session, signIn, signOut, refresh } = control;

  switch (session.status) {
    case 'signed-in':
      return (
        <Provider value={session.api.client} key={`${session.viewer.id} ${session.viewer.teamId ?? ''}`}>
          {children(session, control)}
        </Provider>
      );
    case 'unreachable':
      return (
        <main className="sign-in">
          <div className="sign-in__card" role="alert">
            <h1>No answer</h1>
            <p>{session.problem.message}</p>
            <div className="row-of-buttons">
              <button
                className="button button--primary"
                type="button"
                onClick={() => {
                  refresh();
                }}
              >
                Try again
              </button>
              <button className="button" type="button" onClick={signOut}>
                Sign out
              </button>
            </div>
          </div>
        </main>
      );
    case 'checking':
      if (session.first) return <main className="sign-in" aria-busy="true" />;
      return <SignIn title={title} checking problem={null} oidc={session.oidc} onSignIn={signIn} />;
    case 'signed-out':
      return <SignIn title={title} checking={false} problem={session.problem} oidc={session.oidc} onSignIn={signIn} />;
  }
}
