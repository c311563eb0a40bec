"""The platform's base templates, for whoever runs the hosts: a row says that there is one, the hosts have its disk."""

from api.clock import Clock
from api.db import base_templates
from api.db.database import Database
from api.domain.sandbox.creation import TEMPLATE_NAME_BYTES_MAX
from api.domain.template import DEFAULT_TEMPLATE, Template
from api.domain.text import check_text
from api.errors import Conflict, Invalid, NotFound
from api.ids import new_id

DESCRIPTION_BYTES_MAX = 1_000  # a few lines in a list


class BaseTemplates:
    """Who may call this has the database's password."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock

    async def list(self) -> list[tuple[Template, int]]:
        """Each with the number of sandboxes that stand on it, the built-in one first. Raises: Unavailable."""
        return await base_templates.list_all(self._database)

    async def add(self, name: str, description: str, disk_size_mb: int) -> bool:
        """Every team may use it from now on. False if there is one of that name already: nothing was changed.

        Raises: Invalid. Conflict for the built-in one. Unavailable.
        """
        check_text(name, "The name", max_bytes=TEMPLATE_NAME_BYTES_MAX, min_bytes=1, one_line=True, path=("name",))
        check_text(description, "The description", max_bytes=DESCRIPTION_BYTES_MAX, path=("description",))
        if disk_size_mb <= 0:
            raise Invalid("A disk has at least 1 MiB.", path=("diskSizeMb",))
        _refuse_built_in(name)
        return await base_templates.insert(self._database, new_id(), name, description, disk_size_mb, self._clock.now())

    async def remove(self, name: str) -> None:
        """No new sandbox can be made of it from now on.

        Raises: NotFound. Conflict: `TEMPLATE_IN_USE` while sandboxes stand on it, and for the built-in one.
            Unavailable.
        """
        _refuse_built_in(name)
        removal = await base_templates.remove(self._database, name, self._clock.now())
        if not removal.was_found:
            raise NotFound(f"There is no base template {name!r}.")
        if not removal.is_removed:
            count = f"{removal.sandboxes} sandbox{'es' if removal.sandboxes != 1 else ''}"
            raise Conflict(
                f"The template {name} is in use by {count}, paused and stopped ones too: delete them first.",
                code="TEMPLATE_IN_USE",
            )


def _refuse_built_in(name: str) -> None:
    if name == DEFAULT_TEMPLATE:
        raise Conflict(f"The template {name} is built in and cannot be replaced or removed.")
