"""Sandboxes as clients see them.

Nearly every field is a plain attribute, computed once when the record is converted: resolver methods on something that
lists and subscriptions repeat by the hundred would cost more than everything else together.
"""

from datetime import datetime
from enum import Enum
from typing import Annotated

import strawberry

from api.domain import sandbox as domain
from api.domain.operation import Operation as OperationRecord
from api.ids import Kind, wire_id
from api.schema.context import OperationInfo
from api.schema.fields import resolved
from api.schema.labels import Label
from api.schema.node import Node
from api.schema.operations import Operation, operation
from api.schema.templates import Template, template


@strawberry.enum(description="What is known of a sandbox now.")
class SandboxState(Enum):
    PENDING = strawberry.enum_value("pending", description="Accepted, not yet given to a host.")
    STARTING = strawberry.enum_value("starting", description="A host is starting its machine.")
    RUNNING = strawberry.enum_value("running", description="Its machine runs; commands are accepted.")
    PAUSING = strawberry.enum_value("pausing", description="Its memory is being saved.")
    PAUSED = strawberry.enum_value("paused", description="Memory and disk are saved; it uses no memory of the host.")
    RESUMING = strawberry.enum_value("resuming", description="A machine is being started from what was saved.")
    SNAPSHOTTING = strawberry.enum_value(
        "snapshotting", description="Memory and disk are being kept for a template or children; it goes on in a moment."
    )
    STOPPING = strawberry.enum_value("stopping", description="Its machine is being ended.")
    STOPPED = strawberry.enum_value("stopped", description="There is no machine and no memory; the disk is kept.")
    FAILED = strawberry.enum_value("failed", description="It never came up; only its history is left.")
    DELETING = strawberry.enum_value("deleting", description="Everything that it has is being removed.")
    DELETED = strawberry.enum_value("deleted", description="Nothing is left but its history.")
    UNREACHABLE = strawberry.enum_value(
        "unreachable",
        description="Its host does not answer, so its state is not known. Nothing is done to it meanwhile.",
    )


@strawberry.enum(description="What its user wants of a sandbox.")
class SandboxGoal(Enum):
    RUNNING = strawberry.enum_value("running", description="It is to run.")
    PAUSED = strawberry.enum_value("paused", description="It is to be paused.")
    STOPPED = strawberry.enum_value("stopped", description="It is to be stopped, with its disk kept.")
    GONE = strawberry.enum_value("gone", description="It is to be removed.")


@strawberry.enum(description="Why a sandbox is in its state.")
class SandboxCause(Enum):
    USER = strawberry.enum_value("user", description="Somebody asked for it.")
    IDLE_TIMEOUT = strawberry.enum_value("idle_timeout", description="Nobody used it for as long as its timeout says.")
    AUTO_RESUME = strawberry.enum_value("auto_resume", description="It was used while it was paused.")
    SHUTDOWN = strawberry.enum_value("shutdown", description="Its host was shut down.")
    CRASHED = strawberry.enum_value("crashed", description="Its machine ended by itself.")
    OUT_OF_MEMORY = strawberry.enum_value("out_of_memory", description="It used more memory than it may.")
    HUNG = strawberry.enum_value("hung", description="Its guest no longer answered.")
    KILLED = strawberry.enum_value("killed", description="Its machine was killed from outside.")
    ORPHANED = strawberry.enum_value("orphaned", description="Its host had lost what it knew of it.")
    HOST_LOST = strawberry.enum_value("host_lost", description="Its host restarted, or is gone.")
    START_FAILED = strawberry.enum_value("start_failed", description="Its machine could not be started.")
    REPAIRED = strawberry.enum_value("repaired", description="The platform found it in a wrong state and corrected it.")


@strawberry.enum(description="What can be done with a sandbox.")
class SandboxAction(Enum):
    EXEC = strawberry.enum_value("exec", description="Run a command in it.")
    WRITE_FILE = strawberry.enum_value("write_file", description="Write a file in it.")
    READ_FILE = strawberry.enum_value("read_file", description="Read a file in it.")
    PING = strawberry.enum_value("ping", description="Count as activity, and ask how it is.")
    PAUSE = strawberry.enum_value("pause", description="Save its memory and let its machine go.")
    RESUME = strawberry.enum_value("resume", description="Start a machine from what was saved.")
    START = strawberry.enum_value("start", description="Boot it from its kept disk.")
    CREATE_TEMPLATE = strawberry.enum_value("create_template", description="Make a template of it.")
    FORK = strawberry.enum_value("fork", description="Start sandboxes that begin as it is now.")
    SET_TIMEOUT = strawberry.enum_value("set_timeout", description="Set after how long without use it is paused.")
    DELETE = strawberry.enum_value("delete", description="Remove it with all its files.")


@strawberry.type(
    description="Whether something can be done with a sandbox now, so that clients need no rules of their own."
)
class AllowedAction:
    action: SandboxAction = strawberry.field(description="What.")
    allowed: bool = strawberry.field(description="Whether it is accepted in the state that the sandbox is in.")
    reason: str | None = strawberry.field(description="Why not, as a sentence; null when it is allowed.")


@strawberry.type(description="A machine of its own for untrusted code. MB means MiB.")
class Sandbox(Node):
    name: str = strawberry.field(description="Its name; need not be unique.")
    state: SandboxState = strawberry.field(description="What is known of it now.")
    goal: SandboxGoal = strawberry.field(description="What its user wants of it.")
    cause: SandboxCause = strawberry.field(description="Why it is in this state.")
    detail: str = strawberry.field(description="What happened last, as a sentence; may be empty.")
    template: Template = strawberry.field(description="What it was started from; of a child, what its parent was.")
    parent_id: strawberry.ID | None = strawberry.field(
        description="The sandbox that it was forked from; null for one that was not."
    )
    stored_bytes: float = strawberry.field(
        description="What its files take on its host's disk, in bytes: blocks, not sizes; some seconds old."
    )
    vcpus: int = strawberry.field(description="The number of its virtual CPUs.")
    memory_mb: int = strawberry.field(description="Its memory, in MiB.")
    disk_size_mb: int = strawberry.field(description="The size of its disk, in MiB.")
    timeout_sec: int = strawberry.field(description="Paused after so many seconds without use; 0 is never.")
    auto_resume: bool = strawberry.field(
        description="Whether commands and file access resume it when it is paused, and then go on."
    )
    auto_pause_at: datetime | None = strawberry.field(
        description="When it is paused if it is not used until then; null when it does not run, is never paused, or is "
        "in use now."
    )
    labels: list[Label] = strawberry.field(description="Its labels, by key.")
    allowed_actions: list[AllowedAction] = strawberry.field(description="What can be done with it now, and why not.")
    created_at: datetime = strawberry.field(description="When it was accepted.")
    updated_at: datetime = strawberry.field(description="When it last changed.")
    last_active_at: datetime | None = strawberry.field(description="When it was last used; null before the first use.")
    deleted_at: datetime | None = strawberry.field(description="When it was deleted; null unless it was.")
    version: str = strawberry.field(
        description="A number that grows with every change of this sandbox; as text, since it outgrows Int."
    )
    last_operation: Operation | None = strawberry.field(description="The last command for it.")
    team_id: strawberry.ID = strawberry.field(description="The team that it belongs to.")
    record: strawberry.Private[domain.Sandbox]
    foreign: strawberry.Private[bool]

    @resolved("The host that it is on; null before it is given to one, and unless you are a platform admin.")
    def host_id(self, info: OperationInfo) -> strawberry.ID | None:
        host_id = self.record.host_id
        if host_id is None or not info.context.principal.is_platform_admin:
            return None
        return strawberry.ID(wire_id(Kind.HOST, host_id))

    @resolved("The sandbox that it was forked from, deleted ones too; null for one that was not.")
    async def parent(self, info: OperationInfo) -> Annotated["Sandbox", strawberry.lazy("api.schema.sandboxes")] | None:
        if self.record.parent_id is None:
            return None
        record = await info.context.loaders.parents.load(self.record.parent_id)
        # parents are of the team that their children are of
        return None if record is None else sandbox(record, foreign=self.foreign)


# by the values of the domain's enums, which are the same texts: a test compares the two
_STATES = {str(state.value): state for state in SandboxState}
_GOALS = {str(goal.value): goal for goal in SandboxGoal}
_CAUSES = {str(cause.value): cause for cause in SandboxCause}
_ACTIONS = {str(action.value): action for action in SandboxAction}


def sandbox(record: domain.Sandbox, *, last_operation: OperationRecord | None = None, foreign: bool = False) -> Sandbox:
    """The sandbox as clients see it; `last_operation` where the record comes without, `foreign` where a platform admin
    looks at another team's."""
    newest = record.last_operation or last_operation
    return Sandbox(
        id=strawberry.ID(wire_id(Kind.SANDBOX, record.id)),
        name=record.name,
        state=_STATES[domain.shown_state(record)],
        goal=_GOALS[record.goal],
        cause=_CAUSES[record.cause],
        detail=record.detail,
        template=template(record.template),
        parent_id=None if record.parent_id is None else strawberry.ID(wire_id(Kind.SANDBOX, record.parent_id)),
        stored_bytes=float(record.stored_bytes),
        vcpus=record.vcpus,
        memory_mb=record.memory_mb,
        disk_size_mb=record.disk_size_mb,
        timeout_sec=record.timeout_sec,
        auto_resume=record.auto_resume,
        auto_pause_at=record.auto_pause_at,
        labels=[Label(key=key, value=value) for key, value in sorted(record.labels.items())],
        allowed_actions=[
            AllowedAction(action=_ACTIONS[entry.action], allowed=entry.allowed, reason=entry.reason)
            for entry in domain.allowed_actions(record, foreign=foreign)
        ],
        created_at=record.created_at,
        updated_at=record.updated_at,
        last_active_at=record.last_active_at,
        deleted_at=record.deleted_at,
        version=str(record.version),
        last_operation=None if newest is None else operation(newest),
        team_id=strawberry.ID(wire_id(Kind.TEAM, record.team_id)),
        record=record,
        foreign=foreign,
    )
