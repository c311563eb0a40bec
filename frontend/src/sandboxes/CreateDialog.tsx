import { useRef, useState, type SubmitEvent } from 'react';
import { useMutation } from 'urql';

import { idempotencyKey } from '../api/idempotencyKey';
import { firstProblem, problemOf, type Problem } from '../api/problem';
import { Dialog } from '../ui/Dialog';
import { Field } from '../ui/Field';
import { CreateSandbox } from './documents';
import { parseLabels } from './labels';

interface Props {
  onClose: () => void;
  onCreated: (id: string) => void;
}

/** Asks for a new sandbox and closes as soon as it is accepted: its row shows how it starts, and what came of it. */
export function CreateDialog({ onClose, onCreated }: Props) {
  const [name, setName] = useState('');
  const [labels, setLabels] = useState('');
  const [problem, setProblem] = useState<Problem | null>(null);
  const [{ fetching }, create] = useMutation(CreateSandbox);
  // one key per form as it is filled in: pressing the button again after a lost answer makes no second sandbox
  const attempt = useRef({ input: '', key: '' });

  async function submit(): Promise<void> {
    const wanted = { name: name.trim() || null, labels: parseLabels(labels) };
    const input = JSON.stringify(wanted);
    if (attempt.current.input !== input) attempt.current = { input, key: idempotencyKey() };
    const { data, error } = await create({ input: { ...wanted, idempotencyKey: attempt.current.key, waitSeconds: 0 } });
    const found = data ? firstProblem(data.createSandbox.userErrors) : problemOf(error);
    if (found && !found.retryable) attempt.current = { input: '', key: '' };
    setProblem(found);
    if (!found && data?.createSandbox.sandbox) onCreated(data.createSandbox.sandbox.id);
  }

  function onSubmit(event: SubmitEvent): void {
    event.preventDefault();
    if (!fetching) void submit();
  }

  const field = problem?.path.find((part) => part === 'name' || part === 'labels') ?? null;
  return (
    <Dialog title="New sandbox" onClose={onClose}>
      <form onSubmit={onSubmit} noValidate>
        <Field
          label="Name"
          hint="Without one it is shown by its id."
          value={name}
          error={field === 'name' && problem ? problem.message : null}
          autoFocus
          onChange={setName}
        />
        <Field
          label="Labels"
          hint="key=value, separated by commas"
          value={labels}
          error={field === 'labels' && problem ? problem.message : null}
          onChange={setLabels}
        />
        <p className="field__error" role="alert">
          {field === null && problem?.message}
        </p>
        <div className="row-of-buttons">
          <button className="button" type="button" onClick={onClose}>
            Cancel
          </button>
          <button className="button button--primary" type="submit" aria-disabled={fetching}>
            {fetching ? 'Creating…' : 'Create'}
          </button>
        </div>
      </form>
    </Dialog>
  );
}
