"""`/auth/oidc/start` and `/auth/oidc/callback`: signing in at another service."""

import hmac
from urllib.parse import parse_qs

import structlog
from starlette.datastructures import Headers
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from api.errors import Invalid, NestboxError, NotFound
from api.http.caller import Callers, cookie, cookie_line, session_token
from api.http.sessions import session_cookie, stranger, tell_who
from api.oidc import OidcClient
from api.services.services import Services

COOKIE = "nestbox_oidc"
PATH = "/auth/oidc"
COOKIE_SECONDS = 600
"""To sign in at the other service."""
CODE_CHARACTERS_MAX = 4096

_log = structlog.get_logger(__name__)


class OidcEndpoints:
    """Browsers visit both, so both answer with redirects; the page that signs people in tells of a failure."""

    def __init__(self, services: Services, callers: Callers, client: OidcClient, *, new_users: bool) -> None:
        self._services = services
        self._callers = callers
        self._client = client
        self._new_users = new_users

    async def start(self, request: Request) -> Response:
        """Sends a browser to the service, with a cookie that ties its return to this browser."""
        try:
            await self._services.throttle.admit("oidc start", self._callers.site.address(request.scope))
            began = await self._client.begin()
        except NestboxError as error:
            return _failed(error)
        response = RedirectResponse(began.url, 303)
        value = f"{began.state}.{began.nonce}.{began.verifier}"
        secure = self._callers.site.is_secure(request.scope)
        response.headers.append(
            "set-cookie", cookie_line(COOKIE, value, path=PATH, seconds=COOKIE_SECONDS, secure=secure)
        )
        return response

    async def callback(self, request: Request) -> Response:
        """Takes a browser back, and signs its person in."""
        headers = Headers(scope=request.scope)
        secure = self._callers.site.is_secure(request.scope)
        try:
            state, nonce, verifier = _kept(cookie(headers, COOKIE))
            code = _code(request, state)
            deed = stranger(self._callers, request.scope, "signIn")
            await self._services.throttle.admit("oidc callback", deed.address)
            async with self._services.audit.doing(deed):
                identity = await self._client.finish(code, nonce, verifier)
                proved = await self._services.users.recognise(
                    identity.subject, identity.email, identity.name, new_users=self._new_users
                )
                begun = await self._services.sessions.begin(proved, instead_of=session_token(headers))
                tell_who(deed, begun)
        except NestboxError as error:
            response = _failed(error)
        else:
            _log.info("signed_in", user_id=str(proved.user.id), by="oidc")
            response = RedirectResponse("/", 303)
            response.headers.append("set-cookie", session_cookie(self._callers, request.scope, begun))
        response.headers.append("set-cookie", cookie_line(COOKIE, "", path=PATH, seconds=0, secure=secure))
        return response


def _kept(value: str) -> tuple[str, str, str]:
    parts = value.split(".")
    if len(parts) != 3 or not all(parts):
        raise Invalid("Sign-in took too long, or began in another browser. Try again.")
    return parts[0], parts[1], parts[2]


def _code(request: Request, state: str) -> str:
    try:
        query = parse_qs(request.scope["query_string"].decode("latin-1"), max_num_fields=16)
    except ValueError:
        raise Invalid("The address has too many parameters.") from None
    given = query.get("state", [""])[0]
    if not hmac.compare_digest(given.encode(), state.encode()):
        raise Invalid("Sign-in took too long, or began in another browser. Try again.")
    code: str = query.get("code", [""])[0]
    if not 0 < len(code) <= CODE_CHARACTERS_MAX:
        raise NotFound("The other service did not sign you in.")
    return code


def _failed(error: NestboxError) -> Response:
    _log.info("oidc_failed", code=error.code, detail=error.detail)
    # not the sentence: whoever makes a link to us could put words into our mouth
    return RedirectResponse(f"/#sign-in-failed={error.code}", 303)
