import { useState, type SubmitEvent } from 'react';
import { useMutation } from 'urql';

import { firstProblem, problemOf, type Problem } from '../api/problem';
import { SwitchTeam } from '../shell/documents';
import { Field } from '../ui/Field';
import { CreateTeam } from './documents';

/** Makes a team and goes there. */
export function CreateTeamForm({ onCreated }: { onCreated: () => void }) {
  const [name, setName] = useState('');
  const [problem, setProblem] = useState<Problem | null>(null);
  const [{ fetching }, create] = useMutation(CreateTeam);
  const [, switchTeam] = useMutation(SwitchTeam);

  async function submit(): Promise<void> {
    const { data, error } = await create({ name });
    const found = data ? firstProblem(data.createTeam.userErrors) : problemOf(error);
    setProblem(found);
    if (found || !data?.createTeam.team) return;
    await switchTeam({ teamId: data.createTeam.team.id });
    onCreated();
  }

  function onSubmit(event: SubmitEvent): void {
    event.preventDefault();
    if (!fetching) void submit();
  }

  return (
    <form className="inline-form" onSubmit={onSubmit} noValidate>
      <Field label="A new team" hint="You are its owner." required value={name} error={problem?.message ?? null} onChange={setName} />
      <button className="button" type="submit" aria-disabled={fetching}>
        Make the team
      </button>
    </form>
  );
}
