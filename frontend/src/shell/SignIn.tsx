import { useId, useState, type SubmitEvent } from 'react';

import { paths, signInFailure } from '../api/paths';
import type { Problem } from '../api/problem';
import { Logo } from '../ui/Logo';
import { SecretField } from '../ui/SecretField';
import type { Oidc, Proof } from './useSession';

interface Props {
  title: string;
  checking: boolean;
  problem: Problem | null;
  oidc: Oidc;
  onSignIn: (proof: Proof) => void;
}

/**
 * Asks who somebody is: by address and password, or by an API key. The fields have no names and the page forbids form
 * targets, so neither can end up in an address.
 */
export function SignIn({ title, checking, problem, oidc, onSignIn }: Props) {
  const [way, setWay] = useState<Proof['kind']>('password');
  const [email, setEmail] = useState('');
  const [secret, setSecret] = useState('');
  const [missing, setMissing] = useState<string | null>(null);
  const ids = { email: useId(), error: useId() };
  const byKey = way === 'key';
  const message = missing ?? problem?.message ?? (signInFailure() && 'The other service did not sign you in, or you have no account here.');

  function submit(event: SubmitEvent): void {
    event.preventDefault();
    if (checking) return;
    const lacks = missingPart(byKey, email, secret);
    setMissing(lacks);
    if (lacks === null) onSignIn(byKey ? { kind: 'key', key: secret.trim() } : { kind: 'password', email, password: secret });
  }

  return (
    <main className="sign-in">
      <form className="sign-in__card" onSubmit={submit} noValidate>
        <Logo />
        <h1>{title}</h1>
        {!byKey && (
          <div className="field">
            <label className="field__label" htmlFor={ids.email}>
              Email
            </label>
            <input
              id={ids.email}
              className="input"
              type="email"
              autoComplete="username"
              autoFocus
              spellCheck={false}
              value={email}
              aria-describedby={ids.error}
              onChange={(event) => {
                setEmail(event.target.value);
              }}
            />
          </div>
        )}
        <SecretField
          key={way}
          label={byKey ? 'API key' : 'Password'}
          autoComplete={byKey ? 'off' : 'current-password'}
          autoFocus={byKey}
          placeholder={byKey ? 'nb_…' : ''}
          value={secret}
          invalid={Boolean(message)}
          describedBy={ids.error}
          onChange={(value) => {
            setSecret(value);
            setMissing(null);
          }}
        />
        <p className="field__error" id={ids.error} role="alert">
          {checking ? '' : message}
        </p>
        <button className="button button--primary button--wide" type="submit" aria-disabled={checking}>
          {checking ? 'Signing in…' : 'Sign in'}
        </button>
        {oidc && (
          <a className="button button--wide" href={paths.oidcStart}>
            Continue with {oidc.name}
          </a>
        )}
        <button
          className="button button--quiet button--wide"
          type="button"
          onClick={() => {
            setWay(byKey ? 'password' : 'key');
            setSecret('');
            setMissing(null);
          }}
        >
          {byKey ? 'Sign in with a password instead' : 'Use a key instead'}
        </button>
        <p className="sign-in__hint">
          {byKey ? (
            <>
              <code>nestbox key create</code> makes one. It stays in this tab only.
            </>
          ) : (
            <>
              The first start of Nestbox prints an account and its password. Lost it? <code>nestbox user reset-password</code> makes
              another.
            </>
          )}
        </p>
      </form>
    </main>
  );
}

function missingPart(byKey: boolean, email: string, secret: string): string | null {
  if (byKey) return secret.trim() === '' ? 'Enter an API key first.' : null;
  return email.trim() === '' || secret === '' ? 'Enter your email address and your password first.' : null;
}
