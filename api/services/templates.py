"""Templates: looking at them."""

from uuid import UUID

from api.db import templates
from api.db.database import Database
from api.domain.page import Page, PageRequest
from api.domain.principal import Principal, Scope, require
from api.domain.template import Template, TemplateFilter


class Templates:
    """Templates of the principal's team and of the platform."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def get(self, principal: Principal, template_id: UUID) -> Template | None:
        """One template."""
        require(principal, Scope.READ)
        return await templates.get(self._database, principal.team_id, template_id)

    async def get_by_name(self, principal: Principal, name: str) -> Template | None:
        """The team's template of this name, else the platform's."""
        require(principal, Scope.READ)
        return await templates.get_by_name(self._database, principal.team_id, name)

    async def list(self, principal: Principal, criteria: TemplateFilter, page: PageRequest) -> Page[Template]:
        """A page of the list, oldest first."""
        require(principal, Scope.READ)
        return await templates.page(self._database, principal.team_id, criteria, page)

    async def count(self, principal: Principal, criteria: TemplateFilter) -> int:
        """How many templates the criteria match."""
        require(principal, Scope.READ)
        return await templates.count(self._database, principal.team_id, criteria)
