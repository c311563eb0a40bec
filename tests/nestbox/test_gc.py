"""`nestbox gc`, against an agent that only knows this one call."""

import asyncio
import json
import os
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import grpc.aio

from nestbox.agent_calls import Garbage
from nestbox.commands.gc import table
from nestbox.postgres.server import free_port
from proto.host.v1 import host_pb2 as pb

ROOT = Path(__file__).parents[2]
FOUND_AT = datetime(2026, 11, 27, 12, 30, tzinfo=UTC)


class Agent:
    """Remembers what it was asked."""

    def __init__(self) -> None:
        self.asked: list[tuple[bool, str]] = []
        self.garbage: list[pb.Garbage] = []

    async def collect(
        self, request: pb.CollectGarbageRequest, context: "grpc.aio.ServicerContext[object, object]"
    ) -> pb.CollectGarbageResponse:
        metadata = {str(name): str(value) for name, value in context.invocation_metadata() or ()}
        self.asked.append((request.dry_run, metadata["authorization"]))
        return pb.CollectGarbageResponse(garbage=self.garbage)


@asynccontextmanager
async def agent_running(folder: Path) -> AsyncIterator[tuple[Agent, dict[str, str]]]:
    """The agent, and the environment of a platform in `folder` that has it."""
    (folder / "agent").mkdir()
    (folder / "agent/token").write_text("secret\n")
    agent, server = Agent(), grpc.aio.server()
    call = grpc.unary_unary_rpc_method_handler(
        agent.collect,
        request_deserializer=pb.CollectGarbageRequest.FromString,
        response_serializer=pb.CollectGarbageResponse.SerializeToString,
    )
    calls = grpc.method_handlers_generic_handler("host.v1.HostAgent", {"CollectGarbage": call})
    server.add_generic_rpc_handlers((calls,))
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    try:
        yield agent, {"NESTBOX_DATA_DIR": str(folder), "NESTBOX_AGENT_ADDRESS": f"127.0.0.1:{port}"}
    finally:
        await server.stop(None)


async def gc(variables: dict[str, str], *words: str) -> tuple[int, str, str]:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "nestbox", "gc", *words),
        cwd=ROOT,
        env={**os.environ, **variables},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    output, complaints = await process.communicate()
    return process.returncode or 0, output.decode(), complaints.decode()


async def test_it_asks_the_agent_and_prints_what_that_found(tmp_path: Path) -> None:
    async with agent_running(tmp_path) as (agent, variables):
        assert await gc(variables) == (0, "There is no garbage on this host.\n", "")
        aside = pb.Garbage(path="quarantine/1", stored_bytes=4096, reason="An image that nobody needs.")
        aside.quarantined_at.FromDatetime(FOUND_AT)
        aside.removed_after.FromDatetime(FOUND_AT + timedelta(days=1))
        agent.garbage = [pb.Garbage(path="machines/x", stored_bytes=2_000_000, reason="No sandbox has it."), aside]
        status, output, _ = await gc(variables, "--dry-run")
        assert status == 0
        assert [" ".join(line.split()) for line in output.splitlines()[1:]] == [
            "2.0 MB - - machines/x No sandbox has it.",
            "0.0 MB 2026-11-27 12:30 2026-11-28 12:30 quarantine/1 An image that nobody needs.",
            "2.0 MB in all. Times are in UTC.",
        ]
        status, output, _ = await gc(variables, "--dry-run", "--json")
        assert json.loads(output)[1] == {
            "path": "quarantine/1",
            "stored_bytes": 4096,
            "reason": "An image that nobody needs.",
            "quarantined_at": "2026-11-27T12:30:00+00:00",
            "removed_after": "2026-11-28T12:30:00+00:00",
        }
        assert agent.asked == [(False, "Bearer secret"), (True, "Bearer secret"), (True, "Bearer secret")]


async def test_without_an_agent_it_says_what_to_do(tmp_path: Path) -> None:
    status, output, complaints = await gc({"NESTBOX_DATA_DIR": str(tmp_path)})
    assert (status, output) == (1, "")
    assert complaints.startswith(f"There is no platform in {tmp_path}.")
    (tmp_path / "agent").mkdir()
    (tmp_path / "agent/token").write_text("secret\n")
    address = f"127.0.0.1:{free_port()}"
    status, output, complaints = await gc({"NESTBOX_DATA_DIR": str(tmp_path), "NESTBOX_AGENT_ADDRESS": address})
    assert (status, output) == (1, "")
    assert complaints == "The agent does not answer.\n  It has to run: `nestbox up` starts it.\n"


def test_times_of_other_zones_are_shown_in_utc() -> None:
    heading, line, total = table([Garbage("x", 1, "why", FOUND_AT, None)])
    assert heading.split() == ["SIZE", "PUT", "ASIDE", "REMOVED", "AFTER", "PATH", "WHAT", "IT", "IS"]
    assert line.split() == ["0.0", "MB", "2026-11-27", "12:30", "-", "x", "why"]
    assert total.startswith("0.0 MB in all")
