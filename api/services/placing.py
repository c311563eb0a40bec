"""What keeps a sandbox from being made: said after a refusal, and before anybody tries."""

from dataclasses import dataclass

from api.db import hosts, templates
from api.db.hosts import Candidate
from api.domain.host import Isolation
from api.domain.principal import Principal, Scope, require
from api.domain.quota import taken_by_sandboxes
from api.domain.sandbox import CreateSandbox, Creation, Shape, check_creation, check_shape, shape_of
from api.domain.template import Template, TemplateType
from api.errors import Invalid, NestboxError, NoCapacity, NotFound, Unavailable
from api.services.resources import Resources


@dataclass(frozen=True, slots=True)
class Explanation:
    """Whether a sandbox could be made now: it could if nothing blocks it. `template` and `shape` are what it would
    get, None as far as a blocker leaves that open."""

    template: Template | None
    shape: Shape | None
    blockers: tuple[NestboxError, ...]


class Placing:
    """Looks at everything that a create needs, and changes nothing."""

    def __init__(self, resources: Resources) -> None:
        self._resources = resources
        self._database = resources.database

    async def explain(self, principal: Principal, command: CreateSandbox) -> Explanation:
        """Everything that would keep this command from being accepted. What it says can be over when the command comes,
        and a host that is full refuses what was accepted.

        Raises:
            MissingScope: the caller may make no sandboxes. Unavailable: the database does not answer.
        """
        require(principal, Scope.WRITE)
        try:
            creation = check_creation(command)
        except Invalid as error:
            return Explanation(None, None, (error,))
        template = await self._template(principal, creation)
        if template is None:
            return Explanation(None, None, (_no_such_template(creation),))
        try:
            check_shape(creation, template)
        except Invalid as error:
            return Explanation(template, None, (error,))
        shape = shape_of(creation, template)
        found = (
            await self._resources.quotas.refusal(principal.team_id, taken_by_sandboxes(shape)),
            await self._hosts(principal, template, shape),
        )
        return Explanation(template, shape, tuple(error for error in found if error is not None))

    async def why_not(self, principal: Principal, creation: Creation, refused: NoCapacity | None) -> NestboxError:
        """Why a create that was just tried was not accepted; `refused` if its team has too much, which matters only if
        the template is there and allows the shape."""
        template = await self._template(principal, creation)
        if template is None:
            return _no_such_template(creation)
        try:
            check_shape(creation, template)
        except Invalid as error:
            return error
        shape = shape_of(creation, template)
        if refused is not None:
            return await self._resources.quotas.restated(refused, principal.team_id, taken_by_sandboxes(shape))
        refusal = await self._hosts(principal, template, shape)
        if refusal is not None:
            return refusal
        return Unavailable("The hosts were changing just now; try again.", code="HOST_UNREACHABLE")

    async def _template(self, principal: Principal, creation: Creation) -> Template | None:
        if creation.template_id is not None:
            return await templates.get(self._database, principal.team_id, creation.template_id)
        return await templates.get_by_name(self._database, principal.team_id, creation.template_name or "")

    async def _hosts(self, principal: Principal, template: Template, shape: Shape) -> NestboxError | None:
        known = self._resources.hosts.host_ids
        answering = await hosts.candidates(self._database, principal.team_id, template.id, known)
        if not answering:
            return Unavailable("No host answers at the moment; try again.", code="HOST_UNREACHABLE")
        holders = [host for host in answering if template.type is TemplateType.BASE or host.has_template]
        if not holders:
            return Unavailable("The host that holds this template does not answer now.", code="HOST_UNREACHABLE")
        allowed = [host for host in holders if self._resources.shares_emulated or not _is_anothers(host)]
        if not allowed:
            return NoCapacity(
                "Every host that could take it emulates its machines and serves another team, from which this platform "
                "keeps yours apart.",
                code="ISOLATION_REQUIRED",
            )
        if not any(_is_large_enough(host, shape) for host in allowed):
            return NoCapacity(f"No host has {shape.memory_mb:,} MiB of memory.")
        return None


def _is_anothers(host: Candidate) -> bool:
    return host.isolation is Isolation.EMULATED and host.serves_others


def _is_large_enough(host: Candidate, shape: Shape) -> bool:
    # what is free of it is other teams' business, and their host's to decide; machines that are simulated use none
    return host.isolation is Isolation.NONE or host.memory_total_mb >= shape.memory_mb


def _no_such_template(creation: Creation) -> NotFound:
    field = "templateName" if creation.template_id is None else "templateId"
    return NotFound("There is no such template.", path=(field,))
