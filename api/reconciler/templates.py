"""Templates and forks of one host, as part of its pass: rows and inventory compared, and what follows done."""

from collections.abc import Hashable
from uuid import UUID

import structlog

from api.db import forks, template_reports
from api.domain.machine import Inventory
from api.domain.operation import OperationState
from api.domain.template import TemplateState
from api.errors import Unavailable
from api.reconciler.ages import Ages
from api.reconciler.template_plan import ForkRow, TemplateRow, plan_forks, plan_templates
from api.services.services import Services

_log = structlog.get_logger()


class TemplatePass:
    """`read` before the host is asked for its inventory, `reconcile` with the answer."""

    def __init__(self, services: Services, host_id: UUID, ages: Ages) -> None:
        self._services = services
        self._database = services.resources.database
        self._host_id = host_id
        self._ages = ages
        self._age_seconds: dict[UUID, float] = {}
        self._templates: list[TemplateRow] = []
        self._forks: list[ForkRow] = []

    async def read(self) -> None:
        """Reads the rows. Raises: Unavailable."""
        began = self._services.resources.clock.monotonic()
        self._templates = [
            TemplateRow(**{**row, "state": TemplateState(row["state"])})
            for row in await template_reports.of_host(self._database, self._host_id)
        ]
        self._forks = [
            ForkRow(**{**row, "state": OperationState(row["state"])})
            for row in await forks.of_host(self._database, self._host_id)
        ]
        looks: dict[UUID, Hashable] = {row.id: (row.state, row.updated_at) for row in self._templates}
        self._age_seconds = self._ages.of(looks | {row.id: row.state for row in self._forks}, began)

    async def reconcile(self, inventory: Inventory) -> str:
        """Does what the difference asks for, and says what it was. Raises: Unavailable."""
        services = self._services
        held = [template.template_id for template in inventory.templates]
        known = await template_reports.states(self._database, held) if held else {}
        chosen = plan_templates(self._templates, known, inventory, self._age_seconds, services.commands.under_way)
        for template in chosen.apply:
            await services.template_reports.apply(self._host_id, template)
        for row in chosen.lost:
            _log.warning("template unknown to its host", template_id=str(row.id), host_id=str(self._host_id))
            await services.template_reports.lose(self._host_id, row.id, row.sequence)
        for row in chosen.gone:
            await services.template_reports.gone(self._host_id, row.id, row.sequence)
        for template_id in chosen.remove:
            # files may be many: a pass does not wait for them
            work = services.templates.tell(self._host_id, template_id)
            services.resources.tasks.command(f"remove template {template_id}", work)
        await self._reconcile_forks()
        return str(chosen)

    async def _reconcile_forks(self) -> None:
        services = self._services
        chosen = plan_forks(self._forks, self._age_seconds, services.commands.operations_under_way)
        for fork_id in chosen.begin:
            await services.commands.begin_children(fork_id)
        for fork_id in chosen.fail:
            message = "How the fork ended could not be found out, and what it kept is there no longer."
            await services.commands.fail_children(fork_id, Unavailable(message, code="TIMEOUT"))
        for row in chosen.ask:
            await services.commands.settle_fork(row.id, row.parent_id)
