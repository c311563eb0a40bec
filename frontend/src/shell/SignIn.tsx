import { useId, useRef, useState, type SubmitEvent } from 'react';

import type { Problem } from '../api/problem';
import { Logo } from '../ui/Logo';

interface Props {
  title: string;
  checking: boolean;
  problem: Problem | null;
  onSignIn: (key: string) => void;
}

/** Asks for the API key. The field has no name and the page forbids form targets, so the key cannot end up in an address. */
export function SignIn({ title, checking, problem, onSignIn }: Props) {
  const [key, setKey] = useState('');
  const [missing, setMissing] = useState(false);
  const input = useRef<HTMLInputElement>(null);
  const ids = { input: useId(), hint: useId(), error: useId() };
  const message = missing ? 'Enter an API key first.' : problem?.message;

  function submit(event: SubmitEvent): void {
    event.preventDefault();
    const trimmed = key.trim();
    setMissing(trimmed === '');
    if (trimmed === '') input.current?.focus();
    else onSignIn(trimmed);
  }

  return (
    <main className="sign-in">
      <form className="sign-in__card" onSubmit={submit} noValidate>
        <Logo />
        <h1>{title}</h1>
        <label className="field__label" htmlFor={ids.input}>
          API key
        </label>
        <input
          id={ids.input}
          ref={input}
          className="input input--mono"
          type="password"
          autoComplete="off"
          autoFocus
          spellCheck={false}
          placeholder="nb_…"
          value={key}
          aria-invalid={message !== undefined}
          aria-describedby={message === undefined ? ids.hint : `${ids.error} ${ids.hint}`}
          onChange={(event) => {
            setKey(event.target.value);
            setMissing(false);
          }}
        />
        <p className="field__error" id={ids.error} role="alert">
          {checking ? '' : message}
        </p>
        <button className="button button--primary button--wide" type="submit" aria-disabled={checking}>
          {checking ? 'Signing in…' : 'Sign in'}
        </button>
        <p className="sign-in__hint" id={ids.hint}>
          The first start of Nestbox prints a key. Lost it? <code>nestbox key create</code> makes another. It stays in this tab
          only.
        </p>
      </form>
    </main>
  );
}
