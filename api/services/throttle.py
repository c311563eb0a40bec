"""How often passwords may be tried."""

import hashlib
import ipaddress
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from api.clock import Clock
from api.db import login_attempts
from api.db.database import Database
from api.errors import TooMany


class Throttle:
    """At most `login_attempts.TRIES_MAX` tries that fail in a minute, for each account and from each address, on all
    replicas together."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock

    @asynccontextmanager
    async def attempt(self, account: str, address: str) -> AsyncIterator[None]:
        """Around one try, which counts unless the body ends without an error. `account` need not exist.

        Raises:
            TooMany: there were too many. Unavailable: the database does not answer.
        """
        now = self._clock.now()
        # the account by its hash: rows of accounts that do not exist tell nobody what was typed
        subjects = [f"address:{network_of(address)}", f"account:{hashlib.sha256(account.encode()).hexdigest()}"]
        for subject in subjects:
            if not await login_attempts.begin(self._database, subject, now):
                raise TooMany("Too many tries. Wait a minute, then try again.")
        yield
        await login_attempts.take_back(self._database, subjects, now)


def network_of(address: str) -> str:
    """What counts as one address: of IPv6 the first 64 bits, which one customer has all of."""
    try:
        found = ipaddress.ip_address(address)
    except ValueError:
        return address[:64]
    if isinstance(found, ipaddress.IPv6Address) and found.ipv4_mapped is not None:
        return str(found.ipv4_mapped)
    return str(found) if found.version == 4 else str(ipaddress.ip_network((found, 64), strict=False))
