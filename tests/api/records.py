"""Records as tests need them."""

from dataclasses import replace
from datetime import UTC, datetime

from api.domain.sandbox import Cause, Goal, Sandbox, State
from api.domain.template import Template, TemplateState, TemplateType
from api.ids import BASE_TEMPLATE_ID, DEFAULT_TEAM_ID, PLATFORM_TEAM_ID, new_id

NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)

_TEMPLATE = Template(
    id=BASE_TEMPLATE_ID,
    team_id=PLATFORM_TEAM_ID,
    name="base",
    description="",
    type=TemplateType.BASE,
    state=TemplateState.READY,
    disk_size_mb=5120,
    vcpus=None,
    memory_mb=None,
    stored_bytes=None,
    source_sandbox_id=None,
    created_by="system",
    created_at=NOW,
)


def a_template(**changes: object) -> Template:
    """The platform's template, but for the changes."""
    return replace(_TEMPLATE, **changes)  # type: ignore[arg-type]


def a_sandbox(**changes: object) -> Sandbox:
    """A sandbox that runs, but for the changes."""
    sandbox = Sandbox(
        id=new_id(),
        team_id=DEFAULT_TEAM_ID,
        template_id=_TEMPLATE.id,
        template=_TEMPLATE,
        host_id=new_id(),
        name="",
        labels={},
        vcpus=1,
        memory_mb=512,
        disk_size_mb=5120,
        timeout_sec=0,
        goal=Goal.RUNNING,
        generation=1,
        state=State.RUNNING,
        cause=Cause.USER,
        detail="",
        sequence=1,
        last_active_at=None,
        created_at=NOW,
        updated_at=NOW,
        deleted_at=None,
        version=1,
        reachable=True,
    )
    return replace(sandbox, **changes)  # type: ignore[arg-type]
