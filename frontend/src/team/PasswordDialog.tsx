import { useId, useState, type SubmitEvent } from 'react';
import { useMutation } from 'urql';

import { firstProblem, problemOf, type Problem } from '../api/problem';
import { useNotices } from '../shell/Notices';
import { Dialog } from '../ui/Dialog';
import { SecretField } from '../ui/SecretField';
import { ChangePassword } from './documents';

export function PasswordDialog({ onClose }: { onClose: () => void }) {
  const [current, setCurrent] = useState('');
  const [next, setNext] = useState('');
  const [problem, setProblem] = useState<Problem | null>(null);
  const [{ fetching }, change] = useMutation(ChangePassword);
  const { announce } = useNotices();
  const error = useId();

  async function submit(): Promise<void> {
    const { data, error: failure } = await change({ current, new: next });
    const found = data ? firstProblem(data.outcome.userErrors) : problemOf(failure);
    setProblem(found);
    if (found) return;
    announce('Password changed');
    onClose();
  }

  function onSubmit(event: SubmitEvent): void {
    event.preventDefault();
    if (!fetching) void submit();
  }

  const about = (field: string): boolean => problem?.path.includes(field) ?? false;
  return (
    <Dialog title="Change your password" onClose={onClose}>
      <p className="dialog__text">You are signed out everywhere else.</p>
      <form onSubmit={onSubmit} noValidate>
        <SecretField
          label="Current password"
          autoComplete="current-password"
          autoFocus
          value={current}
          invalid={about('currentPassword')}
          describedBy={error}
          onChange={setCurrent}
        />
        <SecretField
          label="New password"
          autoComplete="new-password"
          value={next}
          invalid={about('newPassword')}
          describedBy={error}
          onChange={setNext}
        />
        <p className="field__error" id={error} role="alert">
          {problem?.message}
        </p>
        <div className="row-of-buttons">
          <button className="button" type="button" onClick={onClose}>
            Cancel
          </button>
          <button className="button button--primary" type="submit" aria-disabled={fetching}>
            {fetching ? 'Changing…' : 'Change it'}
          </button>
        </div>
      </form>
    </Dialog>
  );
}
