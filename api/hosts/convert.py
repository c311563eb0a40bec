"""Protobuf ↔ domain: the only place in the control plane that knows both."""

from datetime import UTC, datetime
from uuid import UUID

import structlog
from google.protobuf.timestamp_pb2 import Timestamp

from api.domain.command import Execution
from api.domain.file import FileInfo
from api.domain.host import HostFacts, Isolation, Pool
from api.domain.machine import HeldState, HeldTemplate, Inventory, Machine
from api.domain.operation import Stage
from api.domain.sandbox import Cause, Sandbox, State
from api.domain.template import TemplateType
from api.errors import Internal, Invalid
from api.ids import Kind, parse_id, wire_id
from proto.host.v1 import host_pb2 as pb

_log = structlog.get_logger()

STATES: dict[int, State] = {
    pb.MACHINE_STATE_STARTING: State.STARTING,
    pb.MACHINE_STATE_RUNNING: State.RUNNING,
    pb.MACHINE_STATE_PAUSING: State.PAUSING,
    pb.MACHINE_STATE_PAUSED: State.PAUSED,
    pb.MACHINE_STATE_RESUMING: State.RESUMING,
    pb.MACHINE_STATE_SNAPSHOTTING: State.SNAPSHOTTING,
    pb.MACHINE_STATE_STOPPING: State.STOPPING,
    pb.MACHINE_STATE_STOPPED: State.STOPPED,
    pb.MACHINE_STATE_FAILED: State.FAILED,
    pb.MACHINE_STATE_DELETING: State.DELETING,
    pb.MACHINE_STATE_DELETED: State.DELETED,
}
CAUSES: dict[int, Cause] = {
    pb.CAUSE_USER: Cause.USER,
    pb.CAUSE_IDLE_TIMEOUT: Cause.IDLE_TIMEOUT,
    pb.CAUSE_AUTO_RESUME: Cause.AUTO_RESUME,
    pb.CAUSE_SHUTDOWN: Cause.SHUTDOWN,
    pb.CAUSE_CRASHED: Cause.CRASHED,
    pb.CAUSE_OUT_OF_MEMORY: Cause.OUT_OF_MEMORY,
    pb.CAUSE_ORPHANED: Cause.ORPHANED,
    pb.CAUSE_HOST_LOST: Cause.HOST_LOST,
    pb.CAUSE_REPAIRED: Cause.REPAIRED,
    pb.CAUSE_HUNG: Cause.HUNG,
    pb.CAUSE_KILLED: Cause.KILLED,
    pb.CAUSE_START_FAILED: Cause.START_FAILED,
}
HELD_STATES: dict[int, HeldState] = {
    pb.TEMPLATE_STATE_BUILDING: HeldState.BUILDING,
    pb.TEMPLATE_STATE_READY: HeldState.READY,
    pb.TEMPLATE_STATE_FAILED: HeldState.FAILED,
    pb.TEMPLATE_STATE_DELETING: HeldState.DELETING,
    pb.TEMPLATE_STATE_DELETED: HeldState.DELETED,
}
TEMPLATE_TYPES: dict[TemplateType, pb.TemplateType.ValueType] = {
    TemplateType.BASE: pb.TEMPLATE_TYPE_BASE,
    TemplateType.SNAPSHOT: pb.TEMPLATE_TYPE_SNAPSHOT,
}
ISOLATIONS: dict[int, Isolation] = {
    pb.ISOLATION_HARDWARE: Isolation.HARDWARE,
    pb.ISOLATION_EMULATED: Isolation.EMULATED,
    pb.ISOLATION_NONE: Isolation.NONE,
}


def machine_of(message: pb.Machine) -> Machine:
    """A machine as a host reports it.

    Raises:
        Internal: its state or an id is none that this version knows; nothing must be concluded from it.
    """
    state = STATES.get(message.state)
    if state is None:
        raise Internal("A host reports a state that this version does not know.", detail=str(message.state))
    try:
        return Machine(
            sandbox_id=parse_id(Kind.SANDBOX, message.sandbox_id),
            incarnation=UUID(message.incarnation) if message.incarnation else None,
            generation=message.generation,
            state=state,
            sequence=message.sequence,
            # a cause that a newer agent knows is still explained by its sentence
            cause=CAUSES.get(message.cause, Cause.REPAIRED),
            detail=message.detail,
            changed_at=_time_of(message.changed_at) if message.HasField("changed_at") else None,
            last_active_at=_time_of(message.last_active_at) if message.HasField("last_active_at") else None,
            stages=tuple(Stage(stage.name, stage.duration_us) for stage in message.stages),
            timeout_sec=message.timeout_sec,
            auto_pause_at=_time_of(message.auto_pause_at) if message.HasField("auto_pause_at") else None,
            stored_bytes=message.stored_bytes,
            cluster_id=UUID(message.cluster_id) if message.cluster_id else None,
            waits_for_room=message.waits_for_room,
        )
    except (Invalid, ValueError) as error:
        raise Internal("A host reports an id that is none.", detail=repr(error)) from error


def template_of(message: pb.Template) -> HeldTemplate:
    """A template as a host reports it.

    Raises:
        Internal: its state or an id is none that this version knows; nothing must be concluded from it.
    """
    state = HELD_STATES.get(message.state)
    if state is None:
        raise Internal("A host reports a state that this version does not know.", detail=str(message.state))
    try:
        return HeldTemplate(
            template_id=parse_id(Kind.TEMPLATE, message.template_id),
            state=state,
            sequence=message.sequence,
            cluster_id=message.cluster_id,
            sandbox_id=parse_id(Kind.SANDBOX, message.sandbox_id) if message.sandbox_id else None,
            vcpus=message.vcpus,
            memory_mb=message.memory_mb,
            disk_size_mb=message.disk_size_mb,
            stored_bytes=message.stored_bytes,
            progress_percent=message.progress_percent,
            error_code=message.error_code,
            detail=message.detail,
            stages=tuple(Stage(stage.name, stage.duration_us) for stage in message.stages),
        )
    except Invalid as error:
        raise Internal("A host reports an id that is none.", detail=repr(error)) from error


def inventory_of(message: pb.ListMachinesResponse) -> Inventory:
    """The whole inventory. What cannot be read is named, so that it is not taken for missing."""
    machines: list[Machine] = []
    unreadable: set[str] = set()
    for entry in message.machines:
        try:
            machines.append(machine_of(entry))
        except Internal as error:
            _log.error("a machine in a host's inventory cannot be read", machine=entry.sandbox_id, error=error.detail)
            unreadable.add(entry.sandbox_id)
    templates: list[HeldTemplate] = []
    for held in message.templates:
        try:
            templates.append(template_of(held))
        except Internal as error:
            _log.error("a template in a host's inventory cannot be read", template=held.template_id, error=error.detail)
            unreadable.add(held.template_id)
    return Inventory(
        tuple(machines), message.sequence, message.agent_incarnation, frozenset(unreadable), tuple(templates)
    )


def facts_of(message: pb.Host) -> HostFacts:
    """What a host says of itself. Raises: Internal when its id is none."""
    try:
        host_id = UUID(message.host_id.removeprefix(f"{Kind.HOST.value}-"))
    except ValueError as error:
        raise Internal("A host has no usable id.", detail=message.host_id) from error
    return HostFacts(
        host_id=host_id,
        name=message.name,
        agent_incarnation=message.agent_incarnation,
        agent_version=message.agent_version,
        driver=message.driver,
        # what is not known to isolate is not said to
        isolation=ISOLATIONS.get(message.isolation, Isolation.NONE),
        accelerator=message.accelerator,
        qemu_version=message.qemu_version,
        cpu_count=message.cpu_count,
        memory_total_mb=message.memory_total_mb,
        memory_free_mb=message.memory_free_mb,
        disk_total_mb=message.disk_total_mb,
        disk_free_mb=message.disk_free_mb,
        shortcomings=tuple(message.shortcomings),
        certificate_expires_at=(
            _time_of(message.certificate_expires_at) if message.HasField("certificate_expires_at") else None
        ),
        pools=tuple(map(_pool_of, message.pools)),
    )


def _pool_of(message: pb.Pool) -> Pool:
    return Pool(
        template_name=message.template_name,
        template_id=parse_id(Kind.TEMPLATE, message.template_id) if message.template_id else None,
        vcpus=message.vcpus,
        memory_mb=message.memory_mb,
        ready=message.ready,
        wanted=message.wanted,
        handed_over=message.handed_over,
        missed=message.missed,
    )


def create_request(
    sandbox: Sandbox, generation: int, environment: dict[str, str], cluster_id: UUID
) -> pb.CreateMachineRequest:
    """What a host has to know of a sandbox to start it. A child of a fork begins as what was kept under its id."""
    return pb.CreateMachineRequest(
        sandbox_id=wire_id(Kind.SANDBOX, sandbox.id),
        generation=generation,
        template_id=wire_id(Kind.TEMPLATE, sandbox.template_id),
        template_name=sandbox.template.name,
        template_type=TEMPLATE_TYPES[sandbox.template.type],
        snapshot_id="" if sandbox.fork_id is None else str(sandbox.fork_id),
        vcpus=sandbox.vcpus,
        memory_mb=sandbox.memory_mb,
        disk_size_mb=sandbox.disk_size_mb,
        timeout_sec=sandbox.timeout_sec,
        environment=environment,
        cluster_id=str(cluster_id),
    )


def exec_start(sandbox_id: UUID, execution: Execution) -> pb.ExecRequest:
    """The first request of an exec."""
    return pb.ExecRequest(
        start=pb.ExecStart(
            sandbox_id=wire_id(Kind.SANDBOX, sandbox_id),
            argv=execution.argv,
            cwd=execution.cwd,
            environment=execution.environment,
            timeout_ms=execution.timeout_ms,
        )
    )


def file_info_of(message: pb.FileInfo) -> FileInfo:
    """A file in a guest."""
    modified_at = _time_of(message.modified_at) if message.HasField("modified_at") else None
    return FileInfo(size_bytes=message.size_bytes, mode=message.mode, modified_at=modified_at)


def _time_of(timestamp: Timestamp) -> datetime | None:
    try:
        return timestamp.ToDatetime(tzinfo=UTC)
    except (ValueError, OverflowError):
        # files may claim any time: one beyond what can be told is not told
        return None
