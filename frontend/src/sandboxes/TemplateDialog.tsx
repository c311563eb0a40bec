import { useState, type SubmitEvent } from 'react';
import { useMutation } from 'urql';

import { formProblem } from '../api/formProblem';
import { firstProblem, problemOf, type Problem } from '../api/problem';
import { useAttempt } from '../api/useAttempt';
import type { SandboxRow } from '../live/sandboxList';
import { Dialog } from '../ui/Dialog';
import { Field } from '../ui/Field';
import { FormButtons } from '../ui/FormButtons';
import { CreateTemplate } from './documents';
import { TemplateProgressDialog } from './TemplateProgressDialog';
import { titleOf } from './titleOf';

interface Props {
  sandbox: SandboxRow;
  onClose: () => void;
}

/** Asks how a template of this sandbox is to be called, then shows how it is made. */
export function TemplateDialog({ sandbox, onClose }: Props) {
  const [name, setName] = useState('');
  const [description, setDescription] = useState('');
  const [problem, setProblem] = useState<Problem | null>(null);
  const [operationId, setOperationId] = useState<string | null>(null);
  const [{ fetching }, create] = useMutation(CreateTemplate);
  const attempt = useAttempt();

  async function submit(): Promise<void> {
    const wanted = { sandboxId: sandbox.id, name: name.trim(), description: description.trim() };
    const { data, error } = await create({ input: { ...wanted, idempotencyKey: attempt.keyFor(wanted), waitSeconds: 0 } });
    const found = data ? firstProblem(data.createTemplate.userErrors) : problemOf(error);
    attempt.answered(found);
    setProblem(found);
    if (!found && data?.createTemplate.operation) setOperationId(data.createTemplate.operation.id);
  }

  function onSubmit(event: SubmitEvent): void {
    event.preventDefault();
    if (!fetching) void submit();
  }

  if (operationId !== null) return <TemplateProgressDialog operationId={operationId} name={name.trim()} onClose={onClose} />;
  const problems = formProblem(problem, ['name', 'description']);
  return (
    <Dialog title="Make a template" onClose={onClose}>
      <p className="dialog__text">
        New sandboxes can then begin as{' '}
        <strong className="dialog__subject">
          <bdi>{titleOf(sandbox)}</bdi>
        </strong>{' '}
        is now, with its memory, its processes and its files.
      </p>
      <form onSubmit={onSubmit} noValidate>
        <Field
          label="Name"
          hint="Lower-case letters, digits, dots, dashes and underscores."
          required
          value={name}
          error={problems.of('name')}
          autoFocus
          onChange={setName}
        />
        <Field
          label="Description"
          hint="What is in it."
          value={description}
          error={problems.of('description')}
          onChange={setDescription}
        />
        <FormButtons send="Make template" sending="Making…" busy={fetching} problem={problems.rest} onClose={onClose} />
      </form>
    </Dialog>
  );
}
