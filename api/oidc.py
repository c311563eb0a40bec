"""Signing in by OpenID Connect: the authorization code flow with PKCE, as a client of one provider.

https://openid.net/specs/openid-connect-core-1_0.html, section 3.1. Authlib makes and checks the parts of the protocol;
nothing of a provider's answer is believed before its signature is.
"""

import secrets
from dataclasses import dataclass
from typing import Any

import httpx
import orjson
import structlog
from authlib.oauth2.rfc6749.parameters import prepare_grant_uri
from authlib.oauth2.rfc7636 import create_s256_code_challenge
from authlib.oidc.core import CodeIDToken
from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import KeySet

from api.errors import Unauthenticated, Unavailable

ANSWER_SECONDS_MAX = 10.0
ANSWER_BYTES_MAX = 1024 * 1024
LEEWAY_SECONDS = 60
"""By how much the provider's clock may differ from ours."""
ALGORITHMS = ["RS256", "PS256", "ES256", "EdDSA"]
"""Of signatures. None that is made with a secret that we share, and never `none`."""
SCOPE = "openid email profile"

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
    """Asks the provider. Its metadata and keys are read anew for each sign-in: they change, and signing in is rare."""

    def __init__(self, provider: Provider) -> None:
        self._provider = provider

    async def begin(self) -> Began:
        """Where to send a browser. Raises: Unavailable when the provider does not answer."""
        async with self._http() as http:
            metadata = await self._metadata(http)
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
        async with self._http() as http:
            metadata = await self._metadata(http)
            form = {
                "grant_type": "authorization_code",
                "code": code,
                "redirect_uri": self._provider.redirect_uri,
                "code_verifier": verifier,
                "client_id": self._provider.client_id,
            }
            if self._provider.client_secret:
                form["client_secret"] = self._provider.client_secret
            answer = await _json(http.build_request("POST", metadata["token_endpoint"], data=form), http)
            keys = await _json(http.build_request("GET", metadata["jwks_uri"]), http)
        return self._identity(answer, keys, nonce, metadata["issuer"])

    def _identity(self, answer: dict[str, Any], keys: dict[str, Any], nonce: str, issuer: str) -> Identity:
        try:
            token = jwt.decode(str(answer.get("id_token")), KeySet.import_key_set(keys), algorithms=ALGORITHMS)  # type: ignore[arg-type]
            options = {"iss": {"value": issuer}, "aud": {"value": self._provider.client_id}}
            claims = CodeIDToken(
                token.claims, token.header, options, {"nonce": nonce, "client_id": self._provider.client_id}
            )
            claims.validate(leeway=LEEWAY_SECONDS)
        except (JoseError, ValueError, TypeError, KeyError) as error:
            # its kind, not its text: that may hold parts of the token
            _log.warning("oidc_refused", reason=type(error).__name__)
            raise _not_proved() from None
        subject = claims.get("sub")
        if not isinstance(subject, str) or not subject:
            raise _not_proved()
        email, name = claims.get("email"), claims.get("name")
        verified = claims.get("email_verified") is True and isinstance(email, str)
        return Identity(subject, str(email) if verified else "", name if isinstance(name, str) else "")

    async def _metadata(self, http: httpx.AsyncClient) -> dict[str, Any]:
        url = f"{self._provider.issuer}/.well-known/openid-configuration"
        metadata = await _json(http.build_request("GET", url), http)
        wanted = ("authorization_endpoint", "token_endpoint", "jwks_uri")
        # a provider speaks for itself only (OpenID Connect Discovery, section 4.3)
        if str(metadata.get("issuer")).rstrip("/") != self._provider.issuer or not all(
            isinstance(metadata.get(name), str) for name in wanted
        ):
            raise _no_answer("its metadata are not those of the issuer")
        return metadata

    def _http(self) -> httpx.AsyncClient:
        return httpx.AsyncClient(timeout=ANSWER_SECONDS_MAX, follow_redirects=False)


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
