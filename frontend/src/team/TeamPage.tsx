import { useCallback, useState } from 'react';
import { useQuery } from 'urql';

import { problemOf } from '../api/problem';
import { Header } from '../shell/Header';
import type { SignedIn } from '../shell/SessionGate';
import type { SessionControl } from '../shell/useSession';
import { AccountSection } from './AccountSection';
import { TeamQuery } from './documents';
import { InvitationsSection } from './InvitationsSection';
import { KeysSection } from './KeysSection';
import { MembersSection } from './MembersSection';
import { QuotaSection } from './QuotaSection';

interface Props {
  session: SignedIn;
  control: SessionControl;
}

/** Who is in the team, who is invited, and its keys. No stream tells of these: they are asked for again after each change. */
export function TeamPage({ session, control }: Props) {
  const { viewer } = session;
  const admin = viewer.scopes.includes('TEAM_ADMIN');
  const [membersAfter, setMembersAfter] = useState<string | null>(null);
  const [keysAfter, setKeysAfter] = useState<string | null>(null);
  const [{ data, error }, ask] = useQuery({ query: TeamQuery, variables: { admin, keysAfter, membersAfter } });
  const again = useCallback(() => {
    ask({ requestPolicy: 'network-only' });
  }, [ask]);
  const team = data?.team;

  return (
    <>
      <Header viewer={viewer} connection={null} here="team" control={control} />
      <main className="page" aria-busy={!team}>
        <div className="page__title">
          <h1>
            <bdi>{viewer.teamName}</bdi>
          </h1>
        </div>
        {error && !team && <p role="alert">{problemOf(error).message}</p>}
        {viewer.scopes.includes('READ') && <QuotaSection />}
        {team?.members && (
          <MembersSection
            connection={team.members}
            viewer={viewer}
            admin={admin}
            onChanged={again}
            onSelfChanged={control.refresh}
            after={membersAfter}
            onPage={setMembersAfter}
          />
        )}
        {team?.invitations && <InvitationsSection invitations={team.invitations.nodes} onChanged={again} />}
        {team?.apiKeys && <KeysSection connection={team.apiKeys} viewer={viewer} onChanged={again} after={keysAfter} onPage={setKeysAfter} />}
        {viewer.email !== null && <AccountSection viewer={viewer} onTeamsChanged={control.refresh} />}
      </main>
    </>
  );
}
