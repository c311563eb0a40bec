import { useState, type SubmitEvent } from 'react';
import { useMutation } from 'urql';

import { absolute } from '../api/paths';
import { firstProblem, problemOf, type Problem } from '../api/problem';
import type { Role } from '../gql/graphql';
import { ChoiceField } from '../ui/ChoiceField';
import { Dialog } from '../ui/Dialog';
import { Field } from '../ui/Field';
import { words } from '../ui/format';
import { InviteMember } from './documents';
import { ROLES } from './roles';
import { ShownOnce } from './ShownOnce';

interface Props {
  onInvited: () => void;
  onClose: () => void;
}

/** Asks whom to invite, then shows the link: nothing sends it, that is for the person who invites. */
export function InviteDialog({ onInvited, onClose }: Props) {
  const [email, setEmail] = useState('');
  const [role, setRole] = useState<Role>('MEMBER');
  const [problem, setProblem] = useState<Problem | null>(null);
  const [link, setLink] = useState<string | null>(null);
  const [{ fetching }, invite] = useMutation(InviteMember);

  async function submit(): Promise<void> {
    const { data, error } = await invite({ email, role });
    const found = data ? firstProblem(data.inviteMember.userErrors) : problemOf(error);
    setProblem(found);
    if (!found && data?.inviteMember.link) {
      setLink(absolute(data.inviteMember.link));
      onInvited();
    }
  }

  function onSubmit(event: SubmitEvent): void {
    event.preventDefault();
    if (!fetching) void submit();
  }

  if (link !== null) {
    return (
      <ShownOnce title="Send this link" what="invitation link" secret={link} onClose={onClose}>
        It works once, within seven days, for <bdi>{email}</bdi> only.
      </ShownOnce>
    );
  }
  return (
    <Dialog title="Invite somebody" onClose={onClose}>
      <form onSubmit={onSubmit} noValidate>
        <Field
          label="Email"
          hint="The account that joins must have this address."
          required
          value={email}
          error={problem?.path.includes('email') ? problem.message : null}
          autoFocus
          onChange={setEmail}
        />
        <ChoiceField label="Role" value={role} choices={ROLES.map((each) => [each, words(each)])} onChange={setRole} />
        <p className="field__error" role="alert">
          {problem && !problem.path.includes('email') && problem.message}
        </p>
        <div className="row-of-buttons">
          <button className="button" type="button" onClick={onClose}>
            Cancel
          </button>
          <button className="button button--primary" type="submit" aria-disabled={fetching}>
            {fetching ? 'Inviting…' : 'Make a link'}
          </button>
        </div>
      </form>
    </Dialog>
  );
}
