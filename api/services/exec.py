"""Running commands in sandboxes."""

from uuid import UUID

from api.domain.command import ExecCommand, ExecResult
from api.domain.principal import Principal


class Exec:
    """Commands run to their end, with their output collected."""

    async def run(self, principal: Principal, sandbox_id: UUID, command: ExecCommand) -> ExecResult:
        """Runs a command and returns when it has ended. Cancelling kills the command.

        Raises:
            Invalid: the command, or the guest finds no such program or folder. NotFound: no such sandbox.
            Conflict: it does not run. Unavailable: its host does not answer.
        """
        raise NotImplementedError
