"""Machines and templates as the ledger's tables hold them."""

import json
from dataclasses import fields
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from agent.machine import Cause, CommandKind, Machine, Spec, Stage, State, TemplateType
from agent.template import Template, TemplateState

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


def to_us(moment: datetime) -> int:
    """Microseconds since the epoch."""
    return (moment - _EPOCH) // _MICROSECOND


def _from_us(microseconds: int) -> datetime:
    return _EPOCH + microseconds * _MICROSECOND


def to_row(machine: Machine) -> tuple[object, ...]:
    """The columns of a machine, in the order of the table."""
    spec = machine.spec
    written_spec = {
        "template_id": str(spec.template_id),
        "template_name": spec.template_name,
        "vcpus": spec.vcpus,
        "memory_mb": spec.memory_mb,
        "disk_size_mb": spec.disk_size_mb,
        "environment": spec.environment,
        "template_type": spec.template_type.value,
        "snapshot_id": None if spec.snapshot_id is None else str(spec.snapshot_id),
    }
    return (
        str(spec.sandbox_id),
        machine.generation,
        machine.command.value,
        json.dumps(written_spec),
        machine.state.value,
        machine.sequence,
        machine.cause.value,
        machine.detail,
        None if machine.incarnation is None else str(machine.incarnation),
        machine.pid,
        machine.start_ticks,
        machine.timeout_sec,
        json.dumps([(stage.name, stage.duration_us) for stage in machine.stages]),
        to_us(machine.changed_at),
        to_us(machine.last_active_at),
        machine.error_code,
        machine.error_message,
        None if machine.snapshot_id is None else str(machine.snapshot_id),
        None if machine.cluster_id is None else str(machine.cluster_id),
    )


def from_row(row: tuple[Any, ...]) -> Machine:
    """As it was written."""
    return Machine(
        spec=_spec_of(UUID(row[0]), json.loads(row[3])),
        generation=row[1],
        command=CommandKind(row[2]),
        state=State(row[4]),
        sequence=row[5],
        cause=Cause(row[6]),
        detail=row[7],
        incarnation=None if row[8] is None else UUID(row[8]),
        pid=row[9],
        start_ticks=row[10],
        timeout_sec=row[11],
        stages=tuple(Stage(name, duration_us) for name, duration_us in json.loads(row[12])),
        changed_at=_from_us(row[13]),
        last_active_at=_from_us(row[14]),
        error_code=row[15],
        error_message=row[16],
        snapshot_id=None if row[17] is None else UUID(row[17]),
        cluster_id=None if row[18] is None else UUID(row[18]),
    )


def _spec_of(sandbox_id: UUID, written: dict[str, Any]) -> Spec:
    # what an earlier version wrote knows neither of the last two
    snapshot_id = written.get("snapshot_id")
    known = {
        "sandbox_id": sandbox_id,
        "template_id": UUID(written["template_id"]),
        "template_type": TemplateType(written.get("template_type", TemplateType.BASE)),
        "snapshot_id": None if snapshot_id is None else UUID(snapshot_id),
    }
    return Spec(**{**written, **known})


_NOT_WRITTEN = frozenset({"sequence", "progress_percent"})


def facts_of(template: Template) -> str:
    """Everything but the sequence and the progress."""
    values: dict[str, Any] = {
        field.name: getattr(template, field.name) for field in fields(template) if field.name not in _NOT_WRITTEN
    }
    values["template_id"] = str(template.template_id)
    values["sandbox_id"] = None if template.sandbox_id is None else str(template.sandbox_id)
    values["changed_at"] = template.changed_at.isoformat()
    values["stages"] = [(stage.name, stage.duration_us) for stage in template.stages]
    return json.dumps(values)


def template_of(facts: str, sequence: int) -> Template:
    """As it was written."""
    values = json.loads(facts)
    state = TemplateState(values.pop("state"))
    sandbox_id = values.pop("sandbox_id")
    return Template(
        template_id=UUID(values.pop("template_id")),
        state=state,
        sandbox_id=None if sandbox_id is None else UUID(sandbox_id),
        changed_at=datetime.fromisoformat(values.pop("changed_at")),
        stages=tuple(Stage(name, duration_us) for name, duration_us in values.pop("stages")),
        sequence=sequence,
        progress_percent=100 if state is TemplateState.READY else 0,
        **values,
    )
