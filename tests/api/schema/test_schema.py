"""The schema as a whole: committed, described, and true to the domain."""

import re
from enum import Enum, StrEnum
from pathlib import Path

import pytest
from graphql import GraphQLEnumType, GraphQLInputObjectType, GraphQLInterfaceType, GraphQLObjectType, build_schema

from api.db.commands import SUPERSEDED
from api.domain import feed, host, operation, sandbox, template
from api.domain.sandbox import UNREACHABLE
from api.errors import NestboxError
from api.hosts.errors import BY_CODE
from api.schema import errors, hosts, operations, sandboxes, subscriptions, templates
from api.schema import schema as ours
from api.schema.sandbox_commands import CreateSandboxInput

ROOT = Path(__file__).parents[3]
SDL = ours.print_sdl(ours.build_schema())


def test_schema_graphql_is_what_the_code_says() -> None:
    assert (ROOT / "schema.graphql").read_text() == SDL, (
        "run `make gen`, or python -m api export-schema > schema.graphql"
    )


def test_everything_that_a_client_sees_is_described() -> None:
    missing = []
    for type_ in build_schema(SDL).type_map.values():
        if type_.name.startswith("__") or type_.name in {"Boolean", "Float", "ID", "Int", "String"}:
            continue
        described = {type_.name: type_.description}
        if isinstance(type_, GraphQLEnumType):
            described |= {f"{type_.name}.{name}": value.description for name, value in type_.values.items()}
        if isinstance(type_, GraphQLInputObjectType):
            described |= {f"{type_.name}.{name}": field.description for name, field in type_.fields.items()}
        if isinstance(type_, GraphQLObjectType | GraphQLInterfaceType):
            for name, field in type_.fields.items():
                described[f"{type_.name}.{name}"] = field.description
                described |= {f"{type_.name}.{name}({arg})": found.description for arg, found in field.args.items()}
        missing += [where for where, text in described.items() if not text]

    assert missing == []


def test_every_code_that_can_reach_a_user_is_in_the_schema() -> None:
    """Hosts' codes, those of classes of errors, and every one that is written out in the code of the API."""
    written = set(BY_CODE) | {error.default_code for error in NestboxError.__subclasses__()} | {SUPERSEDED}
    for file in (*(ROOT / "api/domain").rglob("*.py"), *(ROOT / "api").glob("[dhs]*/*.py"), ROOT / "api/ids.py"):
        if file.parent.name != "http":
            text = file.read_text()
            written |= set(re.findall(r'code="([A-Z_]+)"', text))
            if file.parent.name == "db":
                written |= set(re.findall(r"'([A-Z]+_[A-Z_]+)'", text))

    assert {"MALFORMED_ID", "PAUSE_FAILED", "IDEMPOTENCY_CONFLICT"} <= written
    top_level = {"UNAUTHENTICATED", "BAD_REQUEST", "WRONG_CREDENTIALS", "RATE_LIMITED"}
    assert written - top_level - {code.value for code in errors.ErrorCode} == set()


def test_creating_a_sandbox_says_that_it_has_no_network() -> None:
    mutation = build_schema(SDL).mutation_type

    assert mutation is not None
    assert "no network" in (mutation.fields["createSandbox"].description or "")


@pytest.mark.parametrize(
    ("shown", "known", "more"),
    [
        (sandboxes.SandboxState, sandbox.State, {"UNREACHABLE": UNREACHABLE}),
        (sandboxes.SandboxGoal, sandbox.Goal, {}),
        (sandboxes.SandboxCause, sandbox.Cause, {}),
        (sandboxes.SandboxAction, sandbox.Action, {}),
        (operations.OperationKind, operation.OperationKind, {}),
        (operations.OperationState, operation.OperationState, {}),
        (templates.TemplateType, template.TemplateType, {}),
        (templates.TemplateAction, template.TemplateAction, {}),
        (hosts.Isolation, host.Isolation, {}),
        (subscriptions.RemovedReason, feed.RemovedReason, {}),
    ],
)
def test_enums_are_those_of_the_domain(shown: type[Enum], known: type[StrEnum], more: dict[str, str]) -> None:
    assert {entry.name: entry.value for entry in shown} == {entry.name: entry.value for entry in known} | more


def test_every_code_that_is_raised_is_in_the_enum() -> None:
    """Codes of top-level errors only are listed here."""
    top_level = {"UNAUTHENTICATED", "WRONG_CREDENTIALS", "RATE_LIMITED"}
    raised = set()
    for folder in ("domain", "services", "hosts", "db", "schema"):
        for file in (ROOT / "api" / folder).rglob("*.py"):
            raised |= set(re.findall(r"""\bcode=["']([A-Z_]+)["']""", file.read_text()))
    raised |= set(re.findall(r'= "([A-Z_]+)"', (ROOT / "agent/errors.py").read_text()))
    raised -= {"NO_SUCH_MACHINE", "CUT_OFF"}  # never told to a user

    assert raised - {code.value for code in errors.ErrorCode} - top_level == set()


def test_defaults_are_those_of_the_domain() -> None:
    given, wanted = CreateSandboxInput(), sandbox.CreateSandbox()

    assert (given.vcpus, given.memory_mb, given.disk_size_mb, given.timeout_sec, given.wait_seconds) == (
        wanted.vcpus,
        wanted.memory_mb,
        wanted.disk_size_mb,
        wanted.timeout_sec,
        wanted.wait_seconds,
    )
