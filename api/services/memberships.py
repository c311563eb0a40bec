"""Who is in a team, and with which role. Every change holds the lock of the team, so that no two of them can both
think that another owner is left."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from uuid import UUID

from api.clock import Clock
from api.db import api_keys, invitations, memberships, teams
from api.db.database import Database, Statements
from api.domain.page import Page, PageRequest
from api.domain.principal import Principal, Role, Scope, require, require_user, scopes_of
from api.domain.team import Member, check_may_change, check_may_give
from api.errors import Conflict, Forbidden, NotFound
from api.services.api_keys import ApiKeys
from api.services.audit import note, now_doing
from api.services.rights import acting_role
from api.services.sessions import Sessions


class Memberships:
    """The members of the caller's team."""

    def __init__(self, database: Database, clock: Clock, sessions: Sessions, keys: ApiKeys) -> None:
        self._database = database
        self._clock = clock
        self._sessions = sessions
        self._api_keys = keys

    async def list(self, principal: Principal, page: PageRequest) -> Page[Member]:
        """The members, in the order in which they joined. Raises: MissingScope."""
        require(principal, Scope.READ)
        return await memberships.page(self._database, principal.team_id, page)

    async def count(self, principal: Principal) -> int:
        """How many members there are. Raises: MissingScope."""
        require(principal, Scope.READ)
        return await memberships.count(self._database, principal.team_id)

    async def get(self, principal: Principal, user_id: UUID) -> Member | None:
        """One member. Raises: MissingScope."""
        require(principal, Scope.READ)
        return await memberships.get(self._database, principal.team_id, user_id)

    async def change_role(self, principal: Principal, user_id: UUID, role: Role) -> Member:
        """Gives a member another role; harmless to repeat. Who may do less than before loses that at once: their
        invitations are taken back, their keys can do no more than they.

        Raises:
            MissingScope: for all but admins of the team. Forbidden: only owners make and change owners.
            NotFound: no such member. Conflict: `LAST_OWNER`.
        """
        require(principal, Scope.TEAM_ADMIN)
        async with self._changing(principal) as transaction:
            acting = await acting_role(transaction, principal, self._clock.now())
            member = await self._member(transaction, principal, user_id)
            check_may_change(acting, member.role)
            check_may_give(acting, role)
            if member.role is Role.OWNER and role is not Role.OWNER:
                await self._refuse_last_owner(transaction, principal, user_id)
            await self._set_role(transaction, principal, member, role)
            return await self._member(transaction, principal, user_id)

    async def remove(self, principal: Principal, user_id: UUID) -> Member:
        """Takes a member out of the team, at once: their sessions act for it no longer, the keys that they made for it
        and their invitations end. Who removes themselves leaves.

        Raises:
            MissingScope: for all but admins of the team. Forbidden: only owners remove owners.
            NotFound: no such member. Conflict: `LAST_OWNER`.
        """
        require(principal, Scope.TEAM_ADMIN)
        async with self._changing(principal) as transaction:
            acting = await acting_role(transaction, principal, self._clock.now())
            member = await self._member(transaction, principal, user_id)
            check_may_change(acting, member.role)
            await self._take_out(transaction, principal, member)
            return member

    async def leave(self, principal: Principal, team_id: UUID) -> None:
        """Takes the caller out of one of their teams.

        Raises:
            Forbidden: the caller is no person. NotFound: they are not in that team. Conflict: `LAST_OWNER`.
        """
        require_user(principal)
        principal = replace(principal, team_id=team_id)
        async with self._changing(principal) as transaction:
            member = await self._member(transaction, principal, principal.id)
            await self._take_out(transaction, principal, member)

    async def transfer_ownership(self, principal: Principal, user_id: UUID) -> Member:
        """Makes another member an owner, and the caller, who must be one, an admin.

        Raises:
            Forbidden: the caller is no owner. NotFound: no such member. Conflict: the member is deactivated.
        """
        require_user(principal)
        require(principal, Scope.TEAM_ADMIN)
        async with self._changing(principal) as transaction:
            if await acting_role(transaction, principal, self._clock.now()) is not Role.OWNER:
                raise Forbidden("Only an owner of the team can hand it over.")
            member = await self._member(transaction, principal, user_id)
            if member.deactivated_at is not None:
                raise Conflict("This person is deactivated.", path=("userId",))
            if user_id != principal.id:
                await self._set_role(transaction, principal, member, Role.OWNER)
                former = await self._member(transaction, principal, principal.id)
                await self._set_role(transaction, principal, former, Role.ADMIN)
            return await self._member(transaction, principal, user_id)

    async def _set_role(self, transaction: Statements, principal: Principal, member: Member, role: Role) -> None:
        await memberships.set_role(transaction, principal.team_id, member.user_id, role)
        # what somebody may no longer give must not be lying ready
        no_owner = member.role is Role.OWNER and role is not Role.OWNER
        if no_owner or Scope.TEAM_ADMIN not in scopes_of(role):
            await invitations.revoke_of(transaction, member.user_id, self._clock.now(), team_id=principal.team_id)

    async def _take_out(self, transaction: Statements, principal: Principal, member: Member) -> None:
        if member.role is Role.OWNER:
            await self._refuse_last_owner(transaction, principal, member.user_id)
        now = self._clock.now()
        await memberships.delete(transaction, principal.team_id, member.user_id)
        await api_keys.revoke_made_by(transaction, member.user_id, principal.team_id, now)
        await invitations.revoke_of(transaction, member.user_id, now, team_id=principal.team_id)

    async def _refuse_last_owner(self, transaction: Statements, principal: Principal, user_id: UUID) -> None:
        if await memberships.count_active_owners(transaction, principal.team_id, but=user_id) == 0:
            raise Conflict("This is the last owner of the team. Hand it over first.", code="LAST_OWNER")

    async def _member(self, transaction: Statements, principal: Principal, user_id: UUID) -> Member:
        member = await memberships.get(transaction, principal.team_id, user_id)
        if member is None:
            raise NotFound("There is no such member.")
        return member

    @asynccontextmanager
    async def _changing(self, principal: Principal) -> AsyncIterator[Statements]:
        async with self._database.transaction() as transaction:
            await teams.lock(transaction, principal.team_id)
            yield transaction
            deed = now_doing()
            if deed is not None:
                # who leaves a team may be acting for another
                deed.team_id = principal.team_id
            await note(transaction, self._clock.now())
        self._sessions.forget()
        self._api_keys.forget()
