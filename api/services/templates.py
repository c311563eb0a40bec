"""Templates: looking at them."""

from uuid import UUID

from api.domain.page import Page, PageRequest
from api.domain.principal import Principal
from api.domain.template import Template, TemplateFilter


class Templates:
    """Templates of the principal's team and of the platform."""

    async def get(self, principal: Principal, template_id: UUID) -> Template | None:
        """One template."""
        raise NotImplementedError

    async def get_by_name(self, principal: Principal, name: str) -> Template | None:
        """The team's template of this name, else the platform's."""
        raise NotImplementedError

    async def list(self, principal: Principal, criteria: TemplateFilter, page: PageRequest) -> Page[Template]:
        """A page of the list, oldest first."""
        raise NotImplementedError

    async def count(self, principal: Principal, criteria: TemplateFilter) -> int:
        """How many templates the criteria match."""
        raise NotImplementedError
