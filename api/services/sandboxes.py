"""Sandboxes: looking at them, and the commands that move them."""

from collections.abc import Collection
from uuid import UUID

from api.domain.page import Page, PageRequest
from api.domain.principal import Principal
from api.domain.sandbox import CreateSandbox, Sandbox, SandboxFilter
from api.services.outcome import Outcome


class Sandboxes:
    """What a principal can do with sandboxes of its team. Others' look like none."""

    async def get(self, principal: Principal, sandbox_id: UUID) -> Sandbox | None:
        """One sandbox with its newest operation; deleted ones too."""
        raise NotImplementedError

    async def get_many(self, principal: Principal, sandbox_ids: Collection[UUID]) -> dict[UUID, Sandbox]:
        """Those of them that exist, with their newest operations, in one query."""
        raise NotImplementedError

    async def list(
        self, principal: Principal, criteria: SandboxFilter, page: PageRequest, *, newest_first: bool = True
    ) -> Page[Sandbox]:
        """A page of the list (`api.domain.page.page_request` makes the request), without operations."""
        raise NotImplementedError

    async def count(self, principal: Principal, criteria: SandboxFilter) -> int:
        """How many sandboxes the criteria match."""
        raise NotImplementedError

    async def create(self, principal: Principal, command: CreateSandbox) -> Outcome:
        """Accepts a sandbox and starts it, and waits for that up to `wait_seconds`.

        With an idempotency key a repetition returns the first result. A caller that goes away stops nothing.

        Raises:
            Invalid: something in the command. NotFound: the template. Conflict: `IDEMPOTENCY_CONFLICT`.
            NoCapacity, Unavailable: no host can take it; then there is no sandbox.
        """
        raise NotImplementedError

    async def pause(
        self, principal: Principal, sandbox_id: UUID, *, idempotency_key: str | None = None, wait_seconds: int = 30
    ) -> Outcome:
        """Saves memory and lets the machine go.

        Raises:
            NotFound: no such sandbox. Conflict: `WRONG_STATE`, `IDEMPOTENCY_CONFLICT`. Invalid: key or waiting time.
        """
        raise NotImplementedError

    async def resume(
        self, principal: Principal, sandbox_id: UUID, *, idempotency_key: str | None = None, wait_seconds: int = 30
    ) -> Outcome:
        """Starts a paused sandbox with its memory. Raises: as `pause`."""
        raise NotImplementedError

    async def delete(
        self, principal: Principal, sandbox_id: UUID, *, idempotency_key: str | None = None, wait_seconds: int = 30
    ) -> Outcome:
        """Removes everything of a sandbox; accepted in every state, and harmless to repeat.

        Raises:
            NotFound: no such sandbox. Conflict: `IDEMPOTENCY_CONFLICT`. Invalid: key or waiting time.
        """
        raise NotImplementedError

    async def ping(self, principal: Principal, sandbox_id: UUID) -> Sandbox:
        """Counts as activity.

        Raises:
            NotFound: no such sandbox. Conflict: it does not run. Unavailable: its host does not answer.
        """
        raise NotImplementedError
