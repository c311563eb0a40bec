"""How often teams may ask."""

import math
from collections import OrderedDict
from dataclasses import dataclass
from uuid import UUID

from api.clock import Clock
from api.db import quotas
from api.db.database import Database
from api.domain.principal import Principal
from api.domain.quota import UNLIMITED, Limits
from api.errors import TooMany

LIMIT_KNOWN_SECONDS = 10.0
"""How long a team's limit is believed before it is read again."""
BUCKETS_MAX = 10_000
"""Teams that are counted at once, 200 bytes each: 2 MB. The one that asked longest ago is forgotten."""
SECONDS_PER_MINUTE = 60.0
BURST_SECONDS = 5.0
BURST_LEAST = 20


@dataclass(slots=True)
class _Bucket:
    """A token bucket that fills evenly. Times are in seconds."""

    limit: int | None
    tokens: float
    filled_at: float
    read_at: float

    def set_limit(self, limit: int | None) -> None:
        """Another limit from now on; what is in it stays, as far as it fits."""
        if self.limit is None and limit is not None:
            self.tokens = _room(limit)
        self.limit = limit

    def take(self, now: float) -> float:
        """Takes one, if there is one; in how many seconds there will be, 0 if there was."""
        if self.limit is None:
            return 0.0
        gained = (now - self.filled_at) * self.limit / SECONDS_PER_MINUTE
        self.tokens = min(_room(self.limit), self.tokens + gained)
        self.filled_at = now
        if self.tokens < 1.0:
            return (1.0 - self.tokens) * SECONDS_PER_MINUTE / self.limit
        self.tokens -= 1.0
        return 0.0


def _room(limit: int) -> float:
    """How many requests may come at once: what is allowed in `BURST_SECONDS`, and `BURST_LEAST` of a small limit."""
    return float(min(limit, max(BURST_LEAST, limit * BURST_SECONDS // SECONDS_PER_MINUTE)))


class Rates:
    """Counts the requests of each team, in this replica alone."""

    def __init__(self, database: Database, clock: Clock, defaults: Limits = UNLIMITED) -> None:
        self._database = database
        self._clock = clock
        self._defaults = defaults
        self._buckets: OrderedDict[UUID, _Bucket] = OrderedDict()

    async def admit(self, principal: Principal) -> None:
        """Counts one request of the caller's team; of the caller, if it is in none.

        Raises:
            TooMany: `RATE_LIMITED`: they came too fast. Unavailable: the database does not answer.
        """
        owner = principal.counted_as
        now = self._clock.monotonic()
        bucket = self._buckets.get(owner)
        if bucket is None or now - bucket.read_at >= LIMIT_KNOWN_SECONDS:
            bucket = await self._read(owner, now)
        self._buckets.move_to_end(owner)
        wait_seconds = bucket.take(now)
        if wait_seconds > 0:
            raise TooMany(
                f"Your team sends more than the {bucket.limit:,} requests a minute that it may; wait a moment.",
                code="RATE_LIMITED",
                retry_after_seconds=math.ceil(wait_seconds),
            )

    def charge(self, principal: Principal, count: int) -> None:
        """Counts so many more requests of a caller that was let in: who comes next waits for them."""
        bucket = self._buckets.get(principal.counted_as)
        if bucket is not None and bucket.limit is not None:
            bucket.tokens -= count

    async def _read(self, owner: UUID, now: float) -> _Bucket:
        limit = (await quotas.limits(self._database, owner)).over(self._defaults).requests_per_minute
        # somebody else may have been as far meanwhile
        bucket = self._buckets.get(owner)
        if bucket is None:
            bucket = self._buckets[owner] = _Bucket(limit, _room(limit or 0), now, now)
            if len(self._buckets) > BUCKETS_MAX:
                self._buckets.popitem(last=False)
        bucket.set_limit(limit)
        bucket.read_at = now
        return bucket
