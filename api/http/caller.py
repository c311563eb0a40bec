"""Who sends a request: an API key in the header `authorization`, or else a session in a cookie."""

import ipaddress
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from starlette.datastructures import Headers
from starlette.requests import cookie_parser

from api.domain.principal import Principal
from api.errors import Forbidden
from api.http.origin import is_our_origin
from api.services.auth import Auth

SESSION_COOKIE = "nestbox_session"
CSRF_HEADER = "x-nestbox-csrf"
"""A page of another site cannot send it without asking us first, and we do not answer that."""
_CHANGES_NOTHING = frozenset({"GET", "HEAD"})
_FORWARDED_BYTES_MAX = 1024


@dataclass(frozen=True, slots=True)
class Site:
    """What this platform is to browsers: origins that are ours beside the address that was asked, proxies that are
    trusted to say who asks, and where people reach it."""

    origins: tuple[str, ...] = ()
    trusted_proxies: frozenset[str] = frozenset()
    public_url: str = ""

    @property
    def all_origins(self) -> tuple[str, ...]:
        """Every origin whose pages may use a session."""
        return (*self.origins, self.public_url) if self.public_url else self.origins

    def is_secure(self, scope: Mapping[str, Any]) -> bool:
        """Whether a request came by TLS, here or at the proxy in front."""
        return scope["scheme"] in {"https", "wss"} or self.public_url.startswith("https://")

    def address(self, scope: Mapping[str, Any]) -> str:
        """The address of whoever sent a request. A trusted proxy writes it at the end of `x-forwarded-for`: of the
        line that the client may have sent, or in a line of its own after that, which is the same (RFC 9110, 5.3)."""
        client = scope.get("client")
        address = str(client[0]) if client else "unknown"
        if address not in self.trusted_proxies:
            return address
        forwarded = ",".join(Headers(scope=dict(scope)).getlist("x-forwarded-for"))[-_FORWARDED_BYTES_MAX:]
        for part in reversed(forwarded.split(",")):
            try:
                found = str(ipaddress.ip_address(part.strip()))
            except ValueError:
                return address
            if found not in self.trusted_proxies:
                return found
        return address


class Callers:
    """Finds out who sent a request, and refuses what another site made a browser send."""

    def __init__(self, auth: Auth, site: Site) -> None:
        self._auth = auth
        self.site = site

    async def principal(self, scope: Mapping[str, Any]) -> Principal:
        """Who sent a request.

        Raises:
            Unauthenticated: nobody we know. Forbidden: `CSRF`. Unavailable: the database does not answer.
        """
        headers = Headers(scope=dict(scope))
        authorization = headers.get("authorization")
        token = session_token(headers)
        if authorization or not token:
            return await self._auth.authenticate(authorization)
        if scope["method"] not in _CHANGES_NOTHING:
            self.check_page(headers)
        return await self._auth.authenticate_session(token)

    def check_page(self, headers: Headers) -> None:
        """Returns if a request that may change something comes from a page of ours. Raises: Forbidden, `CSRF`."""
        if headers.get(CSRF_HEADER) != "1":
            raise Forbidden(f"With a session, send the header `{CSRF_HEADER}: 1`.", code="CSRF")
        if not is_our_origin(headers, self.site.all_origins):
            raise Forbidden("With a session, requests must come from a page of this platform.", code="CSRF")


def session_token(headers: Headers) -> str:
    """The token in the cookie of a session; empty without one."""
    return cookie(headers, SESSION_COOKIE)


def cookie(headers: Headers, name: str) -> str:
    """The value of a cookie; empty without one."""
    for line in headers.getlist("cookie"):
        found = cookie_parser(line).get(name)
        if found:
            return found
    return ""


def cookie_line(name: str, value: str, *, path: str, seconds: int, secure: bool) -> str:
    """A `set-cookie` that no script can read and no other site can send along with a POST; 0 seconds removes it."""
    parts = [f"{name}={value}", f"Path={path}", f"Max-Age={seconds}", "HttpOnly", "SameSite=Lax"]
    return "; ".join([*parts, "Secure"] if secure else parts)
