"""Live views of sandboxes."""

from collections.abc import AsyncIterator
from uuid import UUID

from api.domain.feed import FeedEvent
from api.domain.principal import Principal
from api.domain.sandbox import SandboxFilter


class Feed:
    """One reader of the event log per replica, and any number of subscribers.

    A slow subscriber misses versions of a sandbox, never the newest one. Versions of a sandbox never go back.
    """

    def sandbox(self, principal: Principal, sandbox_id: UUID) -> AsyncIterator[FeedEvent]:
        """The sandbox as it is (`Changed`), then every change; ends after it is deleted (`Removed`).

        Raises:
            NotFound: no such sandbox. Unauthenticated: the key was revoked meanwhile, within 5 seconds.
        """
        raise NotImplementedError

    def sandboxes(
        self, principal: Principal, criteria: SandboxFilter, after: str | None = None
    ) -> AsyncIterator[FeedEvent]:
        """The list (`Reset`), then its changes. With `after`, a cursor from an earlier stream, only what changed since;
        a `Reset` all the same if the log does not reach back so far.

        Raises:
            Invalid: `after` is no cursor. Unauthenticated: the key was revoked meanwhile, within 5 seconds.
        """
        raise NotImplementedError
