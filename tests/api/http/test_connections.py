"""Connections before and between requests, by hand: heads in pieces or without an end, clients that say nothing.

What is endless is sent by `tests/bad_input/`.
"""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from api.http import connections
from tests.api.client import Client
from tests.api.conftest import Platform
from tests.bad_input.senders import Answer, read_answer

HEALTH = b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n"
Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]


@asynccontextmanager
async def _dialled(platform: Platform) -> AsyncIterator[Streams]:
    async with asyncio.timeout(20):
        reader, writer = await asyncio.open_connection("127.0.0.1", platform.port)
        try:
            yield reader, writer
        finally:
            writer.transport.abort()


async def _answer(reader: asyncio.StreamReader) -> Answer:
    return (await read_answer(reader))[0]


def _posted(client: Client, body: bytes, *lines: str) -> bytes:
    known = ("Host: x", f"Authorization: Bearer {client.key}", "Content-Type: application/json")
    head = "\r\n".join(["POST /graphql HTTP/1.1", *known, *lines, f"Content-Length: {len(body)}", "", ""])
    return head.encode() + body


async def test_a_head_that_does_not_end_is_given_up(platform: Platform, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connections, "HEAD_SECONDS_MAX", 0.1)
    async with _dialled(platform) as (reader, writer):
        writer.write(HEALTH[:-2])
        assert (await _answer(reader)).outcome == "408 HEAD_TOO_SLOW"
        assert await reader.read() == b""


async def test_bytes_do_not_put_off_the_deadline(platform: Platform, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connections, "HEAD_SECONDS_MAX", 0.2)
    async with _dialled(platform) as (reader, writer), asyncio.TaskGroup() as group:

        async def drip() -> None:
            writer.write(HEALTH[:-2])
            while True:
                writer.write(b"a: b\r\n")
                await asyncio.sleep(0.02)  # not a wait: it is how slowly this client sends

        dripping = group.create_task(drip())
        assert (await _answer(reader)).outcome == "408 HEAD_TOO_SLOW"
        dripping.cancel()


async def test_who_says_nothing_is_closed(platform: Platform, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connections, "HEAD_SECONDS_MAX", 0.1)
    async with _dialled(platform) as (reader, _):
        assert await reader.read() == b""


async def test_an_empty_line_after_an_answer_holds_nothing(platform: Platform, monkeypatch: pytest.MonkeyPatch) -> None:
    """It stops the clock of the server underneath, which counts from one answer to the first byte after it."""
    monkeypatch.setattr(connections, "HEAD_SECONDS_MAX", 0.1)
    async with _dialled(platform) as (reader, writer):
        writer.write(HEALTH)
        assert (await _answer(reader)).outcome == "200 OK"
        writer.write(b"\r\n")
        assert (await _answer(reader)).outcome == "408 HEAD_TOO_SLOW"


async def test_a_head_in_pieces_is_a_head(client: Client, platform: Platform) -> None:
    request = _posted(client, json.dumps({"query": "{ viewer { keyName } }"}).encode())
    async with _dialled(platform) as (reader, writer):
        for _ in range(2):
            for start in range(len(request)):
                writer.write(request[start : start + 1])
                await writer.drain()
            assert (await _answer(reader)).outcome == "200 OK"


async def test_requests_that_are_sent_ahead_are_answered_one_after_the_other(
    client: Client, platform: Platform
) -> None:
    async with _dialled(platform) as (reader, writer):
        writer.write(_posted(client, b"{}") + HEALTH + _posted(client, b"[]"))
        answers = [(await _answer(reader)).outcome for _ in range(3)]
    assert answers == ["400 BAD_REQUEST", "200 OK", "400 BATCHING_NOT_SUPPORTED"]


async def test_half_a_head_does_not_end_the_answer_before_it(
    client: Client, platform: Platform, monkeypatch: pytest.MonkeyPatch
) -> None:
    sandbox = await client.create()
    monkeypatch.setattr(connections, "HEAD_SECONDS_MAX", 0.1)
    document = "mutation ($input: ExecInput!) { exec(input: $input) { userErrors { code } } }"
    given = {"input": {"sandboxId": sandbox["id"], "argv": ["sleep", "0.5"]}}
    async with _dialled(platform) as (reader, writer):
        writer.write(_posted(client, json.dumps({"query": document, "variables": given}).encode()) + HEALTH[:10])
        assert (await _answer(reader)).outcome == "200 OK"
        assert (await _answer(reader)).outcome == "408 HEAD_TOO_SLOW"


async def test_heads_of_a_common_size_are_taken(client: Client, platform: Platform) -> None:
    lines = [f"X-{number}: y" for number in range(connections.HEADERS_MAX - 4)]
    async with _dialled(platform) as (reader, writer):
        writer.write(_posted(client, b"{}", *lines))
        assert (await _answer(reader)).outcome == "400 BAD_REQUEST"
        writer.write(_posted(client, b"{}", *lines, "One: more"))
        assert (await _answer(reader)).outcome == "431 HEAD_TOO_LARGE"
    padding = "x" * (connections.HEAD_BYTES_MAX - 1_000)
    for size, outcome in ((1_000, "400 BAD_REQUEST"), (0, "431 HEAD_TOO_LARGE")):
        async with _dialled(platform) as (reader, writer):
            writer.write(_posted(client, b"{}", f"X: {padding}{'x' * (1_000 - size)}"))
            assert (await _answer(reader)).outcome == outcome


async def test_what_is_no_http_is_refused_in_our_shape(platform: Platform) -> None:
    async with _dialled(platform) as (reader, writer):
        writer.write(b"\x16\x03\x01\x02\x00")
        answer = await _answer(reader)
    assert answer.outcome == "400 BAD_REQUEST"
    assert (
        json.loads(answer.text.partition("\r\n\r\n")[2])["error"]["requestId"] in answer.text.partition("\r\n\r\n")[0]
    )
