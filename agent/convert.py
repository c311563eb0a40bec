"""Protobuf to the agent's own types and back: the only place that knows both."""

from collections.abc import Iterable
from datetime import UTC, datetime
from uuid import UUID

from google.protobuf.timestamp_pb2 import Timestamp

from agent import checks
from agent.drivers.driver import Command, ExecEvent, Exited, FileInfo, Isolation, Output, Started
from agent.garbage import GarbageItem
from agent.host import Description
from agent.inventory import Snapshot as InventorySnapshot
from agent.machine import (
    Cause,
    Create,
    Fork,
    Machine,
    Resume,
    Snapshot,
    Spec,
    Stage,
    Start,
    State,
    TemplateType,
)
from agent.template import Template, TemplateState
from proto.host.v1 import host_pb2 as pb

_STATES = {state: pb.MachineState.Value(f"MACHINE_STATE_{state.name}") for state in State}
_CAUSES = {cause: pb.Cause.Value(f"CAUSE_{cause.name}") for cause in Cause}
_CAUSES_BACK: dict[int, Cause] = {number: cause for cause, number in _CAUSES.items()}
_TEMPLATE_STATES = {state: pb.TemplateState.Value(f"TEMPLATE_STATE_{state.name}") for state in TemplateState}
_TEMPLATE_TYPES: dict[int, TemplateType] = {
    pb.TEMPLATE_TYPE_UNSPECIFIED: TemplateType.BASE,
    pb.TEMPLATE_TYPE_BASE: TemplateType.BASE,
    pb.TEMPLATE_TYPE_SNAPSHOT: TemplateType.SNAPSHOT,
}
_ISOLATIONS = {isolation: pb.Isolation.Value(f"ISOLATION_{isolation.name}") for isolation in Isolation}

DEFAULT_FILE_MODE = 0o644


def sandbox_id(text: str) -> UUID:
    """Raises: AgentError INVALID."""
    return checks.parse_id("sb", text)


def generation(number: int) -> int:
    """Raises: AgentError INVALID."""
    return checks.within("generation", number, 1, checks.GENERATION_MAX)


def create(request: pb.CreateMachineRequest) -> Create:
    """Raises: AgentError INVALID."""
    spec = Spec(
        sandbox_id=sandbox_id(request.sandbox_id),
        template_id=checks.parse_id("tpl", request.template_id),
        template_name=checks.template_name(request.template_name),
        vcpus=checks.within("vcpus", request.vcpus, 1, checks.VCPUS_MAX),
        memory_mb=checks.within("memory_mb", request.memory_mb, 1, checks.MEMORY_MB_MAX),
        disk_size_mb=checks.within("disk_size_mb", request.disk_size_mb, 1, checks.DISK_SIZE_MB_MAX),
        environment=checks.environment(request.environment),
        template_type=_template_type(request.template_type),
        snapshot_id=checks.uuid("snapshot_id", request.snapshot_id) if request.snapshot_id else None,
    )
    cluster_id = checks.uuid("cluster_id", request.cluster_id) if request.cluster_id else None
    return Create(spec, timeout_sec(request.timeout_sec), cluster_id)


def resume(request: pb.ResumeMachineRequest) -> Resume:
    """Raises: AgentError INVALID."""
    causes = {pb.CAUSE_UNSPECIFIED: Cause.USER, pb.CAUSE_USER: Cause.USER, pb.CAUSE_AUTO_RESUME: Cause.AUTO_RESUME}
    if request.cause not in causes:
        raise checks.invalid("A resume is caused by the user, or because it was needed (AUTO_RESUME).")
    return Resume(timeout_sec(request.timeout_sec), causes[request.cause])


def snapshot(request: pb.SnapshotMachineRequest) -> Snapshot:
    """Raises: AgentError INVALID."""
    return Snapshot(template_id(request.template_id), checks.template_name(request.template_name))


def fork(request: pb.ForkMachineRequest) -> Fork:
    """Raises: AgentError INVALID."""
    checks.within("the number of children", len(request.children), 1, checks.CHILDREN_MAX)
    children = tuple(sandbox_id(child) for child in request.children)
    if len(set(children)) != len(children):
        raise checks.invalid("A child is named twice.")
    return Fork(checks.uuid("snapshot_id", request.snapshot_id), children)


def template_id(text: str) -> UUID:
    """Raises: AgentError INVALID."""
    return checks.parse_id("tpl", text)


def _template_type(number: int) -> TemplateType:
    if number not in _TEMPLATE_TYPES:
        raise checks.invalid("This type of template is unknown.")
    return _TEMPLATE_TYPES[number]


def start(request: pb.StartMachineRequest) -> Start:
    """Raises: AgentError INVALID."""
    return Start(timeout_sec(request.timeout_sec))


def timeout_sec(number: int) -> int:
    """Raises: AgentError INVALID."""
    return checks.within("timeout_sec", number, 0, checks.TIMEOUT_SEC_MAX)


def cause(number: int) -> Cause:
    """Unspecified is a shutdown: the only call with a cause is the one that ends all. Raises: AgentError INVALID."""
    if number == pb.CAUSE_UNSPECIFIED:
        return Cause.SHUTDOWN
    if number not in _CAUSES_BACK:
        raise checks.invalid("This cause is unknown.")
    return _CAUSES_BACK[number]


def command(start: pb.ExecStart) -> Command:
    """Raises: AgentError INVALID."""
    return Command(
        argv=checks.arguments(start.argv),
        cwd=checks.path(start.cwd) if start.cwd else "",
        environment=checks.environment(start.environment),
        timeout_ms=start.timeout_ms,
    )


def file_mode(number: int) -> int:
    """Raises: AgentError INVALID."""
    return checks.within("mode", number, 0, 0o7777) or DEFAULT_FILE_MODE


def to_machine(machine: Machine) -> pb.Machine:
    """A machine as the control plane sees it: its process and its environment stay here."""
    spec = machine.spec
    return pb.Machine(
        sandbox_id=f"sb-{machine.sandbox_id}",
        incarnation=str(machine.incarnation) if machine.incarnation else "",
        generation=machine.generation,
        state=_STATES[machine.state],
        sequence=machine.sequence,
        cause=_CAUSES[machine.cause],
        detail=machine.detail,
        template_id=f"tpl-{spec.template_id}",
        vcpus=spec.vcpus,
        memory_mb=spec.memory_mb,
        disk_size_mb=spec.disk_size_mb,
        timeout_sec=machine.timeout_sec,
        changed_at=_to_timestamp(machine.changed_at),
        last_active_at=_to_timestamp(machine.last_active_at),
        stages=_to_stages(machine.stages),
        cluster_id=str(machine.cluster_id) if machine.cluster_id else "",
        auto_pause_at=None if machine.auto_pause_at is None else _to_timestamp(machine.auto_pause_at),
        stored_bytes=machine.stored_bytes,
        waits_for_room=machine.waits_for_room,
    )


def to_template(template: Template) -> pb.Template:
    """A template as the control plane sees it."""
    return pb.Template(
        template_id=f"tpl-{template.template_id}",
        name=template.name,
        state=_TEMPLATE_STATES[template.state],
        sequence=template.sequence,
        cluster_id=template.cluster_id,
        sandbox_id=f"sb-{template.sandbox_id}" if template.sandbox_id else "",
        vcpus=template.vcpus,
        memory_mb=template.memory_mb,
        disk_size_mb=template.disk_size_mb,
        stored_bytes=template.stored_bytes,
        progress_percent=template.progress_percent,
        error_code=template.error_code,
        detail=template.detail,
        stages=_to_stages(template.stages),
        changed_at=_to_timestamp(template.changed_at),
    )


def to_change(change: Machine | Template) -> pb.WatchMachinesResponse:
    """One change of the inventory."""
    if isinstance(change, Template):
        return pb.WatchMachinesResponse(template_changed=to_template(change))
    return pb.WatchMachinesResponse(changed=to_machine(change))


def to_garbage(items: Iterable[GarbageItem]) -> pb.CollectGarbageResponse:
    """What belongs to nothing."""
    return pb.CollectGarbageResponse(
        garbage=[
            pb.Garbage(
                path=item.path,
                stored_bytes=item.stored_bytes,
                reason=item.reason,
                quarantined_at=None if item.quarantined_at is None else _to_timestamp(item.quarantined_at),
                removed_after=None if item.removed_after is None else _to_timestamp(item.removed_after),
            )
            for item in items
        ]
    )


def to_inventory(snapshot: InventorySnapshot, agent_incarnation: UUID) -> pb.ListMachinesResponse:
    """The whole inventory."""
    return pb.ListMachinesResponse(
        machines=[to_machine(machine) for machine in snapshot.machines],
        sequence=snapshot.sequence,
        agent_incarnation=str(agent_incarnation),
        templates=[to_template(template) for template in snapshot.templates],
    )


def to_pause_all(machines: Iterable[Machine]) -> pb.PauseAllResponse:
    """What became of everything that ran."""
    return pb.PauseAllResponse(machines=[to_machine(machine) for machine in machines])


def to_host(description: Description, name: str, version: str, certificate_expires_at: datetime | None) -> pb.Host:
    """The host as the control plane sees it."""
    computer, driver = description.computer, description.driver
    return pb.Host(
        host_id=f"host-{description.host_id}",
        name=name,
        agent_incarnation=str(description.agent_incarnation),
        agent_version=version,
        driver=driver.driver,
        isolation=_ISOLATIONS[driver.isolation],
        accelerator=driver.accelerator,
        qemu_version=driver.qemu_version,
        cpu_count=computer.cpu_count,
        memory_total_mb=computer.memory_total_mb,
        memory_free_mb=computer.memory_free_mb,
        disk_total_mb=computer.disk_total_mb,
        disk_free_mb=computer.disk_free_mb,
        machines_running=description.machines_running,
        images=[
            pb.TemplateImage(
                template_name=image.template_name,
                vcpus=image.vcpus,
                memory_mb=image.memory_mb,
                disk_size_mb=image.disk_size_mb,
                content_id=image.content_id,
            )
            for image in driver.images
        ],
        shortcomings=description.shortcomings,
        pools=[
            pb.Pool(
                template_name=pool.template_name,
                template_id=f"tpl-{pool.template_id}" if pool.template_id else "",
                vcpus=pool.vcpus,
                memory_mb=pool.memory_mb,
                ready=pool.ready,
                wanted=pool.wanted,
                handed_over=pool.handed_over,
                missed=pool.missed,
            )
            for pool in driver.pools
        ],
        certificate_expires_at=None if certificate_expires_at is None else _to_timestamp(certificate_expires_at),
    )


def to_installed(expires_at: datetime) -> pb.InstallCertificateResponse:
    """Until when a new certificate holds."""
    return pb.InstallCertificateResponse(expires_at=_to_timestamp(expires_at))


def to_exec_response(event: ExecEvent) -> pb.ExecResponse:
    """What a command did."""
    match event:
        case Started():
            return pb.ExecResponse(started=pb.ExecStarted(pid=event.pid))
        case Output(stream=1):
            return pb.ExecResponse(stdout=event.data)
        case Output():
            return pb.ExecResponse(stderr=event.data)
        case Exited():
            exited = pb.ExecExited(
                exit_code=event.exit_code,
                signal=event.signal,
                timed_out=event.timed_out,
                duration_us=event.duration_us,
            )
            return pb.ExecResponse(exited=exited)


def to_file_info(info: FileInfo) -> pb.ReadFileResponse:
    """What a file is."""
    seconds, nanoseconds = divmod(info.modified_ns, 1_000_000_000)
    modified_at = Timestamp(seconds=seconds, nanos=nanoseconds)
    return pb.ReadFileResponse(info=pb.FileInfo(size_bytes=info.size_bytes, mode=info.mode, modified_at=modified_at))


def _to_stages(stages: Iterable[Stage]) -> list[pb.Stage]:
    return [pb.Stage(name=stage.name, duration_us=stage.duration_us) for stage in stages]


def _to_timestamp(moment: datetime) -> Timestamp:
    timestamp = Timestamp()
    timestamp.FromDatetime(moment.astimezone(UTC))
    return timestamp
