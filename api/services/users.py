"""People: proving who they are, and what platform admins do with accounts."""

import secrets
from collections.abc import Sequence
from dataclasses import replace
from uuid import UUID

from api.clock import Clock
from api.db import invitations, memberships, teams, users
from api.db.database import Database
from api.db.users import Account
from api.domain.page import Page, PageRequest
from api.domain.principal import Principal, Role, require_platform_admin, require_user
from api.domain.user import (
    Deactivation,
    User,
    check_email,
    check_new_password,
    check_user_name,
    normal_password,
)
from api.errors import Conflict, Forbidden, NotFound, Unauthenticated
from api.ids import Kind, new_id, wire_id
from api.services.api_keys import ApiKeys
from api.services.audit import note, now_doing
from api.services.passwords import Passwords
from api.services.rights import lock_platform_admins
from api.services.sessions import Sessions
from api.services.stops import Stops
from api.services.throttle import Throttle

USER_NAME_CHARACTERS_KEPT = 50
"""Of a name that another service gives; it fits the limit in bytes in any script."""
GENERATED_PASSWORD_BYTES = 18
"""144 random bits, as 24 characters."""


class Users:
    """Accounts of people."""

    def __init__(
        self,
        database: Database,
        clock: Clock,
        *,
        passwords: Passwords,
        throttle: Throttle,
        sessions: Sessions,
        api_keys: ApiKeys,
        stops: Stops,
    ) -> None:
        self._database = database
        self._clock = clock
        self._passwords = passwords
        self._throttle = throttle
        self._sessions = sessions
        self._api_keys = api_keys
        self._stops = stops

    async def prove(self, email: str, password: str, address: str) -> Account:
        """The person whom an address and a password prove, with the hash that was compared. The answer, and the work,
        are the same for an account that does not exist, one that is deactivated and a wrong password.

        Raises:
            Unauthenticated: they prove nothing. TooMany: too many tries. Invalid: no account can be called that.
            Unavailable.
        """
        email, password = check_email(email), normal_password(password)
        async with self._throttle.attempt(email, address):
            account = await users.find(self._database, email)
            deed = now_doing()
            if deed is not None and account is not None:
                deed.target = wire_id(Kind.USER, account.user.id)
            fits = await self._passwords.fits(account.password_hash if account else None, password)
            if account is None or not fits or account.user.deactivated_at is not None:
                raise _wrong_credentials()
            if account.password_hash is not None and self._passwords.is_outdated(account.password_hash):
                return await self._made_again(account, password)
        return account

    async def hash_for_new(self, email: str, password: str, address: str) -> str:
        """What is kept of the password of an account that a stranger is about to get. It counts as a try: it is as much
        work. Raises: TooMany, Unavailable."""
        async with self._throttle.attempt(email, address):
            return await self._passwords.hash(password)

    async def _made_again(self, account: Account, password: str) -> Account:
        """With a hash as new ones are made, unless the password was changed meanwhile. Raises: as `prove`."""
        hashed = await self._passwords.hash(password)
        if await users.replace_password(self._database, account, hashed):
            return replace(account, password_hash=hashed)
        # by another one, or by the same in another browser
        found = await users.find_by_id(self._database, account.user.id)
        if found is None or not await self._passwords.fits(found.password_hash, password):
            raise _wrong_credentials()
        return found

    async def recognise(self, subject: str, verified_email: str, name: str, *, new_users: bool) -> Account:
        """The person whom the OIDC provider has proved: known by their subject there, or, the first time, by the
        address that it has verified. With `new_users`, somebody without an account gets one, in no team.

        The first time, the account's password and sessions end: nobody here had verified the address, so whoever made
        the account may have been somebody else who waited for this (OWASP calls it pre-hijacking).

        Raises:
            Unauthenticated: there is no such account, or it is deactivated. Unavailable.
        """
        account = await users.find_by_subject(self._database, subject)
        if account is None and verified_email:
            account = await users.find(self._database, check_email(verified_email))
            if account is not None:
                account = await self._bind(account, subject)
            elif new_users:
                email, shown = check_email(verified_email), name.replace("\n", " ")[:USER_NAME_CHARACTERS_KEPT]
                user = User(new_id(), email, check_user_name(shown), False, self._clock.now())
                await users.insert(self._database, user, oidc_subject=subject)
                return Account(user, None, subject)
        if account is None or account.user.deactivated_at is not None:
            raise Unauthenticated("There is no account for you here. Ask for an invitation.", code="WRONG_CREDENTIALS")
        return account

    async def _bind(self, account: Account, subject: str) -> Account | None:
        """None for an account that is somebody else at the provider: it is not theirs, whatever the address says."""
        async with self._database.transaction() as transaction:
            bound = await users.bind_subject(transaction, account.user.id, subject)
            if bound:
                await self._sessions.end_all(transaction, account.user.id)
        self._sessions.forget()
        return Account(account.user, None, subject) if bound else None

    async def change_password(self, principal: Principal, current: str, new: str, address: str) -> None:
        """Replaces the caller's password and ends their other sessions.

        Raises:
            Forbidden: the caller is no person; `WRONG_PASSWORD`, the current one is another, also if it was right
            until a moment ago. Invalid: the new one.
            TooMany, Unavailable.
        """
        require_user(principal)
        password = check_new_password(new, path=("newPassword",))
        current = normal_password(current, path=("currentPassword",))
        account = await users.find_by_id(self._database, principal.id)
        if account is None:
            raise Forbidden("Only a person who is signed in can do this.")
        async with self._throttle.attempt(account.user.email, address):
            # who has signed in by OIDC only has no password yet, and chooses the first one
            if account.password_hash is not None and not await self._passwords.fits(account.password_hash, current):
                raise _wrong_password()
        hashed = await self._passwords.hash(password)
        async with self._database.transaction() as transaction:
            if not await users.replace_password(transaction, account, hashed):
                raise _wrong_password()
            await note(transaction, self._clock.now(), principal.actor)
            await self._sessions.end_all(transaction, principal.id, but=principal.session_id)
        self._sessions.forget()

    async def me(self, principal: Principal) -> User | None:
        """The person behind the caller; None for a key."""
        return await users.get(self._database, principal.id) if principal.session_id else None

    async def list(self, principal: Principal, email_contains: str | None, page: PageRequest) -> Page[User]:
        """All people, the oldest account first. Raises: Forbidden for all but platform admins."""
        require_platform_admin(principal)
        return await users.page(self._database, email_contains, page)

    async def count(self, principal: Principal, email_contains: str | None) -> int:
        """How many people there are. Raises: as `list`."""
        require_platform_admin(principal)
        return await users.count(self._database, email_contains)

    async def get(self, principal: Principal, user_id: UUID) -> User | None:
        """One person. Raises: as `list`."""
        require_platform_admin(principal)
        return await users.get(self._database, user_id)

    async def preview_deactivation(self, principal: Principal, user_id: UUID) -> Deactivation:
        """What deactivating a person would stop. Raises: as `list`."""
        require_platform_admin(principal)
        return await users.what_stops_with(self._database, user_id, self._clock.now())

    async def deactivate(self, principal: Principal, user_id: UUID) -> tuple[User, Deactivation]:
        """Shuts a person out: their sessions end, their keys open nothing until they are activated again, their
        invitations are taken back, and what they started that runs now is paused. Harmless to repeat.

        Raises:
            Forbidden: for all but platform admins. NotFound. Conflict: `LAST_ADMIN`.
        """
        require_platform_admin(principal)
        now = self._clock.now()
        async with self._database.transaction() as transaction:
            admins = await lock_platform_admins(transaction, principal, now)
            _refuse_last_admin(admins, user_id)
            stopped = await users.what_stops_with(transaction, user_id, now)
            await users.set_deactivated(transaction, user_id, now)
            await self._sessions.end_all(transaction, user_id)
            await invitations.revoke_of(transaction, user_id, now)
            user = await users.get(transaction, user_id)
            if user is None:
                raise no_such_user()
            await note(transaction, now)
        self._forget()
        await self._stops.pause(stopped.sandbox_ids)
        return user, stopped

    async def activate(self, principal: Principal, user_id: UUID) -> User:
        """Lets a deactivated person in again; they have to sign in. Harmless to repeat. Raises: as `deactivate`."""
        require_platform_admin(principal)
        now = self._clock.now()
        async with self._database.transaction() as transaction:
            await lock_platform_admins(transaction, principal, now)
            await users.set_deactivated(transaction, user_id, None)
            user = await users.get(transaction, user_id)
            if user is not None:
                await note(transaction, now)
        self._forget()
        if user is None:
            raise no_such_user()
        return user

    async def set_platform_admin(self, principal: Principal, user_id: UUID, *, is_platform_admin: bool) -> User:
        """Makes somebody a platform admin, or no longer one. Raises: as `deactivate`."""
        require_platform_admin(principal)
        now = self._clock.now()
        async with self._database.transaction() as transaction:
            admins = await lock_platform_admins(transaction, principal, now)
            if not is_platform_admin:
                _refuse_last_admin(admins, user_id)
            await users.set_platform_admin(transaction, user_id, is_platform_admin=is_platform_admin)
            user = await users.get(transaction, user_id)
            if user is not None:
                await note(transaction, now)
        self._forget()
        if user is None:
            raise no_such_user()
        return user

    async def create(self, email: str, name: str, *, team_id: UUID, role: Role, is_platform_admin: bool) -> str:
        """Makes an account for the owner of this installation and returns its password: the only time that it can be
        seen.

        Raises:
            Invalid: address or name. Conflict: `EMAIL_TAKEN`. NotFound: the team. Unavailable.
        """
        user = User(new_id(), check_email(email), check_user_name(name), is_platform_admin, self._clock.now())
        password = secrets.token_urlsafe(GENERATED_PASSWORD_BYTES)
        hashed = await self._passwords.hash(password)
        async with self._database.transaction() as transaction:
            if await teams.lock(transaction, team_id) is None:
                raise NotFound("There is no such team.", path=("teamId",))
            await users.insert(transaction, user, password_hash=hashed)
            await memberships.insert(transaction, team_id, user.id, role, user.created_at)
            await note(transaction, user.created_at, wire_id(Kind.USER, user.id))
        return password

    async def reset_password(self, email: str) -> str:
        """Gives somebody a new password and ends their sessions, for the owner of this installation; returns the
        password. Raises: NotFound, Invalid, Unavailable."""
        account = await users.find(self._database, check_email(email))
        if account is None:
            raise no_such_user()
        password = secrets.token_urlsafe(GENERATED_PASSWORD_BYTES)
        hashed = await self._passwords.hash(password)
        async with self._database.transaction() as transaction:
            await users.set_password(transaction, account.user.id, hashed)
            await self._sessions.end_all(transaction, account.user.id)
            await note(transaction, self._clock.now(), wire_id(Kind.USER, account.user.id))
        return password

    async def everybody(self) -> Sequence[User]:
        """All people, for the owner of this installation. Raises: Unavailable."""
        return await users.everybody(self._database)

    def _forget(self) -> None:
        self._sessions.forget()
        self._api_keys.forget()


def no_such_user() -> NotFound:
    """What an unknown id is answered with."""
    return NotFound("There is no such person.", path=("id",))


def _wrong_credentials() -> Unauthenticated:
    return Unauthenticated("The email address or the password is wrong.", code="WRONG_CREDENTIALS")


def _wrong_password() -> Forbidden:
    return Forbidden("The current password is wrong.", code="WRONG_PASSWORD", path=("currentPassword",))


def _refuse_last_admin(admins: frozenset[UUID], user_id: UUID) -> None:
    if admins == {user_id}:
        raise Conflict("This is the last platform admin. Make somebody else one first.", code="LAST_ADMIN")
