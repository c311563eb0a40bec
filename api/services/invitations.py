"""Invitations to teams, by a link that works once."""

from dataclasses import dataclass
from uuid import UUID

from api.clock import Clock
from api.db import invitations, memberships, sessions, teams, users
from api.db.database import Database, Statements
from api.db.invitations import StoredInvitation
from api.db.users import Account
from api.domain.invitation import INVITATION_LIFE, INVITATIONS_PER_TEAM_MAX, Invitation
from api.domain.page import Page, PageRequest
from api.domain.principal import Principal, Role, Scope, require
from api.domain.session import Session
from api.domain.team import MEMBERS_PER_TEAM_MAX, TEAMS_PER_USER_MAX, check_may_give
from api.domain.user import User, check_email, check_new_password, check_user_name
from api.errors import Conflict, Forbidden, Invalid, NotFound
from api.ids import Kind, new_id, wire_id
from api.services.api_keys import person_behind
from api.services.audit import note, now_doing
from api.services.rights import acting_role
from api.services.sessions import Sessions
from api.services.tokens import Token
from api.services.users import Users


@dataclass(frozen=True, slots=True)
class NewInvitation:
    """An invitation that was just made, and the token for its link: the only time that it can be seen."""

    invitation: Invitation
    token: str


@dataclass(frozen=True, slots=True)
class Accepted:
    """An invitation that was accepted, and by whom. `proved` is what a session can begin by; None for who has one."""

    invitation: Invitation
    user: User
    proved: Account | None


class Invitations:
    """Making, taking back and accepting them."""

    def __init__(self, database: Database, clock: Clock, people: Users, signed_in: Sessions) -> None:
        self._database = database
        self._clock = clock
        self._users = people
        self._sessions = signed_in

    async def list(self, principal: Principal, page: PageRequest) -> Page[Invitation]:
        """Those that can be accepted, the newest first. Raises: MissingScope for all but admins of the team."""
        require(principal, Scope.TEAM_ADMIN)
        return await invitations.page(self._database, principal.team_id, self._clock.now(), page)

    async def count(self, principal: Principal) -> int:
        """How many can be accepted. Raises: as `list`."""
        require(principal, Scope.TEAM_ADMIN)
        return await invitations.count(self._database, principal.team_id, self._clock.now())

    async def create(self, principal: Principal, email: str, role: Role) -> NewInvitation:
        """Invites somebody to the team; an open invitation for the same address is replaced.

        Raises:
            MissingScope: for all but admins of the team. Forbidden: only owners invite owners. Invalid: the address.
            Conflict: `ALREADY_MEMBER`, `LIMIT_REACHED`.
        """
        require(principal, Scope.TEAM_ADMIN)
        email = check_email(email)
        now = self._clock.now()
        token = Token.make(new_id())
        async with self._database.transaction() as transaction:
            team = await teams.lock(transaction, principal.team_id)
            if team is None:
                raise NotFound("There is no such team.")
            check_may_give(await acting_role(transaction, principal, now), role)
            await _refuse_member(transaction, principal.team_id, email)
            if await invitations.count(transaction, team.id, now) >= INVITATIONS_PER_TEAM_MAX:
                message = f"A team has at most {INVITATIONS_PER_TEAM_MAX} open invitations. Take one back first."
                raise Conflict(message, code="LIMIT_REACHED")
            expires_at = now + INVITATION_LIFE
            wanted = Invitation(token.id, team.id, team.name, email, role, now, expires_at, invited_by="")
            inviting = await person_behind(transaction, principal)
            await invitations.insert(transaction, wanted, token.sha256, inviting)
            stored = await invitations.find(transaction, token.id, now)
            await note(transaction, now, wire_id(Kind.INVITATION, token.id))
        return NewInvitation(stored.invitation if stored else wanted, str(token))

    async def revoke(self, principal: Principal, invitation_id: UUID) -> None:
        """Takes an open invitation back. Raises: MissingScope for all but admins of the team. NotFound."""
        require(principal, Scope.TEAM_ADMIN)
        now = self._clock.now()
        async with self._database.transaction() as transaction:
            if not await invitations.revoke(transaction, principal.team_id, invitation_id, now):
                raise NotFound("There is no such open invitation.", path=("id",))
            await note(transaction, now, wire_id(Kind.INVITATION, invitation_id))

    async def look(self, text: str) -> Invitation:
        """The invitation of a token. Raises: NotFound."""
        return (await self._stored(text)).invitation

    async def accept(
        self, text: str, *, session: Session | None, password: str | None, name: str, address: str
    ) -> Accepted:
        """Makes somebody a member, once: the person of the session, which acts for the team from then on, or the
        account of the invitation's address that the password proves, or a new account with that password.

        Raises:
            NotFound: there is no such invitation any more. Forbidden: the session is somebody else's.
            Unauthenticated: the password does not prove the account. Invalid, Conflict, TooMany, Unavailable.
        """
        invitation = (await self._stored(text)).invitation
        proved: Account | None = None
        is_new = False
        if session is not None:
            if session.user.email != invitation.email:
                raise Forbidden("This invitation is for another email address. Sign out first.")
            user = session.user
        else:
            if password is None:
                raise Invalid("Give your password, or choose one if you are new here.", path=("password",))
            is_new = await users.find(self._database, invitation.email) is None
            if is_new:
                # all that can be refused first: hashing is work, and a link can be tried again and again
                password = check_new_password(password)
                user = User(new_id(), invitation.email, check_user_name(name), False, self._clock.now())
                proved = Account(user, await self._users.hash_for_new(user.email, password, address), None)
            else:
                proved = await self._users.prove(invitation.email, password, address)
            user = proved.user
        async with self._database.transaction() as transaction:
            # in the order of every change to a team: its lock first
            await teams.lock(transaction, invitation.team_id)
            if not await invitations.claim(transaction, invitation.id, self._clock.now()):
                raise _no_such_invitation()
            if proved is not None and is_new:
                await users.insert(transaction, user, password_hash=proved.password_hash)
            await self._join(transaction, invitation, user)
            if session is not None:
                await sessions.switch(transaction, session.id, invitation.team_id)
            deed = now_doing()
            if deed is not None:
                deed.actor, deed.team_id = wire_id(Kind.USER, user.id), invitation.team_id
            await note(transaction, self._clock.now(), wire_id(Kind.INVITATION, invitation.id))
        self._sessions.forget()
        return Accepted(invitation, user, proved)

    async def _join(self, transaction: Statements, invitation: Invitation, user: User) -> None:
        if not await teams.lock_user(transaction, user.id):
            raise _no_such_invitation()
        if await memberships.get(transaction, invitation.team_id, user.id) is not None:
            return
        if await memberships.count(transaction, invitation.team_id) >= MEMBERS_PER_TEAM_MAX:
            raise Conflict(f"A team has at most {MEMBERS_PER_TEAM_MAX} members.", code="LIMIT_REACHED")
        if len(await teams.of_user(transaction, user.id)) >= TEAMS_PER_USER_MAX:
            raise Conflict(f"A person can be in at most {TEAMS_PER_USER_MAX} teams.", code="LIMIT_REACHED")
        await memberships.insert(transaction, invitation.team_id, user.id, invitation.role, self._clock.now())

    async def _stored(self, text: str) -> StoredInvitation:
        token = Token.parse(text)
        stored = None if token is None else await invitations.find(self._database, token.id, self._clock.now())
        if token is None or not token.fits(stored.secret_sha256 if stored else None) or stored is None:
            raise _no_such_invitation()
        return stored


def _no_such_invitation() -> NotFound:
    return NotFound("This invitation was used or taken back, or it has expired. Ask for another one.")


async def _refuse_member(transaction: Statements, team_id: UUID, email: str) -> None:
    account = await users.find(transaction, email)
    if account is not None and await memberships.get(transaction, team_id, account.user.id) is not None:
        raise Conflict("This person is in the team already.", code="ALREADY_MEMBER", path=("email",))
