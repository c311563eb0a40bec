"""Everybody who may ask: those of a team, those who were of it, and those who never were."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from enum import StrEnum
from uuid import UUID

import asyncpg

from api.clock import SystemClock
from api.domain.principal import Role, Scope
from api.ids import Kind, new_id, wire_id
from api.services.services import Services
from tests.api.browsing import COOKIE, Browser
from tests.api.client import Client
from tests.api.conftest import Platform
from tests.api.people import Person, a_person


class Caller(StrEnum):
    """Who asks for something of the team."""

    ANONYMOUS = "anonymous"
    STRANGER = "the owner of another team"
    PLATFORM_ADMIN = "a platform admin of another team"
    REVOKED = "a revoked key of the team"
    REMOVED = "somebody who was removed from the team"
    READER = "a key that may read"
    MEMBER = "a member"
    ADMIN = "an admin of the team"
    OWNER = "the owner of the team"


@dataclass
class World:
    """A team with all that it can have, and everybody who asks."""

    services: Services
    platform: Platform
    team_id: UUID
    people: dict[Caller, Person]
    clients: dict[Caller, Client]
    sandbox_id: str = ""
    template_id: str = ""
    operation_id: str = ""
    host_id: str = ""

    @property
    def owner(self) -> Client:
        """Who makes what others ask for."""
        return self.clients[Caller.OWNER]

    @property
    def marks(self) -> frozenset[str]:
        """What only those who are of the team may find in an answer."""
        people = (Caller.OWNER, Caller.ADMIN, Caller.MEMBER)
        emails = {self.people[caller].email for caller in people}
        return frozenset(
            {wire_id(Kind.TEAM, self.team_id), self.sandbox_id, self.template_id, self.operation_id} | emails
        )

    async def member(self) -> str:
        """The id of a new member, for whatever becomes of them."""
        return wire_id(Kind.USER, (await a_person(self.services, team_id=self.team_id)).id)

    async def sandbox(self) -> str:
        """The id of a new sandbox."""
        return str((await self.owner.create())["id"])

    async def template(self) -> str:
        """The id of a new template."""
        made = await self.owner.command(
            "createTemplate", "template { id }", sandboxId=self.sandbox_id, name=f"t{new_id().hex}"
        )
        return str(made["template"]["id"])

    async def key(self) -> str:
        """The id of a new key."""
        made = await self.owner.command("createApiKey", "apiKey { id }", name="another", scopes=["READ"])
        return str(made["apiKey"]["id"])

    async def invitation(self) -> str:
        """The id of a new invitation."""
        made = await self.owner.command("inviteMember", "invitation { id }", email=f"{new_id()}@example.org")
        return str(made["invitation"]["id"])


async def _team(platform: Platform) -> UUID:
    team_id = new_id()
    connection = await asyncpg.connect(platform.database_url)
    try:
        await connection.execute(
            "INSERT INTO teams (id, name, created_at) VALUES ($1, $2, now())", team_id, f"team {team_id}"
        )
    finally:
        await connection.close()
    return team_id


def _signed_in(platform: Platform, person: Person) -> Browser:
    browser = Browser(platform.url)
    browser.http.cookies.set(COOKIE, person.token)
    return browser


@asynccontextmanager
async def world(platform: Platform) -> AsyncIterator[World]:
    """Made once for all cells: whoever changes something makes it first."""
    async with AsyncExitStack() as stack:
        services = await stack.enter_async_context(
            Services(platform.database_url, host_addresses=(), agent_token="", clock=SystemClock())
        )
        team_id, other_id = await _team(platform), await _team(platform)
        people = {
            Caller.OWNER: await a_person(services, Role.OWNER, team_id=team_id),
            Caller.ADMIN: await a_person(services, Role.ADMIN, team_id=team_id),
            Caller.MEMBER: await a_person(services, team_id=team_id),
            Caller.REMOVED: await a_person(services, team_id=team_id),
            Caller.STRANGER: await a_person(services, Role.OWNER, team_id=other_id),
            Caller.PLATFORM_ADMIN: await a_person(services, Role.OWNER, team_id=other_id, admin=True),
        }
        clients: dict[Caller, Client] = {caller: _signed_in(platform, person) for caller, person in people.items()}
        owner = people[Caller.OWNER].principal
        reader = await services.api_keys.create(owner, "reader", frozenset({Scope.READ}), None)
        revoked = await services.api_keys.create(owner, "revoked", frozenset(Scope), None)
        await services.api_keys.revoke(owner, revoked.key.id)
        await services.memberships.remove(owner, people[Caller.REMOVED].id)
        clients[Caller.READER] = Client(platform.url, reader.text)
        clients[Caller.REVOKED] = Client(platform.url, revoked.text)
        clients[Caller.ANONYMOUS] = Client(platform.url, "")
        del clients[Caller.ANONYMOUS].http.headers["authorization"]
        for client in clients.values():
            await stack.enter_async_context(client)
        made = World(services, platform, team_id, people, clients)
        sandbox = await made.owner.create()
        made.sandbox_id, made.operation_id = sandbox["id"], sandbox["lastOperation"]["id"]
        made.template_id = await made.template()
        hosts = await clients[Caller.PLATFORM_ADMIN].ask("{ admin { hosts { id } } }")
        made.host_id = hosts["hosts"][0]["id"]
        yield made
