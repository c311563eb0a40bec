import type { SandboxRow } from '../live/sandboxList';
import { ActionButton } from '../ui/ActionButton';
import { reasonAgainst } from './allowed';
import { titleOf } from './titleOf';
import { busyKey, COMMAND_NAMES, COMMANDS, type Command, type Commands } from './useCommands';

interface Props {
  sandbox: SandboxRow;
  busy: Commands['busy'];
  withText?: boolean;
  onCommand: (sandbox: SandboxRow, command: Command) => void;
}

/** One button per command, always all of them and always in the same place. */
export function SandboxActions({ sandbox, busy, withText = false, onCommand }: Props) {
  return (
    <span className="actions">
      {COMMAND_NAMES.map((command) => {
        const { label, icon } = COMMANDS[command];
        return (
          <ActionButton
            key={command}
            icon={icon}
            label={label}
            description={`${label} ${titleOf(sandbox)}`}
            reason={reasonAgainst(sandbox, command)}
            busy={busy.has(busyKey(sandbox.id, command))}
            withText={withText}
            {...(command === 'DELETE' && { tone: 'danger' })}
            onClick={() => {
              onCommand(sandbox, command);
            }}
          />
        );
      })}
    </span>
  );
}
