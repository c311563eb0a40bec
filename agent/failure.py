"""What a command is answered with that failed."""

import asyncio

import structlog

from agent.errors import AgentError, Code

_log = structlog.get_logger(__name__)


def as_failure(error: BaseException, code: Code, message: str) -> AgentError:
    """An error as it is answered: one that is not an AgentError is logged and masked.

    Raises: the error itself if the running task is cancelled (the agent stops), or the program is to end. When only
    something that the task waited for was cancelled, that is a failure like others.
    """
    if not isinstance(error, Exception) and (not isinstance(error, asyncio.CancelledError) or is_cancelled()):
        raise error
    if isinstance(error, AgentError):
        return error
    if isinstance(error, TimeoutError):
        return AgentError(code, f"{message} It took too long.")
    _log.error("a command failed in an unforeseen way", exc_info=error)
    return AgentError(code, f"{message} The host's log says why.", detail=repr(error))


def is_cancelled() -> bool:
    """Whether somebody cancels the running task, as against something that it waited for."""
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0
