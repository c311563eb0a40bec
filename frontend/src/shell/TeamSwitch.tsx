import { useState } from 'react';
import { useMutation } from 'urql';

import { firstProblem, problemOf } from '../api/problem';
import { SwitchTeam } from './documents';
import type { Viewer } from './useSession';

interface Props {
  viewer: Viewer;
  onSwitched: () => void;
}

/** The team that the page acts for; for somebody who is in several, the way to another one. */
export function TeamSwitch({ viewer, onSwitched }: Props) {
  const [, switchTeam] = useMutation(SwitchTeam);
  const [problem, setProblem] = useState<string | null>(null);

  if (viewer.teams.length < 2) {
    return (
      <span className="header__team" title={`Signed in as ${viewer.email ?? viewer.name}`}>
        <bdi>{viewer.teamName || 'No team'}</bdi>
      </span>
    );
  }

  async function choose(teamId: string): Promise<void> {
    const { data, error } = await switchTeam({ teamId });
    const found = data ? firstProblem(data.switchTeam.userErrors) : problemOf(error);
    setProblem(found?.message ?? null);
    if (!found) onSwitched();
  }

  return (
    <label className="header__team">
      <span className="visually-hidden">Team</span>
      <select
        className="team-switch"
        value={viewer.teamId ?? ''}
        title={problem ?? undefined}
        aria-invalid={problem !== null}
        onChange={(event) => {
          void choose(event.target.value);
        }}
      >
        {viewer.teams.map((team) => (
          <option value={team.id} key={team.id}>
            {team.name}
          </option>
        ))}
      </select>
    </label>
  );
}
