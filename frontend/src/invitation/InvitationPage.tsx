import { useEffect, useState, type ReactNode } from 'react';

import { currentSession, lookAtInvitation, type Invitation, type Person } from '../api/auth';
import { Logo } from '../ui/Logo';
import { AcceptForm } from './AcceptForm';

type Found = { invitation: Invitation; user: Person | null } | { message: string } | null;

/** Where the link of an invitation leads. Its token is taken out of the address at once. */
export function InvitationPage() {
  const [token] = useState(() => location.hash.slice(1));
  const [found, setFound] = useState<Found>(null);

  useEffect(() => {
    history.replaceState(null, '', location.pathname);
    void look(token).then(setFound);
  }, [token]);

  return (
    <main className="sign-in" aria-busy={found === null}>
      <div className="sign-in__card">
        <Logo />
        {shown(found, token)}
      </div>
    </main>
  );
}

function shown(found: Found, token: string): ReactNode {
  if (found === null) return null;
  if ('message' in found) {
    return (
      <>
        <h1>No invitation</h1>
        <p role="alert">{found.message}</p>
      </>
    );
  }
  return <AcceptForm token={token} invitation={found.invitation} user={found.user} />;
}

async function look(token: string): Promise<Found> {
  const [looked, session] = await Promise.all([lookAtInvitation(token), currentSession()]);
  if (looked.problem) return { message: looked.problem.message };
  return { invitation: looked.data, user: session.data?.user ?? null };
}
