"""Signing in with a browser, against a real server."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from uuid import UUID

import asyncpg
import pytest
import pytest_asyncio
from websockets.exceptions import InvalidStatus

from api.clock import SystemClock
from api.domain.principal import Role
from api.ids import DEFAULT_TEAM_ID, new_id
from api.services.services import Services
from tests.api.browsing import COOKIE, Browser
from tests.api.conftest import DASHBOARD_ORIGIN, Platform

STREAM = "subscription { sandboxes { __typename } }"
TEAM = """{ team {
    members { nodes { id email role } totalCount }
    invitations { nodes { id email } }
    apiKeys { nodes { id name scopes revokedAt } }
} }"""


class People:
    """Makes accounts as the owner of the installation does."""

    def __init__(self, services: Services, platform: Platform) -> None:
        self.services = services
        self.platform = platform

    async def team(self) -> UUID:
        team_id = new_id()
        connection = await asyncpg.connect(self.platform.database_url)
        try:
            await connection.execute(
                "INSERT INTO teams (id, name, created_at) VALUES ($1, $2, now())", team_id, f"team {team_id}"
            )
        finally:
            await connection.close()
        return team_id

    async def account(
        self, role: Role = Role.OWNER, *, team_id: UUID | None = None, admin: bool = False
    ) -> tuple[str, str]:
        email = f"{new_id()}@example.org"
        password = await self.services.users.create(
            email, "", team_id=team_id or await self.team(), role=role, is_platform_admin=admin
        )
        return email, password

    async def forget_tries(self) -> None:
        """All tests come from one address."""
        connection = await asyncpg.connect(self.platform.database_url)
        try:
            await connection.execute("DELETE FROM login_attempts")
        finally:
            await connection.close()


@pytest_asyncio.fixture
async def people(platform: Platform) -> AsyncIterator[People]:
    services = Services(platform.database_url, host_addresses=(), agent_token="", clock=SystemClock())
    async with services:
        made = People(services, platform)
        await made.forget_tries()
        yield made


NewBrowser = Callable[..., Awaitable[Browser]]


@pytest_asyncio.fixture
async def new_browser(platform: Platform, people: People) -> AsyncIterator[NewBrowser]:
    async with AsyncExitStack() as stack:

        async def make(role: Role | None = Role.OWNER, *, team_id: UUID | None = None, admin: bool = False) -> Browser:
            browser = await stack.enter_async_context(Browser(platform.url))
            if role is not None:
                email, password = await people.account(role, team_id=team_id, admin=admin)
                assert (await browser.sign_in(email, password)).status_code == 200
            return browser

        yield make


async def test_a_person_signs_in_acts_and_signs_out(people: People, new_browser: NewBrowser) -> None:
    browser = await new_browser(None)
    assert await browser.signed_in() is None
    email, password = await people.account()
    answer = await browser.sign_in(email.upper(), password)
    assert answer.json()["user"]["email"] == email
    line = answer.headers["set-cookie"]
    assert {"HttpOnly", "SameSite=Lax", "Path=/"} <= set(line.split("; "))
    assert "Secure" not in line
    viewer = await browser.ask("{ viewer { id email role scopes keyId teams { name role } isPlatformAdmin } }")
    assert (viewer["email"], viewer["role"], viewer["keyId"]) == (email, "OWNER", None)
    assert viewer["scopes"] == ["READ", "WRITE", "TEAM_ADMIN"]
    sandbox = await browser.create()
    assert (await browser.command("deleteSandbox", "operation { actor }", id=sandbox["id"]))["operation"][
        "actor"
    ] == viewer["id"]
    token = browser.token
    await browser.http.post("/auth/sign-out", json={})
    assert browser.token == ""
    browser.http.cookies.set(COOKIE, token)
    assert await browser.code("{ viewer { id } }") == "UNAUTHENTICATED"
    assert await browser.signed_in() is None


async def test_the_token_changes_at_every_sign_in(people: People, new_browser: NewBrowser) -> None:
    browser = await new_browser()
    before = browser.token
    email, password = await people.account()
    await browser.sign_in(email, password)
    assert browser.token != before
    thief = await new_browser(None)
    thief.http.cookies.set(COOKIE, before)
    assert await thief.signed_in() is None


@pytest.mark.parametrize(
    "headers",
    [
        {"x-nestbox-csrf": ""},
        {"x-nestbox-csrf": "2"},
        {"origin": "https://evil.example"},
        {"origin": "null"},
        {"origin": "http://127.0.0.1"},
        {"origin": "http://["},
    ],
)
async def test_another_site_cannot_use_a_session(new_browser: NewBrowser, headers: dict[str, str]) -> None:
    browser = await new_browser()
    for path, method, body in (
        ("/graphql", "POST", {"query": "{ viewer { id } }"}),
        ("/auth/sign-out", "POST", {}),
        ("/auth/sign-in", "POST", {"email": "a@b.c", "password": "x"}),
        (f"/sandboxes/sb-{new_id()}/files?path=/x", "PUT", {}),
    ):
        answer = await browser.http.request(method, path, json=body, headers=headers)
        assert answer.status_code == 403
        assert "CSRF" in answer.text
    assert await browser.signed_in() is not None


async def test_a_request_without_an_origin_cannot_use_a_session_but_for_reading(new_browser: NewBrowser) -> None:
    browser = await new_browser()
    del browser.http.headers["origin"]
    assert (await browser.http.post("/graphql", json={"query": "{ viewer { id } }"})).status_code == 403
    del browser.http.headers["x-nestbox-csrf"]
    assert (await browser.http.get("/graphql", params={"query": "{ viewer { id } }"})).status_code == 200
    browser.http.headers.update({"origin": DASHBOARD_ORIGIN, "x-nestbox-csrf": "1"})
    assert "viewer" in await browser.ask("{ viewer { teamName } team { id } }")


async def test_a_key_wins_over_a_cookie_and_needs_no_header(new_browser: NewBrowser) -> None:
    browser = await new_browser()
    made = await browser.command("createApiKey", "key apiKey { id name scopes }", name="k", scopes=["WRITE"])
    assert made["apiKey"]["scopes"] == ["READ", "WRITE"]
    del browser.http.headers["x-nestbox-csrf"]
    browser.http.headers["authorization"] = f"Bearer {made['key']}"
    assert await browser.ask("{ viewer { keyId scopes } }") == {
        "keyId": made["apiKey"]["id"],
        "scopes": ["READ", "WRITE"],
    }
    assert (await browser.refusal("createTeam", name="x"))["code"] == "FORBIDDEN"
    answer = await browser.post(TEAM)
    assert {error["extensions"]["code"] for error in answer["errors"]} == {"MISSING_SCOPE"}
    assert answer["data"]["team"]["apiKeys"] is None
    assert answer["data"]["team"]["members"]["totalCount"] == 1
    mutation = 'mutation { createApiKey(input: {name: "x", scopes: [READ]}) { key } }'
    assert await browser.code(mutation) == "MISSING_SCOPE"


async def test_a_socket_takes_the_cookie_from_our_pages_only(new_browser: NewBrowser) -> None:
    browser = await new_browser()
    async with browser.socket() as socket:
        await socket.subscribe("{ viewer { email } }")
        assert "@example.org" in (await socket.next())["email"]
    with pytest.raises(InvalidStatus):
        async with browser.raw(origin="https://evil.example"):
            pass
    async with browser.raw(origin=None) as socket:
        await socket.send(type="connection_init")
        assert (await socket.closed())[0] == 4403


@pytest.mark.parametrize("how", ["removed", "signed out", "deactivated", "new password", "revoked elsewhere"])
async def test_who_is_shut_out_loses_open_streams_within_five_seconds(
    people: People, new_browser: NewBrowser, how: str
) -> None:
    team_id = await people.team()
    owner = await new_browser(Role.OWNER, team_id=team_id, admin=True)
    browser = await new_browser(Role.MEMBER, team_id=team_id)
    me = (await browser.ask("{ viewer { id } }"))["id"]
    async with browser.socket() as socket:
        await socket.subscribe(STREAM)
        assert (await socket.next())["__typename"] == "SandboxesReset"
        match how:
            case "removed":
                await owner.command("removeMember", "member { id }", userId=me)
            case "signed out":
                await browser.http.post("/auth/sign-out", json={})
            case "deactivated":
                await owner.command("adminDeactivateUser", "stopped { sessionCount }", id=me)
            case "new password":
                await people.services.users.reset_password(await _email(owner, me))
            case "revoked elsewhere":
                async with asyncio.timeout(5):
                    await _revoke_sessions(people.platform, me)
        async with asyncio.timeout(5):
            assert (await socket.closed())[0] == 4403
    if how != "removed":
        assert await browser.signed_in() is None


async def _email(owner: Browser, user_id: str) -> str:
    members = (await owner.ask("{ team { members { nodes { id email } } } }"))["members"]["nodes"]
    return next(str(member["email"]) for member in members if member["id"] == user_id)


async def _revoke_sessions(platform: Platform, user_id: str) -> None:
    connection = await asyncpg.connect(platform.database_url)
    try:
        await connection.execute(
            "UPDATE sessions SET revoked_at = now() WHERE user_id = $1", user_id.removeprefix("usr-")
        )
    finally:
        await connection.close()


async def test_tries_are_throttled_with_a_hint_when_to_come_again(people: People, new_browser: NewBrowser) -> None:
    browser = await new_browser(None)
    email, password = await people.account()
    answers = await asyncio.gather(*(browser.sign_in(email, "wrong password") for _ in range(8)))
    statuses = sorted(answer.status_code for answer in answers)
    assert statuses == [401] * 5 + [429] * 3
    refused = next(answer for answer in answers if answer.status_code == 429)
    assert (refused.json()["error"]["code"], refused.headers["retry-after"]) == ("THROTTLED", "60")
    assert (await browser.sign_in(email, password)).status_code == 429


async def test_an_invited_person_joins_by_the_link(people: People, new_browser: NewBrowser) -> None:
    team_id = await people.team()
    owner = await new_browser(Role.OWNER, team_id=team_id)
    invited = await owner.command("inviteMember", "link invitation { id email }", email="New.Person@example.org")
    path, token = invited["link"].split("#")
    assert path == "/invitation"
    assert [each["email"] for each in (await owner.ask(TEAM))["invitations"]["nodes"]] == ["new.person@example.org"]
    browser = await new_browser(None)
    look = (await browser.http.post("/auth/invitations/look", json={"token": token})).json()
    assert (look["email"], look["role"]) == ("new.person@example.org", "MEMBER")
    given = {"token": token, "password": "short", "name": "Née Ünïcode"}
    assert (await browser.http.post("/auth/invitations/accept", json=given)).status_code == 400
    answer = await browser.http.post("/auth/invitations/accept", json=given | {"password": "long enough 😀"})
    assert answer.json()["user"]["name"] == "Née Ünïcode"
    assert (await browser.ask("{ viewer { teamId role } }")) == {"teamId": f"team-{team_id}", "role": "MEMBER"}
    assert (await browser.http.post("/auth/invitations/accept", json=given)).status_code == 404
    members = (await owner.ask(TEAM))["members"]
    assert members["totalCount"] == 2


async def test_who_is_signed_in_joins_with_the_session_that_they_have(people: People, new_browser: NewBrowser) -> None:
    browser, owner = await new_browser(), await new_browser()
    email = (await browser.ask("{ viewer { email } }"))["email"]
    before = browser.token
    link = (await owner.command("inviteMember", "link", email=email))["link"]
    given = {"token": link.partition("#")[2], "password": None, "name": ""}
    answer = await browser.http.post("/auth/invitations/accept", json=given)
    assert (answer.status_code, answer.json()["user"]["email"]) == (200, email)
    # it acts for the new team, and is no new one: it may have ended a moment ago
    assert browser.token == before
    team = await owner.ask("{ viewer { teamId } }")
    assert await browser.ask("{ viewer { teamId } }") == team


async def test_a_person_switches_between_teams_and_sees_only_one(people: People, new_browser: NewBrowser) -> None:
    browser = await new_browser()
    sandbox = await browser.create(name="in the first")
    made = await browser.command("createTeam", "team { id name role }", name="second")
    assert made["team"]["role"] == "OWNER"
    assert (await browser.ask("{ sandboxes { totalCount } }"))["totalCount"] == 1
    switched = await browser.command("switchTeam", "team { name }", teamId=made["team"]["id"])
    assert switched["team"]["name"] == "second"
    assert (await browser.ask("{ sandboxes { totalCount } }"))["totalCount"] == 0
    assert await browser.ask("query ($id: ID!) { sandbox(id: $id) { id } }", {"id": sandbox["id"]}) is None
    assert (await browser.refusal("leaveTeam", teamId=made["team"]["id"]))["code"] == "LAST_OWNER"
    foreign = f"team-{await people.team()}"
    for team_id in (foreign, f"team-{new_id()}"):
        assert (await browser.refusal("switchTeam", teamId=team_id))["code"] == "NOT_FOUND"
        assert await browser.ask("query ($id: ID!) { node(id: $id) { id } }", {"id": team_id}) is None


async def test_another_teams_key_and_members_look_like_none(new_browser: NewBrowser) -> None:
    one, two = await new_browser(), await new_browser()
    key = (await two.command("createApiKey", "apiKey { id }", name="k", scopes=["READ"]))["apiKey"]["id"]
    member = (await two.ask("{ viewer { id } }"))["id"]
    node = "query ($id: ID!) { node(id: $id) { id __typename } }"
    assert (await two.ask(node, {"id": key}))["__typename"] == "ApiKey"
    assert (await two.ask(node, {"id": member}))["__typename"] == "Member"
    for found in (key, member):
        assert await one.ask(node, {"id": found}) is None
    assert (await one.refusal("revokeApiKey", id=key))["code"] == "NOT_FOUND"
    assert (await one.refusal("removeMember", userId=member))["code"] == "NOT_FOUND"
    assert await one.code("{ admin { users { totalCount } } }") == "FORBIDDEN"
    assert (await one.refusal("adminDeactivateUser", id=member))["code"] == "FORBIDDEN"


async def test_an_admin_sees_people_and_teams_and_what_deactivation_stops(new_browser: NewBrowser) -> None:
    admin, person = await new_browser(admin=True), await new_browser()
    me = await person.ask("{ viewer { id email } }")
    found = await admin.ask(
        "query ($email: String) { admin { users(emailContains: $email) { totalCount nodes { id "
        "deactivationPreview { sessionCount keyCount sandboxIds } } } teams(first: 1) { nodes { memberCount } } } }",
        {"email": me["email"]},
    )
    assert found["users"]["totalCount"] == 1
    assert found["users"]["nodes"] == [
        {"id": me["id"], "deactivationPreview": {"sessionCount": 1, "keyCount": 0, "sandboxIds": []}}
    ]
    assert len(found["teams"]["nodes"]) == 1
    own = (await admin.ask("{ viewer { id } }"))["id"]
    await admin.command("adminSetPlatformAdmin", "user { isPlatformAdmin }", id=me["id"], isPlatformAdmin=True)
    payload = await admin.command("adminDeactivateUser", "user { deactivatedAt }", id=own)
    # ourselves, since there is another one: the answer still arrives
    assert payload["user"]["deactivatedAt"] is not None
    assert await admin.signed_in() is None
    assert (await person.command("adminActivateUser", "user { deactivatedAt }", id=own))["user"] == {
        "deactivatedAt": None
    }


@pytest.mark.parametrize(
    ("content", "status"),
    [
        (b"", 400),
        (b"[]", 400),
        (b'{"email": "a@b.c"}', 400),
        (b'{"email": 1, "password": "x"}', 400),
        (b'{"email": "a@b.c", "password": null}', 400),
        (b'{"email": "a@b.c\\u0000", "password": "x"}', 400),
        (b'{"email": "a@b.c", "password": "\\ud800"}', 400),
        (b'{"email": "a@b.c", "password": "' + b"x" * 10_000_000 + b'"}', 413),
        (b"\xff\xfe", 400),
    ],
    ids=range(9),
)
async def test_bad_input_is_refused_with_a_type_and_quickly(
    new_browser: NewBrowser, content: bytes, status: int
) -> None:
    browser = await new_browser(None)
    async with asyncio.timeout(2):
        answer = await browser.http.post("/auth/sign-in", content=content, headers={"content-type": "application/json"})
    assert answer.status_code == status
    assert answer.json()["error"]["code"] != "INTERNAL"


async def test_other_paths_and_methods_below_auth_are_refused(new_browser: NewBrowser) -> None:
    browser = await new_browser(None)
    assert (await browser.http.get("/auth/nothing")).status_code == 404
    assert (await browser.http.get("/auth/oidc/start")).status_code == 404
    assert (await browser.http.get("/auth/sign-in")).status_code == 405
    assert (await browser.http.post("/auth/session", json={})).status_code == 405
    assert (await browser.http.post("/auth/sign-in", content=b"email=a")).status_code == 400


async def test_the_first_team_is_there_for_accounts_of_the_command_line(people: People) -> None:
    email, _ = await people.account(team_id=DEFAULT_TEAM_ID)
    assert any(user.email == email for user in await people.services.users.everybody())
