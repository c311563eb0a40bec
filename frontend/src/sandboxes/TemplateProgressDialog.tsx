import { paths } from '../api/paths';
import { useLiveOperation } from '../live/useLiveOperation';
import { Dialog } from '../ui/Dialog';
import { ProgressBar } from '../ui/ProgressBar';

interface Props {
  operationId: string;
  /** The name of the template. */
  name: string;
  onClose: () => void;
}

/** How a template is made. It goes on without this dialog. */
export function TemplateProgressDialog({ operationId, name, onClose }: Props) {
  const { operation, problem } = useLiveOperation(operationId);
  const state = operation?.state ?? 'RUNNING';
  const percent = operation?.progressPercent ?? null;
  const words = {
    RUNNING: percent === null ? 'Beginning…' : `${percent} % done`,
    SUCCEEDED: `${name} is ready.`,
    FAILED: 'It could not be made.',
  };
  const titles = { RUNNING: 'Making a template…', SUCCEEDED: 'Template made', FAILED: 'No template was made' };
  return (
    <Dialog title={titles[state]} onClose={onClose}>
      <ProgressBar label={`Template ${name}`} done={percent} of={100}>
        {words[state]}
      </ProgressBar>
      <p className="field__error" role="alert">
        {operation?.error?.message ?? problem?.message}
      </p>
      <div className="row-of-buttons">
        {state === 'SUCCEEDED' && (
          <a className="button" href={paths.templates}>
            All templates
          </a>
        )}
        <button className={state === 'RUNNING' ? 'button' : 'button button--primary'} type="button" autoFocus onClick={onClose}>
          {state === 'RUNNING' ? 'Go on in the background' : 'Done'}
        </button>
      </div>
    </Dialog>
  );
}
