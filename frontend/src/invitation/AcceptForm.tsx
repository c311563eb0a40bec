import { useId, useState, type SubmitEvent } from 'react';

import { acceptInvitation, endSession, type Invitation, type Person } from '../api/auth';
import { paths } from '../api/paths';
import type { Problem } from '../api/problem';
import { storedKey } from '../api/storage';
import { Field } from '../ui/Field';
import { words } from '../ui/format';
import { SecretField } from '../ui/SecretField';

interface Props {
  token: string;
  invitation: Invitation;
  /** Whoever is signed in with this browser. */
  user: Person | null;
}

/** Joins the team: as whoever is signed in, with the password of an account, or with a new one. */
export function AcceptForm({ token, invitation, user }: Props) {
  const [name, setName] = useState('');
  const [password, setPassword] = useState('');
  const [problem, setProblem] = useState<Problem | null>(null);
  const [busy, setBusy] = useState(false);
  const [somebody, setSomebody] = useState(user);
  const error = useId();

  async function submit(): Promise<void> {
    setBusy(true);
    const { problem: found } = await acceptInvitation({ token, password: somebody ? null : password, name });
    setBusy(false);
    setProblem(found);
    if (found) return;
    // a key of this tab would act in the stead of the session that has just begun
    storedKey.clear();
    location.assign(paths.dashboard);
  }

  function onSubmit(event: SubmitEvent): void {
    event.preventDefault();
    if (!busy) void submit();
  }

  return (
    <form onSubmit={onSubmit} noValidate>
      <h1>
        Join <bdi>{invitation.team}</bdi>
      </h1>
      <p>
        {invitation.invitedBy ? <bdi>{invitation.invitedBy}</bdi> : 'Somebody'} invites <bdi>{invitation.email}</bdi>. You will be:{' '}
        {words(invitation.role).toLowerCase()}.
      </p>
      {somebody ? (
        <p className="field__hint">
          You are signed in as <bdi>{somebody.email}</bdi>.{' '}
          <button
            className="link"
            type="button"
            onClick={() => {
              void endSession().then(() => {
                setSomebody(null);
              });
            }}
          >
            Sign out
          </button>
        </p>
      ) : (
        <>
          <SecretField
            label="Password"
            autoComplete="current-password"
            autoFocus
            value={password}
            invalid={problem !== null}
            describedBy={error}
            onChange={setPassword}
          />
          <p className="field__hint">Your own if you have an account here; else choose one, of at least 10 characters.</p>
          <Field label="Name" hint="How others in the team see you, if you are new." value={name} error={null} onChange={setName} />
        </>
      )}
      <p className="field__error" id={error} role="alert">
        {problem?.message}
      </p>
      <button className="button button--primary button--wide" type="submit" aria-disabled={busy}>
        {busy ? 'Joining…' : 'Join'}
      </button>
    </form>
  );
}
