"""What crosses teams, for platform admins: hosts, and the tasks that keep rows and hosts together."""

from datetime import datetime
from enum import Enum
from typing import Annotated

import strawberry

from api.domain import host as domain
from api.domain.principal import require_platform_admin
from api.domain.status import TaskStatus as TaskStatusRecord
from api.errors import NestboxError
from api.ids import Kind, parse_id, wire_id
from api.schema.audit import AuditArgument, AuditConnection, audit_log, chosen
from api.schema.context import OperationInfo
from api.schema.errors import USER_ERRORS, UserError, user_error
from api.schema.fields import command, resolved
from api.schema.node import Node
from api.schema.operation_lists import OperationAdministration
from api.schema.paging import After, Before, First, Last, requested_page
from api.schema.sandbox_lists import SandboxAdministration
from api.schema.sandboxes import SandboxCause, SandboxGoal, SandboxState
from api.schema.templates import FilterArgument, TemplateConnection, template_connection, template_filter
from api.schema.users import PeopleAdministration


@strawberry.enum(description="What stands between a guest and its host.")
class Isolation(Enum):
    HARDWARE = strawberry.enum_value("hardware", description="The virtualisation of the processor (KVM).")
    EMULATED = strawberry.enum_value(
        "emulated", description="QEMU's emulator, which QEMU does not promise as a security boundary."
    )
    NONE = strawberry.enum_value("none", description="Nothing: no code runs, this is the simulated driver.")


@strawberry.type(description="Clones of one template and shape that stand ready on a host for sandboxes to come.")
class Pool:
    template_name: str = strawberry.field(description="The template.")
    template_id: strawberry.ID | None = strawberry.field(description="Its id; null for a base template.")
    vcpus: int = strawberry.field(description="Their virtual CPUs.")
    memory_mb: int = strawberry.field(description="Their memory in MiB.")
    ready: int = strawberry.field(description="How many there are.")
    wanted: int = strawberry.field(description="How many there are to be now.")
    handed_over: int = strawberry.field(description="How many sandboxes got one since the host's agent started.")
    missed: int = strawberry.field(description="How many sandboxes found none since then.")


@strawberry.type(description="A computer that runs sandboxes. All but the address is what its agent last said.")
class Host(Node):
    name: str = strawberry.field(description="The name of the computer.")
    address: str = strawberry.field(description="Where its agent listens.")
    reachable: bool = strawberry.field(description="Whether its agent answers now.")
    driver: str = strawberry.field(description="What runs its machines: `qemu` or `simulated`.")
    isolation: Isolation = strawberry.field(description="What stands between its guests and it.")
    accelerator: str = strawberry.field(description="`kvm`, `tcg` or `none`.")
    qemu_version: str = strawberry.field(description="The version of QEMU; empty where there is none.")
    agent_version: str = strawberry.field(description="The version of its agent.")
    cpu_count: int = strawberry.field(description="The number of its processors.")
    memory_total_mb: int = strawberry.field(description="Its memory, in MiB.")
    memory_free_mb: int = strawberry.field(description="The memory that is free, in MiB.")
    disk_total_mb: int = strawberry.field(description="The disk that holds sandboxes, in MiB.")
    disk_free_mb: int = strawberry.field(description="What is free of that disk, in MiB.")
    last_seen_at: datetime | None = strawberry.field(description="When its agent last answered.")
    shortcomings: list[str] = strawberry.field(description="What it cannot give and how to mend that, a sentence each.")
    sandbox_count: int = strawberry.field(description="The number of sandboxes on it that are not deleted.")
    registered_at: datetime | None = strawberry.field(
        description="When it joined with a token; null for a host that the settings name."
    )
    pools: list[Pool] = strawberry.field(description="The clones that stand ready on it.")
    certificate_expires_at: datetime | None = strawberry.field(
        description="Until when its certificate holds, which is renewed before; null for one that speaks without TLS."
    )
    removed_at: datetime | None = strawberry.field(
        description="When it was removed, unless it has joined again since; null for all that are called."
    )


@strawberry.type(description="A task that is repeated for as long as the platform runs.")
class TaskStatus:
    name: str = strawberry.field(description="The name of the task.")
    last_run_at: datetime | None = strawberry.field(description="When it last ran; null before the first time.")
    last_success_at: datetime | None = strawberry.field(description="When it last ran without a failure.")
    runs: int = strawberry.field(description="How often it ran since this replica started.")
    failures: int = strawberry.field(description="How often that failed.")
    summary: str = strawberry.field(description="What it did the last time, as a sentence.")


@strawberry.type(description="A sandbox that is not as its user wants it, though nothing is under way that changes it.")
class Drift:
    sandbox_id: strawberry.ID = strawberry.field(description="The sandbox.")
    team_id: strawberry.ID = strawberry.field(description="Whose it is.")
    goal: SandboxGoal = strawberry.field(description="What is wanted of it.")
    state: SandboxState = strawberry.field(description="What it is.")
    cause: SandboxCause = strawberry.field(description="Why.")
    since: datetime = strawberry.field(description="Since when.")


@strawberry.type(description="What crosses teams. For platform admins only.")
class Admin(SandboxAdministration, OperationAdministration, PeopleAdministration):
    @resolved("All hosts, by name.")
    async def hosts(self, info: OperationInfo) -> list[Host]:
        return [host(record) for record in await info.context.services.hosts.list(info.context.principal)]

    @resolved("A host by its id; null when there is none.")
    async def host(
        self,
        info: OperationInfo,
        host_id: Annotated[strawberry.ID, strawberry.argument(name="id", description="Its id: `host-…`.")],
    ) -> Host | None:
        found_id = parse_id(Kind.HOST, host_id, path=("id",))
        record = await info.context.services.hosts.get(info.context.principal, found_id)
        return None if record is None else host(record)

    @resolved("Sandboxes that are not as their users want them, the longest lasting first, at most 1000.")
    async def drift(self, info: OperationInfo) -> list[Drift]:
        return [
            Drift(
                sandbox_id=strawberry.ID(wire_id(Kind.SANDBOX, record.sandbox_id)),
                team_id=strawberry.ID(wire_id(Kind.TEAM, record.team_id)),
                goal=SandboxGoal[record.goal.name],
                state=SandboxState[record.state.name],
                cause=SandboxCause[record.cause.name],
                since=record.since,
            )
            for record in await info.context.services.hosts.drift(info.context.principal)
        ]

    @resolved("The templates of all teams, oldest first, a page at a time.")
    async def templates(
        self,
        info: OperationInfo,
        first: First = None,
        after: After = None,
        last: Last = None,
        before: Before = None,
        criteria: FilterArgument = None,
    ) -> TemplateConnection:
        page = requested_page(first, after, last, before)
        chosen = template_filter(criteria)
        found = await info.context.services.templates.list_of_all_teams(info.context.principal, chosen, page)
        return template_connection(found, chosen, of_all_teams=True)

    @resolved("What was done on the platform, and by whom, in all teams and none, the newest first, a page at a time.")
    async def audit_log(
        self, info: OperationInfo, first: First = None, after: After = None, criteria: AuditArgument = None
    ) -> AuditConnection:
        page = requested_page(first, after, None, None)
        return audit_log(await info.context.services.audit.of_all(info.context.principal, chosen(criteria), page))

    @resolved("The tasks of the reconciler of the replica that answers.")
    def reconciler(self, info: OperationInfo) -> list[TaskStatus]:
        return [_task_status(record) for record in info.context.reconciler_status()]


@strawberry.type
class AdminQueries:
    @resolved("What crosses teams. FORBIDDEN for all but platform admins.")
    def admin(self, info: OperationInfo) -> Admin:
        require_platform_admin(info.context.principal)
        return Admin()


@strawberry.input(description="Which host to remove.")
class AdminRemoveHostInput:
    id: strawberry.ID = strawberry.field(description="The host: `host-…`.")


@strawberry.type(description="What became of `adminRemoveHost`.")
class AdminRemoveHostPayload:
    host: Host | None = strawberry.field(default=None, description="The host, if it is removed.")
    user_errors: list[UserError] = strawberry.field(default_factory=list, description=USER_ERRORS)


@strawberry.type
class HostCommands:
    @command(
        "Expels a host that has joined: it is not called any more after some seconds, its certificate is not renewed, "
        "and it comes back only with a new token that is made for it. Its sandboxes stay listed, unreachable, and can "
        "be deleted; templates and forks that it was making fail. For platform admins."
    )
    async def admin_remove_host(
        self,
        info: OperationInfo,
        wanted: Annotated[AdminRemoveHostInput, strawberry.argument(name="input", description="Which one.")],
    ) -> AdminRemoveHostPayload:
        context = info.context
        try:
            host_id = parse_id(Kind.HOST, wanted.id, path=("id",))
            removed = await context.services.hosts.remove(context.principal, host_id)
        except NestboxError as error:
            return AdminRemoveHostPayload(user_errors=[user_error(error)])
        return AdminRemoveHostPayload(host=None if removed is None else host(removed))


def _pool(record: domain.Pool) -> Pool:
    return Pool(
        template_name=record.template_name,
        template_id=None if record.template_id is None else strawberry.ID(wire_id(Kind.TEMPLATE, record.template_id)),
        vcpus=record.vcpus,
        memory_mb=record.memory_mb,
        ready=record.ready,
        wanted=record.wanted,
        handed_over=record.handed_over,
        missed=record.missed,
    )


def host(record: domain.Host) -> Host:
    """The host as clients see it."""
    return Host(
        id=strawberry.ID(wire_id(Kind.HOST, record.id)),
        name=record.name,
        address=record.address,
        reachable=record.reachable,
        driver=record.driver,
        isolation=Isolation[record.isolation.name],
        accelerator=record.accelerator,
        qemu_version=record.qemu_version,
        agent_version=record.agent_version,
        cpu_count=record.cpu_count,
        memory_total_mb=record.memory_total_mb,
        memory_free_mb=record.memory_free_mb,
        disk_total_mb=record.disk_total_mb,
        disk_free_mb=record.disk_free_mb,
        last_seen_at=record.last_seen_at,
        shortcomings=list(record.shortcomings),
        sandbox_count=record.sandbox_count,
        registered_at=record.registered_at,
        certificate_expires_at=record.certificate_expires_at,
        removed_at=record.removed_at,
        pools=list(map(_pool, record.pools)),
    )


def _task_status(record: TaskStatusRecord) -> TaskStatus:
    return TaskStatus(
        name=record.name,
        last_run_at=record.last_run_at,
        last_success_at=record.last_success_at,
        runs=record.runs,
        failures=record.failures,
        summary=record.summary,
    )
