"""Sessions: people who are signed in."""

from dataclasses import dataclass
from uuid import UUID

from api.clock import Clock
from api.db import sessions, teams
from api.db.database import Database, Statements
from api.db.sessions import StoredSession
from api.db.users import Account
from api.domain.principal import Principal, require_user
from api.domain.session import Session
from api.domain.team import TeamOfUser
from api.errors import NotFound, Unauthenticated
from api.ids import new_id
from api.services.beliefs import Beliefs
from api.services.tokens import Token


@dataclass(frozen=True, slots=True)
class NewSession:
    """A session that was just begun, and the token that its browser keeps."""

    session: Session
    token: str


class Sessions:
    """Begins, recognises and ends sessions. Of a token only the SHA-256 of its secret is kept anywhere."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock
        self._beliefs: Beliefs[StoredSession] = Beliefs(clock, self._look_up)

    async def authenticate(self, text: str) -> Session:
        """The session of a token.

        Raises:
            Unauthenticated: there is none, or it has ended. Unavailable: the database does not answer.
        """
        token = Token.parse(text)
        stored = None if token is None else await self._beliefs.get(token.id)
        if token is None or not token.fits(stored.secret_sha256 if stored else None) or stored is None:
            raise Unauthenticated("This session has ended. Sign in again.")
        return stored.session

    async def is_good(self, principal: Principal) -> bool:
        """Whether the session behind a principal may still do all that it could in its team. Raises: Unavailable."""
        if principal.session_id is None:
            return False
        stored = await self._beliefs.get(principal.session_id, is_known=True)
        return stored is not None and stored.session.still_holds(principal)

    def forget(self) -> None:
        """Looks up every session again: what one may do has changed."""
        self._beliefs.forget()

    async def begin(self, proved: Account, *, instead_of: str = "", team_id: UUID | None = None) -> NewSession:
        """Begins a session for somebody who has proved who they are. Its token is new in any case, and a session that
        their browser had (`instead_of`, its token) ends: a token from before signing in is worth nothing after.

        Raises:
            Unauthenticated: they were deactivated meanwhile, or what they proved it by is no longer theirs.
            Unavailable.
        """
        token = Token.make(new_id())
        if not await sessions.insert(self._database, token.id, proved, token.sha256, self._clock.now(), team_id):
            raise Unauthenticated("Your account was changed while you signed in. Try again.", code="WRONG_CREDENTIALS")
        await self.end(instead_of)
        return NewSession(await self.authenticate(str(token)), str(token))

    async def end(self, text: str) -> None:
        """Ends the session of a token, if there is one. Raises: Unavailable."""
        try:
            session = await self.authenticate(text)
        except Unauthenticated:
            return
        await sessions.revoke(self._database, session.id, self._clock.now())
        self.forget()

    async def switch_team(self, principal: Principal, team_id: UUID) -> TeamOfUser:
        """Lets the caller's session act for another team, from the next request on.

        Raises:
            Forbidden: the caller has no session. NotFound: the caller is in no such team.
        """
        require_user(principal)
        switched = principal.session_id is not None and await sessions.switch(
            self._database, principal.session_id, team_id
        )
        self.forget()
        found = await teams.of_user(self._database, principal.id) if switched else ()
        team = next((each for each in found if each.team.id == team_id), None)
        if team is None:
            raise NotFound("You are in no such team.", path=("teamId",))
        return team

    async def end_all(self, statements: Statements, user_id: UUID, *, but: UUID | None = None) -> None:
        """Ends all sessions of a person, or all but one; `forget` follows when the transaction is over."""
        await sessions.revoke_all(statements, user_id, self._clock.now(), but=but)

    async def _look_up(self, session_id: UUID) -> StoredSession | None:
        return await sessions.find(self._database, session_id, self._clock.now())
