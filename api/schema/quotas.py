"""What teams may have, what they have, and whether a sandbox more would fit."""

from dataclasses import fields
from typing import Annotated

import strawberry
from strawberry import UNSET

from api.domain import quota as domain
from api.domain.quota import Resource
from api.errors import NestboxError
from api.ids import Kind, parse_id
from api.schema.context import OperationInfo
from api.schema.errors import USER_ERRORS, UserError, user_error
from api.schema.fields import command, resolved
from api.schema.sandbox_commands import CreateSandboxInput, creation
from api.schema.templates import Template, template

DEFAULT = "null: again what the platform's settings say."


@strawberry.type(description="One thing that a team has some of.")
class QuotaLine:
    used: float = strawberry.field(description="How much it has: a whole number, summed up when it is asked for.")
    limit: int | None = strawberry.field(description="How much it may have at most; null: as much as there is.")
    left: float | None = strawberry.field(description="How much more it may have; null without a limit.")
    is_default: bool = strawberry.field(
        description="Whether the limit is that of the platform's settings; false when an admin set one for the team."
    )


@strawberry.type(description="What a team may have at once, and has. MB means MiB.")
class Quota:
    sandboxes: QuotaLine = strawberry.field(description="Sandboxes that are neither FAILED nor DELETED.")
    vcpus: QuotaLine = strawberry.field(
        description="Virtual CPUs of sandboxes that run, or are on their way to or from running; those that are "
        "paused, stopped or being deleted use none."
    )
    memory_mb: QuotaLine = strawberry.field(description="Memory of the same sandboxes.")
    disk_mb: QuotaLine = strawberry.field(
        description="Sizes of the disks of sandboxes and templates, and of memory that is saved; `usage` has the "
        "blocks that they take."
    )
    templates: QuotaLine = strawberry.field(description="Templates of the team that are ready or being made.")
    operations: QuotaLine = strawberry.field(
        description="Commands that have not ended, each child of a fork among them. What gives something back (pause, "
        "delete) is never refused."
    )
    requests_per_minute: int | None = strawberry.field(
        description="How many requests the team may send in a minute to one replica of the API; null: any number."
    )


@strawberry.type(description="What a sandbox would get. MB means MiB.")
class Shape:
    vcpus: int = strawberry.field(description="Virtual CPUs.")
    memory_mb: int = strawberry.field(description="Memory in MiB.")
    disk_size_mb: int = strawberry.field(description="The size of its disk in MiB.")


@strawberry.type(description="Whether a sandbox could be created now. It can be otherwise a moment later.")
class CreateExplanation:
    fits: bool = strawberry.field(description="Whether nothing blocks it.")
    blockers: list[UserError] = strawberry.field(
        description="Everything that is known to block it, as `createSandbox` would say it."
    )
    template: Template | None = strawberry.field(description="What it would begin as; null when that is not known.")
    shape: Shape | None = strawberry.field(description="What it would get; null when that is not known.")


@strawberry.input(description="What a team may have from now on; what is left out stays as it was.")
class AdminSetTeamQuotaInput:
    team_id: strawberry.ID = strawberry.field(description="The team: `team-…`.")
    sandboxes: int | None = strawberry.field(default=UNSET, description=f"Sandboxes at most; {DEFAULT}")
    vcpus: int | None = strawberry.field(default=UNSET, description=f"Virtual CPUs at most; {DEFAULT}")
    memory_mb: int | None = strawberry.field(default=UNSET, description=f"MiB of memory at most; {DEFAULT}")
    disk_mb: int | None = strawberry.field(default=UNSET, description=f"MiB of disk at most; {DEFAULT}")
    templates: int | None = strawberry.field(default=UNSET, description=f"Templates at most; {DEFAULT}")
    operations: int | None = strawberry.field(default=UNSET, description=f"Commands at once at most; {DEFAULT}")
    requests_per_minute: int | None = strawberry.field(
        default=UNSET, description=f"Requests a minute at most; {DEFAULT} It holds within ten seconds."
    )


@strawberry.type(description="What became of `adminSetTeamQuota`.")
class AdminSetTeamQuotaPayload:
    quota: Quota | None = strawberry.field(
        default=None, description="What the team may have now, and has; null when it was refused."
    )
    user_errors: list[UserError] = strawberry.field(default_factory=list, description=USER_ERRORS)


@strawberry.type
class QuotaQueries:
    @resolved("What your team may have, and has.")
    async def quota(self, info: OperationInfo) -> Quota:
        return quota(await info.context.services.quotas.own(info.context.principal))

    @resolved(
        "Whether a sandbox could be created now, and everything that blocks it: quota, template, shape, hosts. What a "
        "host has free is seen when it is tried. Creates nothing. Needs the scope WRITE."
    )
    async def explain_create(
        self,
        info: OperationInfo,
        wanted: Annotated[CreateSandboxInput, strawberry.argument(name="input", description="What you would create.")],
    ) -> CreateExplanation:
        context = info.context
        try:
            found = await context.services.placing.explain(context.principal, creation(wanted))
        except NestboxError as error:
            return CreateExplanation(fits=False, blockers=[user_error(error)], template=None, shape=None)
        shape = found.shape
        return CreateExplanation(
            fits=not found.blockers,
            blockers=[user_error(error) for error in found.blockers],
            template=None if found.template is None else template(found.template),
            shape=None
            if shape is None
            else Shape(vcpus=shape.vcpus, memory_mb=shape.memory_mb, disk_size_mb=shape.disk_size_mb),
        )


@strawberry.type
class QuotaCommands:
    @command("Sets what a team may have at most. What it has already stays, even if that is more. For platform admins.")
    async def admin_set_team_quota(
        self,
        info: OperationInfo,
        wanted: Annotated[AdminSetTeamQuotaInput, strawberry.argument(name="input", description="Whose, and what.")],
    ) -> AdminSetTeamQuotaPayload:
        context = info.context
        try:
            given = {field.name: getattr(wanted, field.name) for field in fields(domain.Limits)}
            changes = {name: value for name, value in given.items() if value is not UNSET}
            team_id = parse_id(Kind.TEAM, wanted.team_id, path=("teamId",))
            found = await context.services.quotas.set_limits(context.principal, team_id, changes)
        except NestboxError as error:
            return AdminSetTeamQuotaPayload(user_errors=[user_error(error)])
        return AdminSetTeamQuotaPayload(quota=quota(found))


def quota(record: domain.Quota) -> Quota:
    """A quota as clients see it."""
    return Quota(
        **{resource.value: _line(record, resource) for resource in Resource},
        requests_per_minute=record.limits.requests_per_minute,
    )


def _line(record: domain.Quota, resource: Resource) -> QuotaLine:
    limit, used = record.limits.of(resource), record.used.get(resource, 0)
    return QuotaLine(
        used=float(used),
        limit=limit,
        left=None if limit is None else float(max(limit - used, 0)),
        is_default=record.own.of(resource) is None,
    )
