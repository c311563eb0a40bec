"""`/auth/…`: signing in and out with a browser, and accepting invitations. Everything else is GraphQL."""

from collections.abc import Mapping
from typing import Any

import structlog
from starlette.datastructures import Headers
from starlette.requests import ClientDisconnect
from starlette.types import Receive, Scope, Send

from api.domain.audit import ANONYMOUS
from api.domain.session import SESSION_LIFE, Session
from api.domain.user import User
from api.errors import Invalid, NotFound, Unauthenticated
from api.http.bodies import lingering, read_body
from api.http.caller import SESSION_COOKIE, Callers, cookie_line, session_token
from api.http.errors import error_response, error_response_for
from api.http.json import JSONResponse, parse_json
from api.http.negotiation import is_json
from api.ids import Kind, wire_id
from api.services.audit import Deed
from api.services.services import Services
from api.services.sessions import NewSession

BODY_BYTES_MAX = 16 * 1024
"""An address, a password and a name, or a token."""

_log = structlog.get_logger(__name__)


class SessionEndpoints:
    """One ASGI application for all of them: the last part of the path says which."""

    def __init__(self, services: Services, callers: Callers, *, oidc_name: str | None) -> None:
        self._services = services
        self._callers = callers
        self._oidc_name = oidc_name
        self._posts = {
            "sign-in": self._sign_in,
            "sign-out": self._sign_out,
            "invitations/look": self._look,
            "invitations/accept": self._accept,
        }

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answers one request."""
        request_id: str = scope["state"]["request_id"]
        method, name = scope["method"], scope["path_params"]["name"]
        allowed = "GET" if name == "session" else "POST" if name in self._posts else None
        try:
            if allowed is None:
                raise NotFound("There is nothing at this address.")
            if method != allowed:
                response = error_response(
                    405, "METHOD_NOT_ALLOWED", f"Use {allowed}.", request_id, headers={"allow": allowed}
                )
            elif method == "GET":
                response = JSONResponse(await self._session(scope))
            else:
                self._callers.check_page(Headers(scope=scope))
                response = await self._posts[name](scope, await _content(scope, receive))
        except ClientDisconnect:
            raise
        except Exception as error:  # noqa: BLE001  # every one is answered in our shape
            response = error_response_for(error, request_id)
        await response(scope, receive, lingering(receive, send) if method == "POST" else send)

    async def _session(self, scope: Scope) -> dict[str, Any]:
        """Who is signed in, and how one can; answers 200 to everybody, since it is asked by every page that opens."""
        session = await self._current(scope)
        return {
            "user": None if session is None else _user(session.user),
            "oidc": None if self._oidc_name is None else {"name": self._oidc_name},
        }

    async def _sign_in(self, scope: Scope, content: Mapping[str, Any]) -> JSONResponse:
        email, password = _text(content, "email"), _text(content, "password")
        deed = stranger(self._callers, scope, "signIn")
        async with self._services.audit.doing(deed):
            proved = await self._services.users.prove(email, password, deed.address)
            begun = await self._services.sessions.begin(proved, instead_of=session_token(Headers(scope=scope)))
            tell_who(deed, begun)
        _log.info("signed_in", user_id=str(proved.user.id))
        return self._signed_in(scope, begun)

    async def _sign_out(self, scope: Scope, content: Mapping[str, Any]) -> JSONResponse:  # noqa: ARG002
        deed = stranger(self._callers, scope, "signOut")
        session = await self._current(scope)
        if session is not None:
            deed.actor, deed.team_id = session.principal.actor, session.principal.team_id
            async with self._services.audit.doing(deed):
                await self._services.sessions.end(session_token(Headers(scope=scope)))
        secure = self._callers.site.is_secure(scope)
        removal = cookie_line(SESSION_COOKIE, "", path="/", seconds=0, secure=secure)
        return JSONResponse({"user": None}, headers={"set-cookie": removal})

    async def _look(self, scope: Scope, content: Mapping[str, Any]) -> JSONResponse:  # noqa: ARG002
        invitation = await self._services.invitations.look(_text(content, "token"))
        return JSONResponse(
            {
                "team": invitation.team_name,
                "email": invitation.email,
                "role": invitation.role.name,
                "invitedBy": invitation.invited_by,
                "expiresAt": invitation.expires_at.isoformat(),
            }
        )

    async def _accept(self, scope: Scope, content: Mapping[str, Any]) -> JSONResponse:
        session = await self._current(scope)
        deed = stranger(self._callers, scope, "acceptInvitation")
        if session is not None:
            deed.actor = session.principal.actor
        password = _text(content, "password") if content.get("password") is not None else None
        name = _text(content, "name") if content.get("name") is not None else ""
        async with self._services.audit.doing(deed):
            accepted = await self._services.invitations.accept(
                _text(content, "token"), session=session, password=password, name=name, address=deed.address
            )
        user, team_id = accepted.user, accepted.invitation.team_id
        _log.info("invitation_accepted", user_id=str(user.id), team_id=str(team_id))
        if accepted.proved is None:
            # the session stays what it was: if it has ended a moment ago, it must not become a new one
            return JSONResponse({"user": _user(user)})
        begun = await self._services.sessions.begin(
            accepted.proved, instead_of=session_token(Headers(scope=scope)), team_id=team_id
        )
        return self._signed_in(scope, begun)

    def _signed_in(self, scope: Scope, begun: NewSession) -> JSONResponse:
        """The answer that gives a browser its session."""
        return JSONResponse(
            {"user": _user(begun.session.user)}, headers={"set-cookie": session_cookie(self._callers, scope, begun)}
        )

    async def _current(self, scope: Scope) -> Session | None:
        token = session_token(Headers(scope=scope))
        if not token:
            return None
        try:
            return await self._services.sessions.authenticate(token)
        except Unauthenticated:
            return None


def stranger(callers: Callers, scope: Scope, action: str) -> Deed:
    """What somebody does who has not proved yet who they are."""
    request_id: str = scope["state"]["request_id"]
    return Deed(action, ANONYMOUS, request_id=request_id, address=callers.site.address(scope))


def tell_who(deed: Deed, begun: NewSession) -> None:
    """Says whose deed it was, once they have signed in."""
    principal = begun.session.principal
    deed.actor, deed.team_id, deed.target = principal.actor, principal.team_id, principal.actor


def session_cookie(callers: Callers, scope: Scope, begun: NewSession) -> str:
    """The `set-cookie` that gives a browser its session."""
    seconds, secure = int(SESSION_LIFE.total_seconds()), callers.site.is_secure(scope)
    return cookie_line(SESSION_COOKIE, begun.token, path="/", seconds=seconds, secure=secure)


async def _content(scope: Scope, receive: Receive) -> Mapping[str, Any]:
    if not is_json(Headers(scope=scope).get("content-type")):
        raise Invalid("The body must be JSON, with `content-type: application/json`.", code="UNSUPPORTED_MEDIA_TYPE")
    content = parse_json(await read_body(scope, receive, limit_bytes=BODY_BYTES_MAX))
    if not isinstance(content, Mapping):
        raise Invalid("The body must be a JSON object.", code="BAD_REQUEST")
    return content


def _text(content: Mapping[str, Any], name: str) -> str:
    value = content.get(name)
    if not isinstance(value, str):
        raise Invalid(f"`{name}` must be a text.", path=(name,))
    return value


def _user(user: User) -> dict[str, Any]:
    return {"id": wire_id(Kind.USER, user.id), "email": user.email, "name": user.name}
