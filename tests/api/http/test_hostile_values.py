"""Every argument and input field of every query and mutation, found in the schema, given values that nobody means."""

import json
import time
from collections.abc import Iterator
from typing import Any

import pytest
from graphql import (
    GraphQLEnumType,
    GraphQLField,
    GraphQLInputObjectType,
    GraphQLInputType,
    GraphQLList,
    GraphQLNonNull,
    build_schema,
    get_named_type,
    is_leaf_type,
)

from api.schema import schema as ours
from tests.api.client import Client

SECONDS_MAX = 1.0
SCHEMA = build_schema(ours.print_sdl(ours.build_schema()))
ROOTS = {"query": SCHEMA.query_type, "mutation": SCHEMA.mutation_type}
FIELDS = [(kind, name) for kind, type_ in ROOTS.items() if type_ for name, field in type_.fields.items() if field.args]
IN_NO_JSON = {"\ud800", "a\udfffb"}
"""They are no Unicode, and so no JSON: whatever they are given for, the whole body is refused."""
TEXTS: tuple[Any, ...] = (
    *sorted(IN_NO_JSON),
    "\0",
    "a\0b",
    "",
    " ",
    "x" * 200_000,
    "\N{GRINNING FACE}" * 1_000,
    "\N{RIGHT-TO-LEFT OVERRIDE}\x1b[2J\r\n",
    "' OR 1=1; --",
    "../../etc/passwd",
    "sb-",
    "%s%n{0}",
    1,
    1.5,
    True,
    {},
    [[]],
)
NUMBERS: tuple[Any, ...] = (
    0, -1, 10**9, 2**31 - 1, -(2**31), 2**31, 2**63, -(2**63) - 1, 2**64, 10**400, 1.5, 1e308, -0.0,
    float("nan"), float("inf"), "1", "\0", True, {},
)  # fmt: skip
TIMES: tuple[Any, ...] = (
    "0000-01-01T00:00:00Z", "0001-01-01T00:00:00+23:59", "9999-12-31T23:59:59.999999-23:59", "99999-01-01T00:00:00Z",
    "2026-02-30T00:00:00Z", "2026-01-01", "now", "\0", "\ud800", 0, 2**63,
)  # fmt: skip


def _hostile(type_: GraphQLInputType) -> tuple[Any, ...]:
    named = get_named_type(type_)
    if isinstance(named, GraphQLEnumType):
        return ("NONE_OF_THEM", "\0", 0, "__proto__")
    return {"Int": NUMBERS, "Float": NUMBERS, "DateTime": TIMES, "Boolean": ("true", 2)}.get(named.name, TEXTS)


def _usual(name: str, type_: GraphQLInputType, sandbox_id: str) -> Any:
    """The least that is accepted."""
    if isinstance(type_, GraphQLNonNull):
        return _usual(name, type_.of_type, sandbox_id)
    if isinstance(type_, GraphQLList):
        return [_usual(name, type_.of_type, sandbox_id)]
    if isinstance(type_, GraphQLInputObjectType):
        given: dict[str, Any] = {
            key: _usual(key, field.type, sandbox_id)
            for key, field in type_.fields.items()
            if isinstance(field.type, GraphQLNonNull)
        }
        more: dict[str, dict[str, Any]] = {"ExecInput": {"argv": ["true"]}, "WriteFileInput": {"text": "x"}}
        return given | more.get(type_.name, {})
    return {"id": sandbox_id, "sandboxId": sandbox_id, "ids": sandbox_id, "path": "/root/file"}.get(name, "x")


def _given(name: str, type_: GraphQLInputType, sandbox_id: str) -> Iterator[Any]:
    """Values of this type, each with one thing in it that is hostile."""
    if isinstance(type_, GraphQLNonNull):
        yield from _given(name, type_.of_type, sandbox_id)
    elif isinstance(type_, GraphQLList):
        yield from ([value] for value in _given(name, type_.of_type, sandbox_id))
        yield [_usual(name, type_.of_type, sandbox_id)] * 10_000
    elif isinstance(type_, GraphQLInputObjectType):
        usual = _usual(name, type_, sandbox_id)
        for key, field in type_.fields.items():
            yield from (usual | {key: value} for value in _given(key, field.type, sandbox_id))
    else:
        yield from _hostile(type_)


def _document(kind: str, name: str, field: GraphQLField) -> str:
    declared = ", ".join(f"${argument}: {found.type}" for argument, found in field.args.items())
    passed = ", ".join(f"{argument}: ${argument}" for argument in field.args)
    errors = "{ userErrors { code message path } }" if kind == "mutation" else "{ __typename }"
    selected = "" if is_leaf_type(get_named_type(field.type)) else errors
    return f"{kind} ({declared}) {{ {name}({passed}) {selected} }}"


@pytest.mark.parametrize(("kind", "name"), FIELDS)
async def test_whatever_is_given_the_answer_is_typed_and_soon(client: Client, kind: str, name: str) -> None:
    root = ROOTS[kind]
    assert root is not None
    field = root.fields[name]
    document = _document(kind, name, field)
    sandbox_id = (await client.create())["id"]
    usual = {
        argument: _usual(argument, found.type, sandbox_id)
        for argument, found in field.args.items()
        if isinstance(found.type, GraphQLNonNull)
    }
    for argument, found in field.args.items():
        for value in _given(argument, found.type, sandbox_id):
            body = json.dumps({"query": document, "variables": usual | {argument: value}})
            await _is_typed_and_soon(client, body, name)


async def _is_typed_and_soon(client: Client, body: str, name: str) -> None:
    started = time.perf_counter()
    response = await client.http.post("/graphql", content=body, headers={"content-type": "application/json"})
    seconds = time.perf_counter() - started
    shown = body[:400]
    assert response.status_code in {200, 400, 413}, (response.status_code, shown)
    answer = response.json()
    codes = [error["extensions"]["code"] for error in answer.get("errors", ())]
    found = (answer.get("data") or {}).get(name)
    if isinstance(found, dict):
        codes += [error["code"] for error in found.get("userErrors", ())]
        assert all(error["message"] for error in found.get("userErrors", ()))
    assert "INTERNAL" not in codes, (codes, shown)
    assert "Traceback" not in response.text
    assert seconds < SECONDS_MAX, (seconds, shown)


@pytest.mark.parametrize(
    "literal",
    [
        r'templates(filter: {name: "\ud800"}) { totalCount }',
        r'templates(filter: {name: "\u{110000}"}) { totalCount }',
        r'templates(filter: {name: "\u0000"}) { totalCount }',
        "sandboxes(first: 9223372036854775808) { totalCount }",
        "sandboxes(first: 1e400) { totalCount }",
        "sandboxes(first: NaN) { totalCount }",
        "sandboxes(first: -0) { totalCount }",
        r'sandbox(id: "\ud83d\ude00") { id }',
        "sandbox(id: 99999999999999999999999999) { id }",
    ],
)
async def test_the_same_holds_for_what_is_written_into_the_document(client: Client, literal: str) -> None:
    await _is_typed_and_soon(client, json.dumps({"query": f"{{ {literal} }}"}), "")
    answer = await client.post(f"{{ {literal} }}")
    assert answer["errors"], answer
