"""Signing in at another service: against a small OpenID Connect provider that speaks the protocol on loopback."""

import base64
import hashlib
import json
import time
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest
import pytest_asyncio
import uvicorn
from joserfc import jwt
from joserfc.jwk import RSAKey
from pydantic import SecretStr, ValidationError
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, RedirectResponse, Response
from starlette.routing import Route

from api.services import throttle
from api.settings import Settings
from tests.api.browsing import Browser
from tests.api.conftest import free_port, serving
from tests.api.http.serving_apps import thread_serving
from tests.api.people import a_person
from tests.api.running import Running, services_running

CLIENT_SECRET = "the client's secret"


@dataclass
class Provider:
    """Knows one person, and what is to be wrong with its answers."""

    issuer: str
    claims: dict[str, Any] = field(default_factory=dict)
    signed_with: RSAKey | None = None
    token_status: int = 200
    metadata: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.change_key()
        self.told: Counter[str] = Counter()
        self.cookies: list[str] = []
        self._asked: dict[str, dict[str, str]] = {}

    def change_key(self) -> None:
        self.key = RSAKey.generate_key(2048, parameters={"kid": "1"})

    def app(self) -> Starlette:
        return Starlette(
            routes=[
                Route("/.well-known/openid-configuration", self._metadata),
                Route("/authorize", self._authorize),
                Route("/token", self._token, methods=["POST"]),
                Route("/keys", self._keys),
            ]
        )

    async def _metadata(self, request: Request) -> Response:
        self.told["metadata"] += 1
        found = {
            "issuer": self.issuer,
            "authorization_endpoint": f"{self.issuer}/authorize",
            "token_endpoint": f"{self.issuer}/token",
            "jwks_uri": f"{self.issuer}/keys",
        }
        return JSONResponse(found | self.metadata)

    async def _keys(self, request: Request) -> Response:
        self.told["keys"] += 1
        self.cookies += request.headers.getlist("cookie")
        return JSONResponse({"keys": [self.key.as_dict(private=False)]}, headers={"set-cookie": "of=one"})

    async def _authorize(self, request: Request) -> Response:
        self.told["visits"] += 1
        asked = dict(request.query_params)
        assert asked["response_type"] == "code"
        assert asked["code_challenge_method"] == "S256"
        code = f"code-{len(self._asked)}"
        self._asked[code] = asked
        return RedirectResponse(f"{asked['redirect_uri']}?code={code}&state={asked['state']}", 302)

    async def _token(self, request: Request) -> Response:
        self.told["tokens"] += 1
        form = {name: values[0] for name, values in parse_qs((await request.body()).decode()).items()}
        asked = self._asked.pop(form["code"], None)
        challenge = base64.urlsafe_b64encode(hashlib.sha256(form["code_verifier"].encode()).digest()).rstrip(b"=")
        good = (
            asked is not None
            and challenge.decode() == asked["code_challenge"]
            and form["client_secret"] == CLIENT_SECRET
            and form["redirect_uri"] == asked["redirect_uri"]
        )
        if not good or asked is None or self.token_status != 200:
            return JSONResponse({"error": "invalid_grant"}, 400 if self.token_status == 200 else self.token_status)
        now = int(time.time())
        claims = {"iss": self.issuer, "aud": "nestbox", "iat": now, "exp": now + 60, "nonce": asked["nonce"]}
        header = {"alg": "RS256", "kid": "1"}
        token = jwt.encode(header, claims | self.claims, self.signed_with or self.key)
        return JSONResponse({"access_token": "unused", "token_type": "Bearer", "id_token": token})


@dataclass(frozen=True)
class Site:
    """Our server with that provider."""

    url: str
    provider: Provider
    running: Running


@asynccontextmanager
async def _site(running: Running, database_url: str, tmp_path: Path, *, new_users: bool) -> AsyncIterator[Site]:
    (tmp_path / "secret").write_text(CLIENT_SECRET + "\n")
    port, provider_port = free_port(), free_port()
    provider = Provider(f"http://127.0.0.1:{provider_port}")
    settings = Settings(
        api_port=port,
        DATABASE_URL=SecretStr(database_url),
        hosts=(),
        public_url=f"http://127.0.0.1:{port}",
        oidc_issuer=provider.issuer,
        oidc_client_id="nestbox",
        oidc_client_secret_file=tmp_path / "secret",
        oidc_name="Example",
        oidc_new_users=new_users,
    )
    config = uvicorn.Config(provider.app(), port=provider_port, log_config=None)
    with thread_serving(config), serving(settings, until_status=503):
        yield Site(settings.public_url, provider, running)


@pytest_asyncio.fixture
async def lonely(database_url: str) -> AsyncIterator[Running]:
    """Services beside the server's, to make accounts."""
    async with services_running(database_url, reconcile=False) as found:
        yield found


@pytest_asyncio.fixture
async def site(lonely: Running, database_url: str, tmp_path: Path) -> AsyncIterator[Site]:
    async with _site(lonely, database_url, tmp_path, new_users=False) as found:
        yield found


async def _sign_in(site: Site, browser: Browser) -> str:
    """Goes there and back as a browser does; where it ends."""
    response = await browser.http.get("/auth/oidc/start", follow_redirects=True)
    return str(response.url).removeprefix(site.url)


async def test_a_person_signs_in_at_the_other_service(site: Site) -> None:
    person = await a_person(site.running.services)
    site.provider.claims = {"sub": "s1", "email": person.email.upper(), "email_verified": True}
    async with Browser(site.url) as browser:
        assert (await browser.http.get("/auth/session")).json() == {"user": None, "oidc": {"name": "Example"}}
        assert await _sign_in(site, browser) == "/"
        assert await browser.signed_in() == person.email
        assert "nestbox_oidc" not in browser.http.cookies
    # from now on by the subject, whatever the address there is
    site.provider.claims = {"sub": "s1", "email": "other@example.org", "email_verified": True}
    async with Browser(site.url) as browser:
        assert await _sign_in(site, browser) == "/"
        assert await browser.signed_in() == person.email


async def test_what_the_service_says_of_itself_is_asked_for_once_and_again_when_its_key_is_another(site: Site) -> None:
    person = await a_person(site.running.services)
    site.provider.claims = {"sub": "s1", "email": person.email, "email_verified": True}
    for times in (1, 1, 2):
        if times == 2:
            site.provider.change_key()
        async with Browser(site.url) as browser:
            assert await _sign_in(site, browser) == "/"
        assert (site.provider.told["metadata"], site.provider.told["keys"]) == (1, times)
    # nobody is sent what the service told another
    assert site.provider.cookies == []


async def test_a_stranger_goes_there_and_back_so_often_a_minute(
    site: Site, lonely: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(throttle, "ASKED_MAX", 2)
    person = await a_person(site.running.services)
    site.provider.claims = {"sub": "s1", "email": person.email, "email_verified": True}
    async with Browser(site.url) as browser:
        for _ in range(2):
            assert await _sign_in(site, browser) == "/"
        assert await _sign_in(site, browser) == "/#sign-in-failed=THROTTLED"
        assert site.provider.told["visits"] == 2
        await lonely.database.execute("DELETE FROM login_attempts WHERE subject LIKE 'oidc start%'")
        assert await _sign_in(site, browser) == "/#sign-in-failed=THROTTLED"
        assert (site.provider.told["visits"], site.provider.told["tokens"]) == (3, 2)


async def test_a_sign_in_that_fails_there_leaves_a_line_in_the_audit_log(site: Site, lonely: Running) -> None:
    person = await a_person(site.running.services)
    site.provider.claims = {"sub": "s1", "email": person.email, "email_verified": True}
    site.provider.signed_with = RSAKey.generate_key(2048)
    async with Browser(site.url) as browser:
        assert await _sign_in(site, browser) == "/#sign-in-failed=WRONG_CREDENTIALS"
        site.provider.signed_with = None
        assert await _sign_in(site, browser) == "/"
    lines = await lonely.database.fetch("SELECT action, actor, result FROM audit_log ORDER BY id")
    assert [tuple(line) for line in lines] == [
        ("signIn", "anonymous", "WRONG_CREDENTIALS"),
        ("signIn", f"usr-{person.id}", "OK"),
    ]


@pytest.mark.parametrize(
    "claims",
    [
        {"email_verified": False},
        {"email_verified": "true"},
        {"email": "nobody@example.org"},
        {"iss": "https://evil.example"},
        {"aud": "somebody else"},
        {"aud": ["nestbox", "somebody else"], "azp": "somebody else"},
        {"exp": 1},
        {"nonce": "another"},
        {"sub": 7},
        {"email": "\0@x"},
    ],
    ids=json.dumps,
)
async def test_what_the_other_service_says_must_hold(site: Site, claims: dict[str, Any]) -> None:
    person = await a_person(site.running.services)
    site.provider.claims = {"sub": "s1", "email": person.email, "email_verified": True} | claims
    async with Browser(site.url) as browser:
        assert (await _sign_in(site, browser)).startswith("/#sign-in-failed=")
        assert await browser.signed_in() is None


async def test_an_answer_that_another_key_signed_is_none(site: Site) -> None:
    person = await a_person(site.running.services)
    site.provider.claims = {"sub": "s1", "email": person.email, "email_verified": True}
    site.provider.signed_with = RSAKey.generate_key(2048)
    async with Browser(site.url) as browser:
        assert await _sign_in(site, browser) == "/#sign-in-failed=WRONG_CREDENTIALS"


@pytest.mark.parametrize("what", ["status", "metadata", "issuer"])
async def test_a_service_that_is_out_of_order_is_told(site: Site, what: str) -> None:
    if what == "status":
        site.provider.token_status = 500
    else:
        site.provider.metadata = {"jwks_uri": 7} if what == "metadata" else {"issuer": "https://evil.example"}
    async with Browser(site.url) as browser:
        assert await _sign_in(site, browser) == "/#sign-in-failed=UNAVAILABLE"


async def test_a_return_that_this_browser_did_not_begin_is_refused(site: Site) -> None:
    person = await a_person(site.running.services)
    site.provider.claims = {"sub": "s1", "email": person.email, "email_verified": True}
    async with Browser(site.url) as attacker, Browser(site.url) as victim:
        went = (await attacker.http.get("/auth/oidc/start")).headers["location"]
        async with httpx.AsyncClient(trust_env=False) as http:
            back = (await http.get(went)).headers["location"]
        path = back.removeprefix(site.url)
        # without a cookie, and with that of a sign-in of its own
        assert (await victim.http.get(path)).headers["location"].startswith("/#sign-in-failed=")
        await victim.http.get("/auth/oidc/start")
        assert (await victim.http.get(path)).headers["location"].startswith("/#sign-in-failed=")
        assert await victim.signed_in() is None
        for query in ("", "?state=x", "?" + "&".join(f"a{number}=1" for number in range(40))):
            answer = await victim.http.get(f"{urlsplit(path).path}{query}")
            assert answer.status_code == 303
            assert answer.headers["location"].startswith("/#sign-in-failed=")


async def test_new_people_are_let_in_only_where_that_is_wanted(
    lonely: Running, database_url: str, tmp_path: Path
) -> None:
    async with _site(lonely, database_url, tmp_path, new_users=True) as site, Browser(site.url) as browser:
        site.provider.claims = {"sub": "s9", "email": "new@example.org", "email_verified": True, "name": "New"}
        assert await _sign_in(site, browser) == "/"
        viewer = await browser.ask("{ viewer { name teamId scopes } }")
        assert viewer == {"name": "New", "teamId": None, "scopes": []}
        assert await browser.code("{ team { id } }") == "MISSING_SCOPE"
        # they have no password yet, and choose the first one
        chosen = {"currentPassword": "", "newPassword": "long enough"}
        assert (await browser.command("changePassword", "__typename", **chosen))["userErrors"] == []
        assert (await browser.sign_in("new@example.org", "long enough")).status_code == 200


def test_half_of_the_settings_is_refused() -> None:
    for given in (
        {"oidc_issuer": "https://x.example"},
        {"public_url": "x.example"},
        {"oidc_issuer": "http://x.example", "oidc_client_id": "x", "public_url": "https://y"},
    ):
        with pytest.raises(ValidationError):
            Settings(DATABASE_URL=SecretStr("postgresql://x"), **given)  # type: ignore[arg-type]
