"""What nested fields ask for, put together: however many objects that stand beside each other ask for the same kind of
thing, it is one query.

Nothing is kept for later: what a subscription asks again is looked up again.
"""

from collections.abc import Awaitable, Callable, Sequence
from typing import TypeVar
from uuid import UUID

from strawberry.dataloader import DataLoader

from api.domain.principal import Principal
from api.domain.sandbox import Sandbox
from api.domain.template import Template, TemplateAllowed, TemplateHost
from api.services.services import Services

KeyT = TypeVar("KeyT")
FoundT = TypeVar("FoundT")


class Loaders:
    """Those of one operation. Each raises what the service that it asks raises."""

    def __init__(self, services: Services, principal: Principal) -> None:
        self._services = services
        self._principal = principal
        self.parents: DataLoader[UUID, Sandbox | None] = _loader(self._parents)
        self.made_templates: DataLoader[UUID, Template | None] = _loader(self._made_templates)
        self.template_hosts: DataLoader[UUID, tuple[TemplateHost, ...]] = _loader(self._template_hosts)
        self.template_actions: DataLoader[Template, tuple[TemplateAllowed, ...]] = _loader(self._template_actions)

    async def _parents(self, ids: list[UUID]) -> list[Sandbox | None]:
        found = await self._services.sandboxes.parents(self._principal, set(ids))
        return [found.get(id_) for id_ in ids]

    async def _made_templates(self, ids: list[UUID]) -> list[Template | None]:
        found = await self._services.templates.made(self._principal, set(ids))
        return [found.get(id_) for id_ in ids]

    async def _template_hosts(self, ids: list[UUID]) -> list[tuple[TemplateHost, ...]]:
        found = await self._services.templates.hosts(self._principal, set(ids))
        return [found.get(id_, ()) for id_ in ids]

    async def _template_actions(self, chosen: list[Template]) -> list[tuple[TemplateAllowed, ...]]:
        found = await self._services.templates.allowed_actions(self._principal, chosen)
        return [found[template.id] for template in chosen]


def _loader(load: Callable[[list[KeyT]], Awaitable[Sequence[FoundT]]]) -> DataLoader[KeyT, FoundT]:
    return DataLoader(load_fn=load, cache=False)
