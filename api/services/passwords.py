"""Hashing passwords with argon2, off the event loop and a few at a time."""

import asyncio
from collections.abc import Callable
from typing import TypeVar

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerifyMismatchError
from argon2.profiles import RFC_9106_LOW_MEMORY

from api.errors import Unavailable

PARAMETERS = RFC_9106_LOW_MEMORY
"""Of new hashes: the RFC's second recommended option. Each takes 64 MiB, and a processor for tens of milliseconds."""
HASHED_AT_ONCE = 2
WAITING_MAX = 64
"""More than these wait some seconds for their turn, and are told to come again instead."""

T = TypeVar("T")


class Passwords:
    """Makes and compares hashes. Nothing here knows whose they are."""

    def __init__(self) -> None:
        self._hasher = PasswordHasher.from_parameters(PARAMETERS)
        self._turn = asyncio.Semaphore(HASHED_AT_ONCE)
        self._waiting = 0
        self._unknown: str | None = None

    async def hash(self, password: str) -> str:
        """What is kept of a password (the PHC string format). Raises: Unavailable when too many wait."""
        return await self._in_turn(self._hasher.hash, password)

    async def fits(self, password_hash: str | None, password: str) -> bool:
        """Whether this is the password; as much work when there is none, so that the time does not tell.

        Raises:
            Unavailable: too many wait.
        """
        if self._unknown is None:
            self._unknown = await self.hash("the password of nobody")
        fits = await self._in_turn(self._verify, password_hash or self._unknown, password)
        return fits and password_hash is not None

    def is_outdated(self, password_hash: str) -> bool:
        """Whether a hash was made with weaker parameters than new ones are."""
        return self._hasher.check_needs_rehash(password_hash)

    def _verify(self, password_hash: str, password: str) -> bool:
        try:
            return self._hasher.verify(password_hash, password)
        except (VerifyMismatchError, InvalidHashError):
            return False

    async def _in_turn(self, work: Callable[..., T], *arguments: str) -> T:
        if self._waiting >= WAITING_MAX:
            raise Unavailable("Too many people are signing in at this moment; try again.")
        self._waiting += 1
        try:
            async with self._turn:
                return await asyncio.to_thread(work, *arguments)
        finally:
            self._waiting -= 1
