"""What the ledger holds of templates, and how it is changed."""

import asyncio
from collections.abc import Callable, Collection
from dataclasses import replace
from datetime import datetime
from typing import TypedDict, Unpack
from uuid import UUID

import structlog

from agent.errors import AgentError, Code
from agent.failure import is_cancelled
from agent.inventory import Inventory
from agent.ledger import Ledger, LedgerError
from agent.machine import Stage
from agent.template import Template, TemplateState

_log = structlog.get_logger(__name__)

RECORD_RETRY_SECONDS = 1.0
"""Between attempts to record what happened while the ledger cannot be written."""


class Outcome(TypedDict, total=False):
    """Fields of a `Template`."""

    stored_bytes: int
    progress_percent: int
    error_code: str
    detail: str
    stages: tuple[Stage, ...]


class TemplateRecords:
    """Of all templates; the inventory holds the newest version of each."""

    def __init__(self, ledger: Ledger, inventory: Inventory, now: Callable[[], datetime]) -> None:
        self.now = now
        self._ledger = ledger
        self._inventory = inventory

    def all(self) -> tuple[Template, ...]:
        """Those that the inventory shows."""
        return self._inventory.snapshot().templates

    def shown(self, template_id: UUID) -> Template | None:
        """As the inventory shows it; None also if it was deleted long ago."""
        return self._inventory.template(template_id)

    async def find(self, template_id: UUID) -> Template | None:
        """As it was last recorded; None: it is unknown here."""
        return self.shown(template_id) or await self._ledger.find_template(template_id)

    async def write(self, template: Template) -> Template:
        """Records it durably. Raises: AgentError DISK_FULL: it is as it was."""
        try:
            return await self._ledger.write_template(template, durable=True)
        except LedgerError as error:
            message = "The host cannot write its ledger: its disk is probably full."
            raise AgentError(Code.DISK_FULL, message, detail=str(error)) from error

    async def progress(self, template_id: UUID, percent: int) -> None:
        """Notes how far it is built; nothing depends on it."""
        template = self.shown(template_id)
        if template is None or template.state is not TemplateState.BUILDING:
            return
        try:
            await self._ledger.write_template(replace(template, progress_percent=percent), durable=False)
        except LedgerError as error:
            _log.warning("progress not written", template_id=str(template_id), error=str(error))

    async def conclude(
        self,
        template_id: UUID,
        state: TemplateState,
        sources: Collection[TemplateState],
        before: Callable[[], None] = lambda: None,
        **outcome: Unpack[Outcome],
    ) -> Template:
        """Records what has happened, unless it is in none of the `sources` any more: until the ledger takes it, since
        it cannot be made undone. `before` is called before each attempt, and may fail as the ledger may."""
        while True:
            known = await self.find(template_id)
            if known is None:
                raise AgentError(Code.INTERNAL, "The ledger has lost a template.")
            if known.state not in sources:
                return known
            try:
                before()
                return await self.write(replace(known, state=state, changed_at=self.now(), **outcome))
            except (AgentError, OSError) as error:
                _log.error("the ledger cannot be written", template_id=str(template_id), error=repr(error))
                await asyncio.sleep(RECORD_RETRY_SECONDS)
            except asyncio.CancelledError:
                if is_cancelled():
                    raise
                # something below was cancelled, nobody cancelled this
