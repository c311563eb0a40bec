"""The schema, put together from its nouns."""

from datetime import UTC, datetime

import strawberry
from graphql import build_schema as build_sdl
from graphql import lexicographic_sort_schema, print_schema
from strawberry.schema.config import StrawberryConfig

from api.schema.api_keys import ApiKey, ApiKeyCommands
from api.schema.exec import ExecCommands
from api.schema.files import FileCommands
from api.schema.host_tokens import HostTokenCommands
from api.schema.hosts import AdminQueries, Host, HostCommands
from api.schema.members import Member
from api.schema.nodes import NodeQueries
from api.schema.operations import Operation
from api.schema.quotas import QuotaCommands, QuotaQueries
from api.schema.sandbox_commands import SandboxCommands
from api.schema.sandbox_forks import SandboxForkCommands
from api.schema.sandbox_lists import SandboxQueries
from api.schema.sandbox_timeouts import SandboxTimeoutCommands
from api.schema.sandboxes import Sandbox
from api.schema.subscriptions import Subscription
from api.schema.team_commands import MemberCommands, TeamCommands
from api.schema.teams import Team, TeamQueries
from api.schema.template_commands import TemplateCommands
from api.schema.templates import Template, TemplateQueries
from api.schema.users import UserCommands
from api.schema.viewer import ViewerQueries


@strawberry.type(description="Everything that can be asked. Changes nothing.")
class Query(ViewerQueries, TeamQueries, QuotaQueries, NodeQueries, SandboxQueries, TemplateQueries, AdminQueries):
    pass


@strawberry.type(
    description="Everything that can be done. Each takes one input and answers with `userErrors` when it was refused."
)
class Mutation(
    SandboxCommands,
    SandboxForkCommands,
    SandboxTimeoutCommands,
    TemplateCommands,
    ExecCommands,
    FileCommands,
    TeamCommands,
    MemberCommands,
    ApiKeyCommands,
    UserCommands,
    QuotaCommands,
    HostTokenCommands,
    HostCommands,
):
    pass


def _write_time(value: datetime) -> str:
    return value.astimezone(UTC).isoformat().replace("+00:00", "Z")


def _read_time(value: object) -> datetime:
    if not isinstance(value, str):
        raise TypeError("A DateTime is a text such as 2026-01-31T12:00:00Z.")
    try:
        moment = datetime.fromisoformat(value)
        # a time without a zone is taken as UTC: the database needs to know
        return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
    except (ValueError, OverflowError):
        raise ValueError("A DateTime looks like 2026-01-31T12:00:00Z.") from None


DATE_TIME = strawberry.scalar(
    name="DateTime",
    description="A time in ISO 8601, in UTC: 2026-01-31T12:00:00.123456Z.",
    specified_by_url="https://www.rfc-editor.org/rfc/rfc3339",
    serialize=_write_time,
    parse_value=_read_time,
)


def build_schema() -> strawberry.Schema:
    """The schema. Takes some tens of milliseconds: call it once."""
    return strawberry.Schema(
        query=Query,
        mutation=Mutation,
        subscription=Subscription,
        types=[Sandbox, Operation, Template, Host, Team, Member, ApiKey],
        config=StrawberryConfig(scalar_map={datetime: DATE_TIME}),
    )


def print_sdl(schema: strawberry.Schema) -> str:
    """The schema in the schema definition language, sorted, so that two exports differ only where the schema does."""
    return print_schema(lexicographic_sort_schema(build_sdl(schema.as_str()))) + "\n"
