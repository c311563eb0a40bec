"""Signing in by OpenID Connect: the authorization code flow with PKCE, as a client of one provider.

https://openid.net/specs/openid-connect-core-1_0.html, section 3.1. Authlib makes and checks the parts of the protocol;
nothing of a provider's answer is believed before its signature is.
"""

import secrets
from contextlib import suppress
from dataclasses import dataclass
from http.cookiejar import CookieJar, DefaultCookiePolicy
from types import TracebackType
from typing import Any, Self

import httpx
import orjson
import structlog
from authlib.oauth2.rfc6749.parameters import prepare_grant_uri
from authlib.oauth2.rfc7636 import create_s256_code_challenge
from authlib.oidc.core import CodeIDToken
from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import KeySet

from api.clock import Clock
from api.errors import Unauthenticated, Unavailable

ANSWER_SECONDS_MAX = 10.0
ANSWER_BYTES_MAX = 1024 * 1024
LEEWAY_SECONDS = 60
"""By how much the provider's clock may differ from ours."""
ALGORITHMS = ["RS256", "PS256", "ES256", "EdDSA"]
"""Of signatures. None that is made with a secret that we share, and never `none`."""
SCOPE = "openid email profile"
KEPT_SECONDS = 300.0
"""How long what a provider says of itself is believed; keys that do not fit are asked for again at once."""
CONNECTIONS_MAX = 10
"""To the provider, however many sign in: others wait for theirs."""
_MALFORMED = (JoseError, ValueError, TypeError, KeyError)
"""What comes of a token that is none, or that does not fit."""

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Provider:
    """A provider, and who we are to it. `client_secret` is empty for a public client."""

    issuer: str
    client_id: str
    client_secret: str
    redirect_uri: str


@dataclass(frozen=True, slots=True)
class Began:
    """What a browser keeps while it is at the provider, and where it goes. The three texts are secrets of it."""

    url: str
    state: str
    nonce: str
    verifier: str


@dataclass(frozen=True, slots=True)
class Identity:
    """Who somebody is to the provider. `email` is empty unless the provider has verified it."""

    subject: str
    email: str
    name: str


class OidcClient:
    """Asks the provider. Use as an async context manager: its connections are kept, and closed at the end. What the
    provider says of itself, its metadata and its keys, is believed for some minutes."""

    def __init__(self, provider: Provider, clock: Clock) -> None:
        self._provider = provider
        self._clock = clock
        self._http = httpx.AsyncClient(
            timeout=ANSWER_SECONDS_MAX,
            follow_redirects=False,
            limits=httpx.Limits(max_connections=CONNECTIONS_MAX),
            # none: what the provider tells one sign-in to send back is not for the next
            cookies=CookieJar(DefaultCookiePolicy(allowed_domains=[])),
        )
        self._kept: dict[str, tuple[dict[str, Any], float]] = {}

    async def __aenter__(self) -> Self:
        """Connects to nothing yet."""
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Closes its connections."""
        await self._http.aclose()

    async def begin(self) -> Began:
        """Where to send a browser. Raises: Unavailable when the provider does not answer."""
        metadata = await self._metadata()
        state, nonce, verifier = (secrets.token_urlsafe(32) for _ in range(3))
        url = prepare_grant_uri(
            metadata["authorization_endpoint"],
            client_id=self._provider.client_id,
            response_type="code",
            redirect_uri=self._provider.redirect_uri,
            scope=SCOPE,
            state=state,
            nonce=nonce,
            code_challenge=create_s256_code_challenge(verifier),
            code_challenge_method="S256",
        )
        return Began(url, state, nonce, verifier)

    async def finish(self, code: str, nonce: str, verifier: str) -> Identity:
        """Who came back with this code, which works once.

        Raises:
            Unauthenticated: the provider did not give the code to us, or what it says does not hold.
            Unavailable: it does not answer.
        """
        metadata = await self._metadata()
        form = {
            "grant_type": "authorization_code",
            "code": code,
            "redirect_uri": self._provider.redirect_uri,
            "code_verifier": verifier,
            "client_id": self._provider.client_id,
        }
        if self._provider.client_secret:
            form["client_secret"] = self._provider.client_secret
        answer = await _json(self._http.build_request("POST", metadata["token_endpoint"], data=form), self._http)
        return await self._identity(answer, nonce, metadata)

    async def _identity(self, answer: dict[str, Any], nonce: str, metadata: dict[str, Any]) -> Identity:
        try:
            token = await self._verified(str(answer.get("id_token")), metadata["jwks_uri"])
            options = {"iss": {"value": metadata["issuer"]}, "aud": {"value": self._provider.client_id}}
            claims = CodeIDToken(
                token.claims, token.header, options, {"nonce": nonce, "client_id": self._provider.client_id}
            )
            claims.validate(leeway=LEEWAY_SECONDS)
        except _MALFORMED as error:
            # its kind, not its text: that may hold parts of the token
            _log.warning("oidc_refused", reason=type(error).__name__)
            raise _not_proved() from None
        subject = claims.get("sub")
        if not isinstance(subject, str) or not subject:
            raise _not_proved()
        email, name = claims.get("email"), claims.get("name")
        verified = claims.get("email_verified") is True and isinstance(email, str)
        return Identity(subject, str(email) if verified else "", name if isinstance(name, str) else "")

    async def _verified(self, text: str, keys_url: str) -> jwt.Token:
        """A token that the provider has signed. Raises: one of `_MALFORMED`; Unavailable."""
        recent = self._recent("keys")
        if recent is not None:
            # signed by a newer key, perhaps: providers change them when they want
            with suppress(*_MALFORMED):
                return _decoded(text, recent)
        keys = await _json(self._http.build_request("GET", keys_url), self._http)
        self._keep("keys", keys)
        return _decoded(text, keys)

    async def _metadata(self) -> dict[str, Any]:
        recent = self._recent("metadata")
        if recent is not None:
            return recent
        url = f"{self._provider.issuer}/.well-known/openid-configuration"
        metadata = await _json(self._http.build_request("GET", url), self._http)
        wanted = ("authorization_endpoint", "token_endpoint", "jwks_uri")
        # a provider speaks for itself only (OpenID Connect Discovery, section 4.3)
        if str(metadata.get("issuer")).rstrip("/") != self._provider.issuer or not all(
            isinstance(metadata.get(name), str) for name in wanted
        ):
            raise _no_answer("its metadata are not those of the issuer")
        self._keep("metadata", metadata)
        return metadata

    def _recent(self, name: str) -> dict[str, Any] | None:
        found, until = self._kept.get(name, (None, 0.0))
        return found if self._clock.monotonic() < until else None

    def _keep(self, name: str, found: dict[str, Any]) -> None:
        self._kept[name] = (found, self._clock.monotonic() + KEPT_SECONDS)


def _decoded(text: str, keys: dict[str, Any]) -> jwt.Token:
    return jwt.decode(text, KeySet.import_key_set(keys), algorithms=ALGORITHMS)  # type: ignore[arg-type]


async def _json(request: httpx.Request, http: httpx.AsyncClient) -> dict[str, Any]:
    try:
        status, body = await _answer(request, http)
        found = orjson.loads(body)
    except (httpx.HTTPError, httpx.InvalidURL, ValueError) as error:
        raise _no_answer(type(error).__name__) from None
    if status in {400, 401}:
        _log.warning("oidc_refused", status=status)
        raise _not_proved()
    if status != 200 or not isinstance(found, dict):
        raise _no_answer(f"status {status}")
    return found


async def _answer(request: httpx.Request, http: httpx.AsyncClient) -> tuple[int, bytes]:
    response = await http.send(request, stream=True)
    try:
        body = b""
        async for chunk in response.aiter_bytes():
            body += chunk
            if len(body) > ANSWER_BYTES_MAX:
                raise _no_answer("its answer is too long")
    finally:
        await response.aclose()
    return response.status_code, body


def _not_proved() -> Unauthenticated:
    return Unauthenticated("The sign-in with the other service was not completed. Try again.", code="WRONG_CREDENTIALS")


def _no_answer(detail: str) -> Unavailable:
    return Unavailable("The service that signs people in does not answer; try again.", detail=detail)
