"""Whether this replica can serve."""

from api.domain.status import Check


class Health:
    """Checks behind `/readyz`."""

    async def ready(self) -> tuple[Check, ...]:
        """The database, and at least one host. Never raises; answers within about a second."""
        raise NotImplementedError
