"""What nested fields ask for is asked for once, however many objects ask."""

from collections.abc import AsyncIterator, Sequence
from uuid import UUID

import pytest_asyncio

from api.db.database import Database, Row
from api.domain.sandbox import State
from api.ids import BASE_TEMPLATE_ID, DEFAULT_TEAM_ID, Kind, new_id, wire_id
from api.schema import schema as ours
from api.schema.context import OperationContext
from api.schema.execution import GraphQL, Request
from api.schema.loaders import Loaders
from tests.api.running import Running, principal_of, services_running

SANDBOXES = """{ admin { sandboxes { nodes {
    id hostId parent { id parent { id } } lastOperation { template { id hosts { hostId } } }
    template { hosts { hostId } allowedActions { allowed } } } } } }"""
OPERATIONS = "{ admin { operations { nodes { id template { hosts { hostId } allowedActions { allowed } } } } } }"
GRAPHQL = GraphQL(ours.build_schema())


class Counting(Database):
    """A database that remembers what it was asked."""

    def __init__(self, url: str) -> None:
        super().__init__(url)
        self.statements: list[str] = []

    async def rows(self, statement: str, *arguments: object) -> Sequence[Row]:
        self.statements.append(statement)
        return await super().rows(statement, *arguments)

    async def row(self, statement: str, *arguments: object) -> Row | None:
        self.statements.append(statement)
        return await super().row(statement, *arguments)


@pytest_asyncio.fixture
async def lonely(database_url: str) -> AsyncIterator[Running]:
    async with services_running(database_url, reconcile=False) as found:
        yield found


@pytest_asyncio.fixture
async def counting(lonely: Running, database_url: str) -> AsyncIterator[Counting]:
    database = Counting(database_url)
    await database.open()
    for service in (lonely.services.sandboxes, lonely.services.operations, lonely.services.templates):
        service._database = database
    yield database
    await database.close()


async def _ask(running: Running, query: str) -> dict[str, list[dict[str, object]]]:
    principal = await principal_of(running.services, admin=True)
    document = GRAPHQL.documents.prepare(query)
    loaders = Loaders(running.services, principal)
    context = OperationContext(running.services, loaders, lambda: (), principal, "r", document.selected, "", "")
    response = await GRAPHQL.execute(document, Request(query), context)
    assert "errors" not in response
    (found,) = response["data"]["admin"].values()
    nodes: dict[str, list[dict[str, object]]] = found
    return nodes


async def _sandbox(running: Running, parent_id: UUID | None, fork_id: UUID | None) -> UUID:
    sandbox_id = new_id()
    await running.database.execute(
        """INSERT INTO sandboxes (id, team_id, template_id, vcpus, memory_mb, disk_size_mb, goal, state, cause,
            parent_id, fork_id, created_at, updated_at)
        VALUES ($1, $2, $3, 1, 512, 5120, 'running', $4, 'user', $5, $6, now(), now())""",
        sandbox_id,
        DEFAULT_TEAM_ID,
        BASE_TEMPLATE_ID,
        State.RUNNING,
        parent_id,
        fork_id,
    )
    return sandbox_id


async def _operation(running: Running, sandbox_id: UUID, kind: str, template_id: UUID | None = None) -> UUID:
    operation_id = new_id()
    await running.database.execute(
        """INSERT INTO operations (id, team_id, sandbox_id, template_id, kind, state, actor, generation, created_at,
            finished_at) VALUES ($1, $2, $3, $4, $5, 'succeeded', 'system', 2, now(), now())""",
        operation_id,
        DEFAULT_TEAM_ID,
        sandbox_id,
        template_id,
        kind,
    )
    return operation_id


async def _family(running: Running) -> tuple[UUID, UUID]:
    """A sandbox that was forked, and its child, of which a template is made."""
    parent_id = await _sandbox(running, None, None)
    child_id = await _sandbox(running, parent_id, await _operation(running, parent_id, "fork"))
    await _operation(running, child_id, "create_template", BASE_TEMPLATE_ID)
    return parent_id, child_id


async def test_a_list_takes_as_many_statements_for_many_as_for_one(lonely: Running, counting: Counting) -> None:
    for query in (SANDBOXES, OPERATIONS):
        await _family(lonely)
        counting.statements.clear()
        await _ask(lonely, query)
        for_one = len(counting.statements)
        assert for_one > 2
        for _ in range(5):
            await _family(lonely)
        counting.statements.clear()
        found = await _ask(lonely, query)
        assert len(found["nodes"]) >= 12
        assert len(counting.statements) == for_one


async def test_each_child_gets_its_own_parent(lonely: Running) -> None:
    families = [await _family(lonely) for _ in range(3)]
    found = await _ask(lonely, SANDBOXES)
    parents = {node["id"]: node["parent"] for node in found["nodes"]}
    for parent_id, child_id in families:
        parent = {"id": wire_id(Kind.SANDBOX, parent_id), "parent": None}
        assert parents[wire_id(Kind.SANDBOX, child_id)] == parent
        assert parents[wire_id(Kind.SANDBOX, parent_id)] is None
