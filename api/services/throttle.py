"""How often strangers may try what costs us something: passwords above all."""

import hashlib
import ipaddress
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from datetime import datetime

from api.clock import Clock
from api.db import login_attempts
from api.db.database import Database
from api.errors import TooMany

TRIES_MAX = 5
"""A minute from one address that fail or are under way, whatever the accounts; so also for one account from there."""
TRIES_PER_ACCOUNT_MAX = 50
"""A minute from all addresses together. So many that a few strangers' tries do not keep out whose account it is."""
SUCCESSES_MAX = 30
"""A minute for one account, and from one address: each is as much work as one that fails, and begins a session."""

ASKED_MAX = 60
"""A minute from one address, of each other thing."""


class Throttle:
    """Counts tries of the last minute, on all replicas together."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock

    @asynccontextmanager
    async def attempt(self, account: str, address: str) -> AsyncIterator[None]:
        """Around one try, which counts as failed unless the body ends without an error. `account` need not exist.

        Raises:
            TooMany: there were too many; of successes that is found at the end, and counts as a failure. Unavailable:
                the database does not answer.
        """
        now = self._clock.now()
        # the account by its hash: rows of accounts that do not exist tell nobody what was typed
        by_address = f"address:{network_of(address)}"
        by_account = f"account:{hashlib.sha256(account.encode()).hexdigest()}"
        await self._begin(now, ((by_address, TRIES_MAX), (by_account, TRIES_PER_ACCOUNT_MAX)))
        yield
        await self._begin(now, ((f"success {subject}", SUCCESSES_MAX) for subject in (by_address, by_account)))
        await login_attempts.take_back(self._database, [by_address, by_account], now)

    async def admit(self, what: str, address: str) -> None:
        """Counts something else that a stranger asks for and that is work for us.

        Raises:
            TooMany: there were `ASKED_MAX` from there. Unavailable: the database does not answer.
        """
        await self._begin(self._clock.now(), ((f"{what} address:{network_of(address)}", ASKED_MAX),))

    async def _begin(self, now: datetime, limits: Iterable[tuple[str, int]]) -> None:
        for subject, most in limits:
            if not await login_attempts.begin(self._database, subject, now, most):
                raise TooMany("Too many tries. Wait a minute, then try again.")


def network_of(address: str) -> str:
    """What counts as one address: of IPv6 the first 64 bits, which one customer has all of."""
    try:
        found = ipaddress.ip_address(address)
    except ValueError:
        return address[:64]
    if isinstance(found, ipaddress.IPv6Address) and found.ipv4_mapped is not None:
        return str(found.ipv4_mapped)
    return str(found) if found.version == 4 else str(ipaddress.ip_network((found, 64), strict=False))
