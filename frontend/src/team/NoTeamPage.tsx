import { Header } from '../shell/Header';
import type { SignedIn } from '../shell/SessionGate';
import type { SessionControl } from '../shell/useSession';
import { AccountSection } from './AccountSection';

interface Props {
  session: SignedIn;
  control: SessionControl;
}

/** For somebody who has an account and is in no team. */
export function NoTeamPage({ session, control }: Props) {
  return (
    <>
      <Header viewer={session.viewer} connection={null} here="team" control={control} />
      <main className="page">
        <div className="page__title">
          <h1>You are in no team</h1>
        </div>
        <p>Ask somebody to invite you, or make a team of your own.</p>
        <AccountSection viewer={session.viewer} onTeamsChanged={control.refresh} />
      </main>
    </>
  );
}
