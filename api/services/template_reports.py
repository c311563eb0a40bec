"""Taking in what hosts report of templates, and concluding from what they do not."""

from uuid import UUID

from api.db import template_reports
from api.domain.machine import HeldState, HeldTemplate
from api.errors import Unavailable
from api.hosts.errors import reported_error
from api.services.resources import Resources


class TemplateReports:
    """Guarded writes; each that a user can see wakes the readers of the log. All may be repeated."""

    def __init__(self, resources: Resources) -> None:
        self._resources = resources

    async def apply(self, host_id: UUID, held: HeldTemplate) -> None:
        """Writes what a host says of a template; being late is normal. Raises: Unavailable."""
        database, now = self._resources.database, self._resources.clock.now()
        match held.state:
            case HeldState.BUILDING:
                visible = await template_reports.progress(database, host_id, held, now)
            case HeldState.READY:
                visible = await template_reports.complete(database, host_id, held, now)
            case HeldState.FAILED:
                error = reported_error(held.error_code, held.detail)
                visible = await template_reports.fail(
                    database, held.template_id, host_id, held.sequence, error, held.stages, now
                )
            case HeldState.DELETING:
                visible = False
            case _:
                visible = await template_reports.gone(database, held.template_id, host_id, held.sequence, now)
        self._wake(visible=visible)

    async def lose(
        self,
        host_id: UUID,
        template_id: UUID,
        sequence: int,
        message: str = "Its host answers, and knows nothing of the template.",
    ) -> None:
        """A host that was to make a template does not: it has failed, unless anything was reported since its row was
        read, with this sequence. `message` says why. Raises: Unavailable."""
        error = Unavailable(message, code="TEMPLATE_LOST")
        now = self._resources.clock.now()
        self._wake(
            visible=await template_reports.fail(
                self._resources.database, template_id, host_id, sequence + 1, error, (), now
            )
        )

    async def gone(self, host_id: UUID, template_id: UUID, sequence: int) -> None:
        """A host no longer has a template, unless anything was reported since its row was read. Raises: Unavailable."""
        database, now = self._resources.database, self._resources.clock.now()
        self._wake(visible=await template_reports.gone(database, template_id, host_id, sequence + 1, now))

    def _wake(self, *, visible: bool) -> None:
        if visible:
            self._resources.waker.wake()
