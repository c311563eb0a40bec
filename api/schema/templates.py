"""Templates: what sandboxes start from."""

from datetime import datetime
from enum import Enum
from typing import Annotated

import strawberry

from api.domain import template as domain
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
    )


@strawberry.input(description="Which templates; all conditions must hold.")
class TemplateFilter:
    type: TemplateType | None = strawberry.field(default=None, description="Of this type.")
    name: str | None = strawberry.field(default=None, description="Of exactly this name.")


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

    @resolved("How many templates the filter matches, on all pages. Counted only when asked for.")
    async def total_count(self, info: OperationInfo) -> int:
        return await info.context.services.templates.count(info.context.principal, self.criteria)


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
        criteria: Annotated[
            TemplateFilter | None, strawberry.argument(name="filter", description="Which templates.")
        ] = None,
    ) -> TemplateConnection:
        page = requested_page(first, after, last, before)
        chosen = _template_filter(criteria)
        found = await info.context.services.templates.list(info.context.principal, chosen, page)
        nodes = [template(record) for record in found.items]
        ids = [record.id for record in found.items]
        return TemplateConnection(
            edges=[
                TemplateEdge(node=node, cursor=encode_cursor(row_id)) for node, row_id in zip(nodes, ids, strict=True)
            ],
            nodes=nodes,
            page_info=page_info(found, ids),
            criteria=chosen,
        )


def _template_filter(given: TemplateFilter | None) -> domain.TemplateFilter:
    if given is None:
        return domain.TemplateFilter()
    return domain.TemplateFilter(
        type=None if given.type is None else domain.TemplateType[given.type.name],
        name=None if given.name is None else _name(given.name, "filter", "name"),
    )


def _name(text: str, *path: str) -> str:
    return check_text(text, "The name of a template", max_bytes=TEMPLATE_NAME_BYTES_MAX, path=path)
