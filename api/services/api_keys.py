"""API keys: `nb_<id>_<secret>`."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from api.clock import Clock
from api.db import api_keys, teams
from api.db.api_keys import StoredKey
from api.db.database import Database, Statements
from api.domain.api_key import KEYS_PER_TEAM_MAX, ApiKey, check_expiry, check_key_name
from api.domain.page import Page, PageRequest
from api.domain.principal import ALL_SCOPES, Principal, PrincipalKind, Scope, require, with_included
from api.errors import Conflict, Forbidden, Invalid, NotFound, Unauthenticated
from api.ids import Kind, new_id, parse_id, wire_id
from api.services.audit import note
from api.services.beliefs import Beliefs
from api.services.rights import acting_role
from api.services.tokens import Token, decode_id

PREFIX = "nb_"
# what a person has at hand who wants a key to end: the key itself, or its first part
_KEY_OR_FIRST_PART = re.compile(r"nb_([a-z2-7]{26})(?:_[a-z2-7]*)?")


@dataclass(frozen=True, slots=True)
class NewKey:
    """A key that was just made, and its text: the only time that it can be seen."""

    key: ApiKey
    text: str


class ApiKeys:
    """The keys of teams. Of a secret only its SHA-256 is kept anywhere."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock
        self._beliefs: Beliefs[StoredKey] = Beliefs(clock, self._look_up)

    async def authenticate(self, text: str) -> Principal:
        """The principal that a key makes of its caller.

        Raises:
            Unauthenticated: it is none, a wrong one, or one that is revoked or expired. Unavailable.
        """
        token = Token.parse(text.removeprefix(PREFIX)) if text.startswith(PREFIX) else None
        if token is None:
            raise Unauthenticated("This is not an API key; keys look like nb_…_….")
        stored = await self._beliefs.get(token.id)
        # compared in any case, so that the time does not tell whether the id exists
        if not token.fits(stored.secret_sha256 if stored else None) or stored is None:
            raise Unauthenticated("This API key is unknown, revoked or expired.")
        return stored.principal

    async def is_good(self, principal: Principal) -> bool:
        """Whether the key behind a principal may still do all that it could. Raises: Unavailable."""
        stored = await self._beliefs.get(principal.id, is_known=True)
        return stored is not None and principal.scopes <= stored.principal.scopes

    def forget(self) -> None:
        """Looks up every key again: what one may do has changed."""
        self._beliefs.forget()

    async def list(self, principal: Principal, page: PageRequest) -> Page[ApiKey]:
        """The team's keys, the newest first, ended ones too. Raises: MissingScope for all but admins of the team."""
        require(principal, Scope.TEAM_ADMIN)
        return await api_keys.page(self._database, principal.team_id, page)

    async def count(self, principal: Principal) -> int:
        """How many keys the team has. Raises: as `list`."""
        require(principal, Scope.TEAM_ADMIN)
        return await api_keys.count(self._database, principal.team_id)

    async def get(self, principal: Principal, key_id: UUID) -> ApiKey | None:
        """One of the team's keys. Raises: as `list`."""
        require(principal, Scope.TEAM_ADMIN)
        return await api_keys.get(self._database, principal.team_id, key_id)

    async def create(
        self, principal: Principal, name: str, scopes: frozenset[Scope], expires_at: datetime | None
    ) -> NewKey:
        """Makes a key of the team, never one of a platform admin. What a key makes is its maker's person's.

        Raises:
            MissingScope: for all but admins of the team. Forbidden: a scope that the caller lacks.
            Invalid: the name, the scopes or the time. Conflict: `LIMIT_REACHED`.
        """
        require(principal, Scope.TEAM_ADMIN)
        now = self._clock.now()
        check_key_name(name)
        check_expiry(expires_at, now)
        wanted = with_included(scopes)
        if not wanted:
            raise Invalid("A key needs at least one scope.", path=("scopes",))
        if not wanted <= principal.scopes:
            raise Forbidden("You cannot give a key more than you have yourself.", path=("scopes",))
        token = Token.make(new_id())
        made = Principal(PrincipalKind.KEY, token.id, name, principal.team_id, wanted)
        async with self._database.transaction() as transaction:
            # so that two at once cannot both be the last one
            await teams.lock(transaction, principal.team_id)
            await acting_role(transaction, principal, now)
            if await api_keys.count_live(transaction, principal.team_id, now) >= KEYS_PER_TEAM_MAX:
                raise Conflict(f"A team has at most {KEYS_PER_TEAM_MAX} keys. Revoke one first.", code="LIMIT_REACHED")
            creator = await person_behind(transaction, principal)
            await api_keys.insert(transaction, made, token.sha256, now, expires_at=expires_at, created_by=creator)
            shown = await api_keys.get(transaction, principal.team_id, token.id)
            await note(transaction, now, wire_id(Kind.API_KEY, token.id))
        if shown is None:
            raise no_such_key()
        return NewKey(shown, f"{PREFIX}{token}")

    async def revoke(self, principal: Principal, key_id: UUID) -> ApiKey:
        """Ends a key of the team; within five seconds it opens nothing anywhere. Harmless to repeat.

        Raises:
            MissingScope: for all but admins of the team. NotFound.
        """
        require(principal, Scope.TEAM_ADMIN)
        now = self._clock.now()
        async with self._database.transaction() as transaction:
            if await api_keys.revoke(transaction, key_id, now, team_id=principal.team_id):
                await note(transaction, now, wire_id(Kind.API_KEY, key_id))
        self._beliefs.forget()
        shown = await api_keys.get(self._database, principal.team_id, key_id)
        if shown is None:
            raise no_such_key()
        return shown

    async def list_all(self) -> Sequence[ApiKey]:
        """Every key of this installation, ended ones too, the oldest first; for its owner. Raises: Unavailable."""
        return await api_keys.list_all(self._database)

    async def make(
        self, name: str, *, team_id: UUID, is_platform_admin: bool, scopes: frozenset[Scope] = ALL_SCOPES
    ) -> str:
        """Makes a key for the owner of this installation and returns it: the only time that it can be seen.

        Raises:
            Invalid: the name or the scopes. NotFound: the team.
        """
        check_key_name(name)
        if not scopes:
            raise Invalid("A key needs at least one scope.", path=("scopes",))
        token = Token.make(new_id())
        made = Principal(PrincipalKind.KEY, token.id, name, team_id, with_included(scopes), is_platform_admin)
        now = self._clock.now()
        async with self._database.transaction() as transaction:
            await api_keys.insert(transaction, made, token.sha256, now)
            await note(transaction, now, wire_id(Kind.API_KEY, token.id))
        return f"{PREFIX}{token}"

    async def end(self, text: str) -> UUID:
        """Ends any key, given by its id (`key-…`), by the key itself or by its part up to the second underscore;
        returns its id. For the owner of this installation.

        Raises:
            Invalid: this names no key. NotFound: there is no such key, or it was revoked before. Unavailable.
        """
        match = _KEY_OR_FIRST_PART.fullmatch(text)
        key_id = (decode_id(match[1]) if match else None) or _parse_key_id(text)
        now = self._clock.now()
        async with self._database.transaction() as transaction:
            if not await api_keys.revoke(transaction, key_id, now):
                raise NotFound("There is no such key, or it was revoked before.")
            await note(transaction, now, wire_id(Kind.API_KEY, key_id))
        self._beliefs.forget()
        return key_id

    async def _look_up(self, key_id: UUID) -> StoredKey | None:
        return await api_keys.find(self._database, key_id, self._clock.now())


async def person_behind(statements: Statements, principal: Principal) -> UUID | None:
    """The person of a session, or whoever made the key; None for a key of the command line. What a caller makes is this
    person's, and ends with their place in the team."""
    if principal.kind is PrincipalKind.USER:
        return principal.id
    return await api_keys.creator(statements, principal.id)


def no_such_key() -> NotFound:
    """What a foreign and an unknown id are both answered with."""
    return NotFound("There is no such API key.", path=("id",))


def _parse_key_id(text: str) -> UUID:
    # not the ids' own message: it does not know that keys can be named in other ways, and `text` may be a secret
    try:
        return parse_id(Kind.API_KEY, text)
    except Invalid as error:
        raise Invalid("This names no key: give an id (key-…), or a key (nb_…).", code=error.code) from None
