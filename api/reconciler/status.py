"""How each task of the reconciler is."""

from collections.abc import Iterator
from contextlib import contextmanager

import structlog

from api.clock import Clock
from api.domain.status import TaskStatus
from api.errors import NestboxError
from api.hosts.errors import HostCallError

_log = structlog.get_logger()


class TaskRecord:
    """One repeated task: its runs are counted, and what they ended with is kept."""

    def __init__(self, name: str, clock: Clock) -> None:
        self._clock = clock
        self.status = TaskStatus(name, None, None, 0, 0, "has not run yet")

    def succeeded(self, summary: str) -> None:
        """A run went well."""
        now = self._clock.now()
        old = self.status
        self.status = TaskStatus(old.name, now, now, old.runs + 1, old.failures, summary)

    def failed(self, summary: str) -> None:
        """A run did not."""
        old = self.status
        now = self._clock.now()
        self.status = TaskStatus(old.name, now, old.last_success_at, old.runs + 1, old.failures + 1, summary)

    @contextmanager
    def contained(self) -> Iterator[None]:
        """A part of a task whose failure is noted, and ends nothing else."""
        try:
            yield
        except (NestboxError, HostCallError) as error:
            cause = error.error if isinstance(error, HostCallError) else error
            _log.warning("task failed", task=self.status.name, code=cause.code, detail=cause.detail or cause.message)
            self.failed(cause.message)
        except Exception as error:  # noqa: BLE001 - a bug in one pass must not end the task
            _log.exception("task failed", task=self.status.name)
            self.failed(f"a bug: {type(error).__name__}")
