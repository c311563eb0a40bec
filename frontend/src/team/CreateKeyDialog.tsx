import { useState, type SubmitEvent } from 'react';
import { useMutation } from 'urql';

import { firstProblem, problemOf, type Problem } from '../api/problem';
import type { Scope } from '../gql/graphql';
import { ChoiceField } from '../ui/ChoiceField';
import { Dialog } from '../ui/Dialog';
import { Field } from '../ui/Field';
import { CreateApiKey } from './documents';
import { SCOPES } from './roles';
import { ShownOnce } from './ShownOnce';

interface Props {
  /** Those that the viewer has, and can give. */
  scopes: readonly Scope[];
  onCreated: () => void;
  onClose: () => void;
}

const LIVES = [
  ['30', '30 days'],
  ['90', '90 days'],
  ['365', 'A year'],
  ['', 'Until it is revoked'],
] as const;
type Life = (typeof LIVES)[number][0];

const DAY_MS = 86_400_000;

/** Asks for a new key, then shows it. */
export function CreateKeyDialog({ scopes, onCreated, onClose }: Props) {
  const [name, setName] = useState('');
  const [scope, setScope] = useState<Scope>('WRITE');
  const [days, setDays] = useState<Life>('90');
  const [problem, setProblem] = useState<Problem | null>(null);
  const [key, setKey] = useState<string | null>(null);
  const [{ fetching }, create] = useMutation(CreateApiKey);

  async function submit(): Promise<void> {
    const expiresAt = days === '' ? null : new Date(Date.now() + Number(days) * DAY_MS).toISOString();
    const { data, error } = await create({ input: { name: name.trim(), scopes: [scope], expiresAt } });
    const found = data ? firstProblem(data.createApiKey.userErrors) : problemOf(error);
    setProblem(found);
    if (!found && data?.createApiKey.key) {
      setKey(data.createApiKey.key);
      onCreated();
    }
  }

  function onSubmit(event: SubmitEvent): void {
    event.preventDefault();
    if (!fetching) void submit();
  }

  if (key !== null) {
    return (
      <ShownOnce title="Your new key" what="API key" secret={key} onClose={onClose}>
        Keep it where your program finds it.
      </ShownOnce>
    );
  }
  return (
    <Dialog title="New API key" onClose={onClose}>
      <form onSubmit={onSubmit} noValidate>
        <Field
          label="Name"
          hint="What uses it."
          required
          value={name}
          error={problem?.path.includes('name') ? problem.message : null}
          autoFocus
          onChange={setName}
        />
        <ChoiceField label="It may" value={scope} choices={scopes.map((each) => [each, SCOPES[each]])} onChange={setScope} />
        <ChoiceField label="It lasts" value={days} choices={LIVES} onChange={setDays} />
        <p className="field__error" role="alert">
          {problem && !problem.path.includes('name') && problem.message}
        </p>
        <div className="row-of-buttons">
          <button className="button" type="button" onClick={onClose}>
            Cancel
          </button>
          <button className="button button--primary" type="submit" aria-disabled={fetching}>
            {fetching ? 'Making…' : 'Make the key'}
          </button>
        </div>
      </form>
    </Dialog>
  );
}
