import { useState, type SubmitEvent } from 'react';
import { useMutation } from 'urql';

import { formProblem } from '../api/formProblem';
import { firstProblem, problemOf, type Problem } from '../api/problem';
import { useAttempt } from '../api/useAttempt';
import type { SandboxRow } from '../live/sandboxList';
import { Dialog } from '../ui/Dialog';
import { Field } from '../ui/Field';
import { FormButtons } from '../ui/FormButtons';
import { ForkSandbox } from './documents';
import { ForkProgressDialog } from './ForkProgressDialog';
import { titleOf } from './titleOf';
import { noWholeNumber, wholeNumber } from './wholeNumber';

interface Props {
  sandbox: SandboxRow;
  /** The live list, in which the children appear. */
  rows: readonly SandboxRow[];
  onClose: () => void;
}

/** Asks how many sandboxes are to begin as this one is now, then shows how they start. */
export function ForkDialog({ sandbox, rows, onClose }: Props) {
  const [count, setCount] = useState('1');
  const [name, setName] = useState('');
  const [problem, setProblem] = useState<Problem | null>(null);
  const [accepted, setAccepted] = useState<{ operationId: string; childIds: readonly string[] } | null>(null);
  const [{ fetching }, fork] = useMutation(ForkSandbox);
  const attempt = useAttempt();

  async function submit(): Promise<void> {
    const children = wholeNumber(count);
    if (children === undefined) {
      setProblem(noWholeNumber('count'));
      return;
    }
    const wanted = { id: sandbox.id, count: children, name: name.trim() || null };
    const { data, error } = await fork({ input: { ...wanted, idempotencyKey: attempt.keyFor(wanted), waitSeconds: 0 } });
    const found = data ? firstProblem(data.forkSandbox.userErrors) : problemOf(error);
    attempt.answered(found);
    setProblem(found);
    const operation = data?.forkSandbox.operation;
    if (!found && operation) {
      setAccepted({ operationId: operation.id, childIds: data.forkSandbox.children.map((child) => child.sandbox.id) });
    }
  }

  function onSubmit(event: SubmitEvent): void {
    event.preventDefault();
    if (!fetching) void submit();
  }

  if (accepted) return <ForkProgressDialog {...accepted} parent={sandbox} rows={rows} onClose={onClose} />;
  const problems = formProblem(problem, ['count', 'name']);
  return (
    <Dialog title="Fork this sandbox" onClose={onClose}>
      <p className="dialog__text">
        Each child begins as{' '}
        <strong className="dialog__subject">
          <bdi>{titleOf(sandbox)}</bdi>
        </strong>{' '}
        is now, with its memory, its processes and its files. It stands still for a moment.
      </p>
      <form onSubmit={onSubmit} noValidate>
        <Field
          label="How many"
          hint="1 when it is left empty."
          numeric
          value={count}
          error={problems.of('count')}
          autoFocus
          onChange={setCount}
        />
        <Field
          label="Name"
          hint="Of every child. Without one they have their parent’s."
          value={name}
          error={problems.of('name')}
          onChange={setName}
        />
        <FormButtons send="Fork" sending="Forking…" busy={fetching} problem={problems.rest} onClose={onClose} />
      </form>
    </Dialog>
  );
}
