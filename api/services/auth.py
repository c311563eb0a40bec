"""Who is asking: API keys `nb_<id>_<secret>`."""

import asyncio
import base64
import hashlib
import hmac
import re
import secrets
from collections import OrderedDict
from collections.abc import Awaitable
from dataclasses import dataclass
from typing import TypeVar
from uuid import UUID

from api.clock import Clock
from api.db import api_keys
from api.db.api_keys import KeyRecord, StoredKey
from api.db.database import Database
from api.domain.principal import Principal
from api.domain.text import check_text
from api.errors import Invalid, NotFound, Unauthenticated, Unavailable
from api.ids import Kind, new_id, parse_id

BELIEVED_SECONDS = 2.5
"""How long what was found out about a key holds. With the period of a stream's rechecks it stays below the five seconds
within which a revoked key must have lost everything."""
RECHECK_SECONDS = 2.0
"""How often each stream, and each request that takes long, asks whether its key is still good."""
KEYS_REMEMBERED = 10_000
KEY_NAME_BYTES_MAX = 200
SECRET_BYTES = 32

# base32 without capitals and padding: a double click selects all of it, and an underscore can only be a separator
_KEY = re.compile(r"nb_([a-z2-7]{26})_([a-z2-7]{52})")
# what a person has at hand who wants a key to end: the key itself, or its first part
_KEY_OR_FIRST_PART = re.compile(r"nb_([a-z2-7]{26})(?:_[a-z2-7]*)?")

ResultT = TypeVar("ResultT")


@dataclass(frozen=True, slots=True)
class _Believed:
    key: StoredKey
    until: float


class Auth:
    """Knows API keys. Of a secret only its SHA-256 is kept anywhere: it has 256 random bits, so that is enough."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock
        self._believed: OrderedDict[UUID, _Believed] = OrderedDict()

    async def authenticate(self, header_or_key: str | None) -> Principal:
        """The principal behind `Bearer nb_…` or the key itself.

        Raises:
            Unauthenticated: no key, a wrong one, or one that is revoked or expired.
            Unavailable: the database does not answer.
        """
        if not header_or_key:
            raise Unauthenticated("An API key is needed: send it as `Authorization: Bearer nb_…`.")
        scheme, separator, rest = header_or_key.strip().partition(" ")
        key = rest.strip() if separator and scheme.lower() == "bearer" else header_or_key.strip()
        match = _KEY.fullmatch(key)
        if match is None:
            raise Unauthenticated("This is not an API key; keys look like nb_…_….")
        stored = await self._stored(_decode_id(match[1]))
        secret_sha256 = hashlib.sha256(match[2].encode()).digest()
        # compared in any case, so that the time does not tell whether the id exists
        good = hmac.compare_digest(secret_sha256, stored.secret_sha256 if stored else bytes(32))
        if stored is None or not good:
            raise Unauthenticated("This API key is unknown, revoked or expired.")
        return stored.principal

    async def recheck(self, principal: Principal) -> None:
        """Returns if this principal's key is still good; for streams, which live long.

        Raises:
            Unauthenticated: it was revoked or has expired. Unavailable: the database does not answer.
        """
        if await self._stored(principal.api_key_id) is None:
            raise Unauthenticated("This API key was revoked or has expired.")

    async def while_good(self, principal: Principal, work: Awaitable[ResultT]) -> ResultT:
        """What `work` answers; it is cancelled within five seconds when the key is revoked or expires meanwhile.

        Raises:
            Unauthenticated: the key is no longer good, and the work was cancelled. What `work` raises.
        """
        results: list[ResultT] = []
        failure: Exception | None = None
        try:
            async with asyncio.TaskGroup() as group:
                watcher = group.create_task(self._until_ended(principal))
                try:
                    results.append(await work)
                except Exception as error:  # noqa: BLE001  # carried out of the group, which would wrap it
                    failure = error
                watcher.cancel()
        except* Unauthenticated:
            failure = Unauthenticated("This API key was revoked or has expired.")
        if failure is not None:
            raise failure
        return results[0]

    async def _until_ended(self, principal: Principal) -> None:
        while True:
            await asyncio.sleep(RECHECK_SECONDS)
            try:
                await self.recheck(principal)
            except Unavailable:
                # as in the feed: who was let in stays until the database says otherwise
                continue

    async def list_keys(self) -> list[KeyRecord]:
        """Every key of this installation, ended ones too, the oldest first. Raises: Unavailable."""
        return await api_keys.list_all(self._database)

    async def revoke_key(self, text: str) -> UUID:
        """Ends a key, given by its id (`key-…`), by the key itself or by its part up to the second underscore; returns
        its id. Within five seconds it opens nothing on any replica, and what it had opened is closed.

        Raises:
            Invalid: this names no key. NotFound: there is no such key, or it was revoked before. Unavailable.
        """
        match = _KEY_OR_FIRST_PART.fullmatch(text)
        key_id = _decode_id(match[1]) if match else _parse_key_id(text)
        if not await api_keys.revoke(self._database, key_id, self._clock.now()):
            raise NotFound("There is no such key, or it was revoked before.")
        self._believed.pop(key_id, None)
        return key_id

    async def create_key(self, name: str, *, team_id: UUID, is_platform_admin: bool) -> str:
        """Makes a key and returns it: the only time that it can be seen.

        Raises:
            Invalid: the name. NotFound: the team.
        """
        check_text(name, "The name", max_bytes=KEY_NAME_BYTES_MAX, min_bytes=1, one_line=True, path=("name",))
        key_id = new_id()
        secret = _encode(secrets.token_bytes(SECRET_BYTES))
        principal = Principal(team_id, key_id, name, is_platform_admin)
        await api_keys.insert(self._database, principal, hashlib.sha256(secret.encode()).digest(), self._clock.now())
        return f"nb_{_encode(key_id.bytes)}_{secret}"

    async def _stored(self, key_id: UUID) -> StoredKey | None:
        now = self._clock.monotonic()
        believed = self._believed.get(key_id)
        if believed is not None and now < believed.until:
            return believed.key
        stored = await api_keys.find(self._database, key_id, self._clock.now())
        if stored is None:
            self._believed.pop(key_id, None)
            return None
        self._believed[key_id] = _Believed(stored, now + BELIEVED_SECONDS)
        self._believed.move_to_end(key_id)
        if len(self._believed) > KEYS_REMEMBERED:
            self._believed.popitem(last=False)
        return stored


def _parse_key_id(text: str) -> UUID:
    # not the ids' own message: it does not know that keys can be named in other ways, and `text` may be a secret
    try:
        return parse_id(Kind.API_KEY, text)
    except Invalid as error:
        raise Invalid("This names no key: give an id (key-…), or a key (nb_…).", code=error.code) from None


def _encode(data: bytes) -> str:
    return base64.b32encode(data).decode().rstrip("=").lower()


def _decode_id(text: str) -> UUID:
    return UUID(bytes=base64.b32decode(text.upper() + "=" * 6))
