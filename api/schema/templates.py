"""Templates: what sandboxes start from."""

from datetime import datetime
from enum import Enum
from typing import Annotated

import strawberry

from api.domain import template as domain
from api.domain.page import Page
from api.domain.sandbox.creation import TEMPLATE_NAME_BYTES_MAX
from api.domain.text import check_text
from api.errors import Invalid
from api.ids import PLATFORM_TEAM_ID, Kind, parse_id, wire_id
from api.schema.context import OperationInfo
from api.schema.fields import resolved
from api.schema.node import Node
from api.schema.paging import After, Before, First, Last, PageInfo, encode_cursor, page_info, requested_page


@strawberry.enum(description="How a template can be used.")
class TemplateType(Enum):
    BASE = strawberry.enum_value("base", description="A disk that boots, with any number of vCPUs and any memory.")
    SNAPSHOT = strawberry.enum_value("snapshot", description="A memory image: vCPUs and memory are fixed.")


@strawberry.enum(description="What can be done with a template.")
class TemplateAction(Enum):
    DELETE = strawberry.enum_value("delete", description="Remove it from all hosts, and free its name.")


@strawberry.type(
    description="Whether something can be done with a template now, so that clients need no rules of their own."
)
class TemplateAllowedAction:
    action: TemplateAction = strawberry.field(description="What.")
    allowed: bool = strawberry.field(description="Whether it is accepted now.")
    reason: str | None = strawberry.field(description="Why not, as a sentence; null when it is allowed.")


@strawberry.type(description="A host that holds a template.")
class TemplateHost:
    host_id: strawberry.ID = strawberry.field(description="The host: `host-…`.")
    name: str = strawberry.field(description="The name of the computer.")
    reachable: bool = strawberry.field(description="Whether its agent answers now.")
    is_complete: bool = strawberry.field(description="False while it is being made there.")
    stored_bytes: float = strawberry.field(description="What it takes on its disk, in bytes: blocks, not sizes.")


@strawberry.type(description="What sandboxes start from: a disk and, for known shapes, a memory image.")
class Template(Node):
    name: str = strawberry.field(description="Its name, unique in its team.")
    description: str = strawberry.field(description="What is in it.")
    type: TemplateType = strawberry.field(description="How it can be used.")
    disk_size_mb: int = strawberry.field(description="The size of its disk, in MiB.")
    vcpus: int | None = strawberry.field(description="The number of vCPUs, where it is fixed.")
    memory_mb: int | None = strawberry.field(description="The memory in MiB, where it is fixed.")
    created_at: datetime = strawberry.field(description="When it was made.")
    is_platform: bool = strawberry.field(description="True when it belongs to the platform and everybody may use it.")
    stored_bytes: float | None = strawberry.field(
        description="What it takes on the disks of hosts, in bytes: blocks, not sizes; null where no host says so."
    )
    source_sandbox_id: strawberry.ID | None = strawberry.field(
        description="The sandbox that it was made of, which need not exist any more; null for one of the type BASE."
    )
    created_by: str = strawberry.field(description="Who made it: the id of an API key, or `system`.")
    team_id: strawberry.ID = strawberry.field(description="The team that it belongs to.")
    record: strawberry.Private[domain.Template]

    @resolved("What can be done with it now, and why not.")
    async def allowed_actions(self, info: OperationInfo) -> list[TemplateAllowedAction]:
        return [
            TemplateAllowedAction(action=TemplateAction[entry.action.name], allowed=entry.allowed, reason=entry.reason)
            for entry in await info.context.loaders.template_actions.load(self.record)
        ]

    @resolved("The hosts that hold it, by name; null unless you are a platform admin.")
    async def hosts(self, info: OperationInfo) -> list[TemplateHost] | None:
        if not info.context.principal.is_platform_admin:
            return None
        return [
            TemplateHost(
                host_id=strawberry.ID(wire_id(Kind.HOST, holder.host_id)),
                name=holder.host_name,
                reachable=holder.reachable,
                is_complete=holder.is_complete,
                stored_bytes=float(holder.stored_bytes),
            )
            for holder in await info.context.loaders.template_hosts.load(self.record.id)
        ]


def template(record: domain.Template) -> Template:
    """The template as clients see it."""
    return Template(
        id=strawberry.ID(wire_id(Kind.TEMPLATE, record.id)),
        name=record.name,
        description=record.description,
        type=TemplateType[record.type.name],
        disk_size_mb=record.disk_size_mb,
        vcpus=record.vcpus,
        memory_mb=record.memory_mb,
        created_at=record.created_at,
        is_platform=record.team_id == PLATFORM_TEAM_ID,
        stored_bytes=None if record.stored_bytes is None else float(record.stored_bytes),
        source_sandbox_id=None
        if record.source_sandbox_id is None
        else strawberry.ID(wire_id(Kind.SANDBOX, record.source_sandbox_id)),
        created_by=record.created_by,
        team_id=strawberry.ID(wire_id(Kind.TEAM, record.team_id)),
        record=record,
    )


@strawberry.input(description="Which templates; all conditions must hold.")
class TemplateFilter:
    type: TemplateType | None = strawberry.field(default=None, description="Of this type.")
    name: str | None = strawberry.field(default=None, description="Of exactly this name.")


FilterArgument = Annotated[TemplateFilter | None, strawberry.argument(name="filter", description="Which templates.")]


@strawberry.type(description="A template in a list.")
class TemplateEdge:
    node: Template = strawberry.field(description="The template.")
    cursor: str = strawberry.field(description="Its place in the list, for `after` and `before`.")


@strawberry.type(description="A page of templates.")
class TemplateConnection:
    edges: list[TemplateEdge] = strawberry.field(description="The templates of this page with their cursors.")
    nodes: list[Template] = strawberry.field(description="The templates of this page.")
    page_info: PageInfo = strawberry.field(description="Where this page stands in the list.")
    criteria: strawberry.Private[domain.TemplateFilter]
    of_all_teams: strawberry.Private[bool]

    @resolved("How many templates the filter matches, on all pages. Counted only when asked for.")
    async def total_count(self, info: OperationInfo) -> int:
        templates, principal = info.context.services.templates, info.context.principal
        if self.of_all_teams:
            return await templates.count_of_all_teams(principal, self.criteria)
        return await templates.count(principal, self.criteria)


@strawberry.type
class TemplateQueries:
    @resolved("A template by its id or its name, exactly one of them; null when there is none.")
    async def template(
        self,
        info: OperationInfo,
        template_id: Annotated[
            strawberry.ID | None, strawberry.argument(name="id", description="Its id: `tpl-…`.")
        ] = None,
        name: Annotated[
            str | None, strawberry.argument(description="Its name; your team's goes before the platform's.")
        ] = None,
    ) -> Template | None:
        templates, principal = info.context.services.templates, info.context.principal
        if (template_id is None) == (name is None):
            raise Invalid("Give either `id` or `name`.", path=("id",))
        if template_id is not None:
            record = await templates.get(principal, parse_id(Kind.TEMPLATE, template_id, path=("id",)))
        else:
            record = await templates.get_by_name(principal, _name(name or "", "name"))
        return None if record is None else template(record)

    @resolved("The templates of your team and of the platform, oldest first, a page at a time.")
    async def templates(
        self,
        info: OperationInfo,
        first: First = None,
        after: After = None,
        last: Last = None,
        before: Before = None,
        criteria: FilterArgument = None,
    ) -> TemplateConnection:
        page = requested_page(first, after, last, before)
        chosen = template_filter(criteria)
        found = await info.context.services.templates.list(info.context.principal, chosen, page)
        return template_connection(found, chosen, of_all_teams=False)


def template_connection(
    found: Page[domain.Template], criteria: domain.TemplateFilter, *, of_all_teams: bool
) -> TemplateConnection:
    """A page as clients see it."""
    nodes = [template(record) for record in found.items]
    ids = [record.id for record in found.items]
    return TemplateConnection(
        edges=[TemplateEdge(node=node, cursor=encode_cursor(row_id)) for node, row_id in zip(nodes, ids, strict=True)],
        nodes=nodes,
        page_info=page_info(found, ids),
        criteria=criteria,
        of_all_teams=of_all_teams,
    )


def template_filter(given: TemplateFilter | None) -> domain.TemplateFilter:
    """The filter as services take it. Raises: Invalid."""
    if given is None:
        return domain.TemplateFilter()
    return domain.TemplateFilter(
        type=None if given.type is None else domain.TemplateType[given.type.name],
        name=None if given.name is None else _name(given.name, "filter", "name"),
    )


def _name(text: str, *path: str) -> str:
    return check_text(text, "The name of a template", max_bytes=TEMPLATE_NAME_BYTES_MAX, path=path)
