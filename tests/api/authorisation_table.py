"""Who may do what: a row for every field that somebody can ask for, a column for everybody who can ask.

What a cell holds is what comes of it: `ok`; `nothing`, an answer in which nothing of the team is; or the code of the
refusal. Foreign things look like unknown ones: `nothing` to those who read, NOT_FOUND to those who act.
"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

from api.ids import Kind, new_id, wire_id
from tests.api.askers import Caller, World

OK, NOTHING = "ok", "nothing"
Row = dict[Caller, str]
Inputs = Callable[[World, Caller], Awaitable[dict[str, Any]]]

_OUTSIDE = {Caller.ANONYMOUS: "UNAUTHENTICATED", Caller.REVOKED: "UNAUTHENTICATED"}


def _row(foreign: str, removed: str, reader: str, member: str, admin: str, owner: str) -> Row:
    return _OUTSIDE | {
        Caller.STRANGER: foreign,
        Caller.PLATFORM_ADMIN: foreign,
        Caller.REMOVED: removed,
        Caller.READER: reader,
        Caller.MEMBER: member,
        Caller.ADMIN: admin,
        Caller.OWNER: owner,
    }


READ = _row(NOTHING, "MISSING_SCOPE", OK, OK, OK, OK)
"""Whoever is of the team sees it."""
STREAM = READ | dict.fromkeys((Caller.STRANGER, Caller.PLATFORM_ADMIN), "NOT_FOUND")
"""The same of one thing that is followed: there is nothing to follow."""
READ_BY_ADMINS = _row(NOTHING, "MISSING_SCOPE", "MISSING_SCOPE", "MISSING_SCOPE", OK, OK)
WRITE = _row("NOT_FOUND", "MISSING_SCOPE", "MISSING_SCOPE", OK, OK, OK)
"""Whoever may write does it to what the team has."""
WRITE_OWN = _row(OK, "MISSING_SCOPE", "MISSING_SCOPE", OK, OK, OK)
"""Done in the caller's own team, which is another one for strangers."""
ADMINISTER = _row("NOT_FOUND", "MISSING_SCOPE", "MISSING_SCOPE", "MISSING_SCOPE", OK, OK)
ADMINISTER_OWN = _row(OK, "MISSING_SCOPE", "MISSING_SCOPE", "MISSING_SCOPE", OK, OK)
PLATFORM = _row("FORBIDDEN", *["FORBIDDEN"] * 5) | {Caller.PLATFORM_ADMIN: OK}
"""What crosses teams."""


@dataclass(frozen=True)
class Field:
    """A field and how it is asked for. `ask` is the selection of a query or subscription, `inputs` makes the input of a
    mutation; what it changes is made for each cell."""

    row: Row
    ask: str = ""
    variables: Callable[[World], dict[str, Any]] = lambda _: {}
    inputs: Inputs | None = None
    marked: bool = field(default=True)
    """Whether what is the team's can be told by its ids in the answer."""


def _of(name: str) -> Callable[[World], dict[str, Any]]:
    return lambda world: {"id": getattr(world, name)}


def _sandbox(**more: Any) -> Inputs:
    async def make(world: World, caller: Caller) -> dict[str, Any]:
        return {"id": await world.sandbox(), **more}

    return make


def _in_sandbox(**more: Any) -> Inputs:
    async def make(world: World, caller: Caller) -> dict[str, Any]:
        return {"sandboxId": world.sandbox_id, **more}

    return make


def _user(**more: Any) -> Inputs:
    async def make(world: World, caller: Caller) -> dict[str, Any]:
        return {"userId": await world.member(), **more}

    return make


def _account(**more: Any) -> Inputs:
    async def make(world: World, caller: Caller) -> dict[str, Any]:
        return {"id": await world.member(), **more}

    return make


def _given(**given: Any) -> Inputs:
    async def make(world: World, caller: Caller) -> dict[str, Any]:
        return given

    return make


async def _paused(world: World, caller: Caller) -> dict[str, Any]:
    sandbox_id = await world.sandbox()
    await world.owner.command("pauseSandbox", "__typename", id=sandbox_id)
    return {"id": sandbox_id}


async def _file(world: World, caller: Caller) -> dict[str, Any]:
    given = {"sandboxId": world.sandbox_id, "path": "/root/file"}
    await world.owner.command("writeFile", "__typename", **given, text="x")
    return given


async def _template(world: World, caller: Caller) -> dict[str, Any]:
    return {"id": await world.template()}


async def _new_template(world: World, caller: Caller) -> dict[str, Any]:
    return {"sandboxId": world.sandbox_id, "name": f"t{new_id().hex}"}


async def _key(world: World, caller: Caller) -> dict[str, Any]:
    return {"id": await world.key()}


async def _invitation(world: World, caller: Caller) -> dict[str, Any]:
    return {"id": await world.invitation()}


async def _invitee(world: World, caller: Caller) -> dict[str, Any]:
    return {"email": f"{new_id()}@example.org"}


async def _team(world: World, caller: Caller) -> dict[str, Any]:
    return {"teamId": wire_id(Kind.TEAM, world.team_id)}


async def _own_password(world: World, caller: Caller) -> dict[str, Any]:
    person = world.people.get(caller)
    return {"currentPassword": person.password if person else "none", "newPassword": person.password if person else ""}


NODES = "nodes { id } totalCount"
FIELDS: dict[str, Field] = {
    "Query.admin": Field(PLATFORM, "admin { __typename }", marked=False),
    "Query.node": Field(READ, "node(id: $id) { id }", _of("sandbox_id")),
    "Query.nodes": Field(READ, "nodes(ids: [$id]) { id }", _of("template_id")),
    "Query.operation": Field(READ, "operation(id: $id) { id }", _of("operation_id")),
    "Query.sandbox": Field(READ, "sandbox(id: $id) { id }", _of("sandbox_id")),
    "Query.sandboxes": Field(READ, f"sandboxes {{ {NODES} }}"),
    "Query.team": Field(READ, "team { id }"),
    "Query.template": Field(READ, "template(id: $id) { id }", _of("template_id")),
    "Query.templates": Field(READ, f"templates {{ {NODES} }}"),
    "Query.viewer": Field(READ | {Caller.REMOVED: NOTHING}, "viewer { teamId }"),
    "Team.apiKeys": Field(READ_BY_ADMINS, "team { id apiKeys { nodes { id } } }"),
    "Team.auditLog": Field(READ_BY_ADMINS, "team { id auditLog { nodes { target } } }"),
    "Team.invitations": Field(READ_BY_ADMINS, "team { id invitations { nodes { id } } }"),
    "Team.members": Field(READ, "team { members { nodes { email } } }"),
    "Sandbox.lastOperation": Field(READ, "sandbox(id: $id) { id lastOperation { id } }", _of("sandbox_id")),
    "Sandbox.parent": Field(READ, "sandbox(id: $id) { id parent { id } }", _of("sandbox_id")),
    "Operation.template": Field(READ, "operation(id: $id) { id template { id } }", _of("operation_id")),
    "Query.quota": Field(_row(OK, "MISSING_SCOPE", OK, OK, OK, OK), "quota { requestsPerMinute }", marked=False),
    "Query.explainCreate": Field(WRITE_OWN, "explainCreate(input: {}) { fits }", marked=False),
    "CreateExplanation.template": Field(WRITE_OWN, "explainCreate(input: {}) { template { id } }", marked=False),
    "Query.usage": Field(_row(OK, "MISSING_SCOPE", OK, OK, OK, OK), "usage { diskBytes }", marked=False),
    **{
        f"Admin.{name}": Field(PLATFORM, f"admin {{ {ask} }}", variables, marked=False)
        for name, ask, variables in (
            ("auditLog", "auditLog { nodes { action } }", lambda _: {}),
            ("drift", "drift { __typename }", lambda _: {}),
            ("host", "host(id: $id) { id }", _of("host_id")),
            ("hosts", "hosts { id }", lambda _: {}),
            ("operations", f"operations {{ {NODES} }}", lambda _: {}),
            ("reconciler", "reconciler { __typename }", lambda _: {}),
            ("sandbox", "sandbox(id: $id) { id lastOperation { id } parent { id } }", _of("sandbox_id")),
            ("sandboxes", f"sandboxes {{ {NODES} }}", lambda _: {}),
            ("teams", f"teams {{ {NODES} }}", lambda _: {}),
            ("templates", f"templates {{ {NODES} }}", lambda _: {}),
            ("user", "user(id: $id) { id }", lambda world: {"id": wire_id(Kind.USER, world.people[Caller.OWNER].id)}),
            ("users", f"users {{ {NODES} }}", lambda _: {}),
        )
    },
    "Subscription.sandboxes": Field(READ, "sandboxes { ... on SandboxesReset { sandboxes { id } } }"),
    "Subscription.sandbox": Field(
        STREAM, "sandbox(id: $id) { ... on SandboxChanged { sandbox { id } } }", _of("sandbox_id")
    ),
    "Subscription.operation": Field(
        STREAM | {Caller.REMOVED: "NOT_FOUND"},
        "operation(id: $id) { ... on OperationChanged { operation { id } } }",
        _of("operation_id"),
    ),
    "Subscription.quota": Field(
        _row(OK, "MISSING_SCOPE", OK, OK, OK, OK), "quota { ... on QuotaChanged { cursor } }", marked=False
    ),
    "Mutation.createSandbox": Field(WRITE_OWN, inputs=_given(name="made")),
    "Mutation.pauseSandbox": Field(WRITE, inputs=_sandbox()),
    "Mutation.resumeSandbox": Field(WRITE, inputs=_paused),
    "Mutation.startSandbox": Field(
        WRITE | dict.fromkeys((Caller.MEMBER, Caller.ADMIN, Caller.OWNER), "WRONG_STATE"), inputs=_sandbox()
    ),
    "Mutation.deleteSandbox": Field(WRITE, inputs=_sandbox()),
    "Mutation.forkSandbox": Field(WRITE, inputs=_sandbox(count=1)),
    "Mutation.pingSandbox": Field(WRITE, inputs=_sandbox()),
    "Mutation.setSandboxTimeout": Field(WRITE, inputs=_sandbox(timeoutSec=600)),
    "Mutation.exec": Field(WRITE, inputs=_in_sandbox(argv=["true"])),
    "Mutation.writeFile": Field(WRITE, inputs=_in_sandbox(path="/root/file", text="x")),
    "Mutation.readFile": Field(WRITE | {Caller.READER: OK}, inputs=_file),
    "Mutation.createTemplate": Field(WRITE, inputs=_new_template),
    "Mutation.deleteTemplate": Field(WRITE, inputs=_template),
    "Mutation.createApiKey": Field(ADMINISTER_OWN, inputs=_given(name="k", scopes=["READ"])),
    "Mutation.revokeApiKey": Field(ADMINISTER, inputs=_key),
    "Mutation.inviteMember": Field(ADMINISTER_OWN, inputs=_invitee),
    "Mutation.revokeInvitation": Field(ADMINISTER, inputs=_invitation),
    "Mutation.changeMemberRole": Field(ADMINISTER, inputs=_user(role="MEMBER")),
    "Mutation.removeMember": Field(ADMINISTER, inputs=_user()),
    "Mutation.createTeam": Field(_row(OK, OK, "FORBIDDEN", OK, OK, OK), inputs=_given(name="A team"), marked=False),
    "Mutation.switchTeam": Field(_row("NOT_FOUND", "NOT_FOUND", "FORBIDDEN", OK, OK, OK), inputs=_team),
    "Mutation.changePassword": Field(_row(OK, OK, "FORBIDDEN", OK, OK, OK), inputs=_own_password),
    **{
        f"Mutation.{name}": Field(PLATFORM, inputs=inputs)
        for name, inputs in (
            ("adminActivateUser", _account()),
            ("adminDeactivateUser", _account()),
            ("adminSetPlatformAdmin", _account(isPlatformAdmin=False)),
            ("adminSetTeamQuota", _team),
        )
    },
    # the platform of this test has no authority of its own
    "Mutation.adminCreateHostToken": Field(PLATFORM | {Caller.PLATFORM_ADMIN: "NO_AUTHORITY"}, inputs=_given()),
    "Mutation.adminRemoveHost": Field(
        PLATFORM | {Caller.PLATFORM_ADMIN: "NOT_FOUND"}, inputs=_given(id=wire_id(Kind.HOST, new_id()))
    ),
    # last, since callers are not afterwards what they were
    "Mutation.transferOwnership": Field(
        _row("NOT_FOUND", "NOT_FOUND", "FORBIDDEN", "MISSING_SCOPE", "FORBIDDEN", OK), inputs=_user()
    ),
    "Mutation.leaveTeam": Field(_row("NOT_FOUND", "NOT_FOUND", "FORBIDDEN", OK, OK, OK), inputs=_team),
}

FREE = frozenset({"ForkedChild.operation", "ForkedChild.sandbox", "Sandbox.template"})
"""Objects of fields that are seen by whoever sees what they are fields of."""
