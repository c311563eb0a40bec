"""Commands and files over gRPC, on the simulated driver."""

import asyncio
import gc
from collections.abc import AsyncIterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import grpc.aio
import pytest
import pytest_asyncio

from agent.checks import CHUNK_BYTES_MAX, COMMAND_BYTES_MAX
from agent.errors import Code
from agent.machine import Cause
from agent.server import MESSAGE_BYTES_MAX
from proto.host.v1 import host_pb2 as pb
from tests.agent.serving import Served, connected, iter_of, new_sandbox, refused, serving, uuid_of
from tests.waiting import eventually


@pytest_asyncio.fixture
async def agent(tmp_path: Path) -> AsyncIterator[Served]:
    async with serving(tmp_path) as served:
        yield served


@pytest_asyncio.fixture
async def sandbox(agent: Served) -> str:
    sandbox_id = new_sandbox()
    await agent.create(sandbox_id, environment={"FROM": "sandbox", "BOTH": "sandbox"})
    return sandbox_id


async def test_a_command_and_what_it_says(agent: Served, sandbox: str) -> None:
    ran = await agent.run(sandbox, "sh", "-c", "echo out; echo err >&2; exit 3")
    assert (ran.stdout, ran.stderr, ran.exited.exit_code, ran.exited.timed_out) == (b"out\n", b"err\n", 3, False)
    assert ran.pid > 0


async def test_a_command_reads_its_input(agent: Served, sandbox: str) -> None:
    data = bytes(range(256)) * 1000
    assert (await agent.run(sandbox, "cat", stdin=data)).stdout == data


async def test_a_command_has_the_environment_of_both(agent: Served, sandbox: str) -> None:
    ran = await agent.run(sandbox, "env", environment={"BOTH": "command"})
    assert {b"FROM=sandbox", b"BOTH=command"} <= set(ran.stdout.splitlines())


async def test_a_command_is_ended_after_its_timeout(agent: Served, sandbox: str) -> None:
    ran = await agent.run(sandbox, "sleep", "30", timeout_ms=50)
    assert (ran.exited.exit_code, ran.exited.signal, ran.exited.timed_out) == (137, 9, True)


async def test_commands_that_cannot_start(agent: Served, sandbox: str) -> None:
    await agent.write(sandbox, "/root/script", b"no program")
    with refused(Code.COMMAND_NOT_FOUND):
        await agent.run(sandbox, "no-such-program")
    with refused(Code.COMMAND_NOT_EXECUTABLE):
        await agent.run(sandbox, "/root/script")
    with refused(Code.NO_SUCH_DIRECTORY):
        await agent.run(sandbox, "true", cwd="/nowhere")


async def test_nothing_runs_in_a_sandbox_that_does_not_run(agent: Served, sandbox: str) -> None:
    await agent.pause(sandbox, 2)
    with refused(Code.WRONG_STATE):
        await agent.run(sandbox, "true")
    with refused(Code.WRONG_STATE):
        await agent.write(sandbox, "/file", b"")
    with refused(Code.WRONG_STATE):
        await agent.read(sandbox, "/file")
    await agent.destroy(sandbox, 3)
    with refused(Code.NO_SUCH_MACHINE):
        await agent.run(sandbox, "true")
    with refused(Code.NO_SUCH_MACHINE):
        await agent.run(new_sandbox(), "true")


@pytest.mark.parametrize("event", ["pause", "crash", "delete"])
async def test_a_command_ends_with_a_reason_when_its_machine_does(agent: Served, sandbox: str, event: str) -> None:
    call = agent.stub.Exec(iter_of([_start(sandbox, "sleep", "60")]), metadata=agent.metadata)
    started = await call.read()
    assert isinstance(started, pb.ExecResponse)
    assert started.WhichOneof("response") == "started"
    match event:
        case "pause":
            await agent.pause(sandbox, 2)
        case "crash":
            agent.driver.crash(uuid_of(sandbox), Cause.CRASHED)
        case "delete":
            await agent.destroy(sandbox, 2)
    with refused(Code.MACHINE_GONE):
        await call.read()


async def test_a_caller_that_goes_away_ends_its_command(agent: Served, sandbox: str) -> None:
    keeper = agent.host._keepers[uuid_of(sandbox)]
    call = agent.stub.Exec(iter_of([_start(sandbox, "sleep", "60")]), metadata=agent.metadata)
    await call.read()
    assert keeper.lifecycle.timer.users == 1
    call.cancel()
    await eventually(lambda: keeper.lifecycle.timer.users == 0)


async def test_a_thousand_commands_at_once(agent: Served, sandbox: str) -> None:
    runs = await asyncio.gather(*(agent.run(sandbox, "echo", str(number)) for number in range(1000)))
    assert [ran.stdout for ran in runs] == [f"{number}\n".encode() for number in range(1000)]


@pytest.mark.parametrize(
    ("start", "sentence"),
    [
        ({"argv": []}, "argv is empty"),
        ({"argv": ["echo", "a\0b"]}, "NUL"),
        ({"argv": ["echo", "a" * 200_000]}, "longer"),
        ({"argv": ["echo", *["a" * 100_000] * 20]}, f"{COMMAND_BYTES_MAX} bytes together"),
        ({"argv": ["echo"] * 5000}, "arguments"),
        ({"argv": ["true"], "cwd": "relative"}, "slash"),
        ({"argv": ["true"], "cwd": "/a\0b"}, "NUL"),
        ({"argv": ["true"], "environment": {"A=B": "c"}}, "Names"),
        ({"argv": ["true"], "environment": {"A": "b\0"}}, "NUL"),
        ({"argv": ["true"], "environment": {"A": "b" * 100_000}}, "larger"),
    ],
)
async def test_commands_that_are_no_commands(agent: Served, sandbox: str, start: dict[str, Any], sentence: str) -> None:
    request = pb.ExecRequest(start=pb.ExecStart(sandbox_id=sandbox, **start))
    with refused(Code.INVALID, sentence):
        _ = [response async for response in agent.stub.Exec(iter_of([request]), metadata=agent.metadata)]


async def test_a_message_that_is_too_large_is_refused_and_the_connection_lives(agent: Served, sandbox: str) -> None:
    with pytest.raises(grpc.aio.AioRpcError) as refusal:
        await agent.create(new_sandbox(), environment={"LARGE": "a" * MESSAGE_BYTES_MAX})
    assert refusal.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
    assert (await agent.run(sandbox, "true")).exited.exit_code == 0


async def test_nothing_that_was_sent_outlives_a_refusal(agent: Served, sandbox: str) -> None:
    """Not even until Python looks for cycles, which it seldom does where few objects are made, however large."""
    gc.collect()
    gc.disable()
    try:
        for _ in range(10):
            # not `refused`: what it catches is part of a cycle as well
            with suppress(grpc.aio.AioRpcError):
                await agent.run(sandbox, "echo", *["a" * 100_000] * 20)
            with suppress(grpc.aio.AioRpcError):
                await agent.write(sandbox, "/root/file", bytes(CHUNK_BYTES_MAX + 1))
            with suppress(grpc.aio.AioRpcError):
                await agent.create(new_sandbox(), environment={"LARGE": "a" * 2_000_000})
        sent = (pb.ExecRequest, pb.WriteFileRequest, pb.CreateMachineRequest)
        await eventually(lambda: not [found for found in gc.get_objects() if isinstance(found, sent)])
    finally:
        gc.enable()


async def test_calls_that_do_not_begin_with_their_start(agent: Served, sandbox: str) -> None:
    for requests in ([], [pb.ExecRequest(stdin=b"early")], [pb.ExecRequest()]):
        with refused(Code.INVALID):
            await agent.stub.Exec(iter_of(requests), metadata=agent.metadata).read()
    for writes in ([], [pb.WriteFileRequest(content=b"early")]):
        with refused(Code.INVALID):
            await agent.stub.WriteFile(iter_of(writes), metadata=agent.metadata)
    with refused(Code.INVALID):
        call = agent.stub.Exec(iter_of([_start(sandbox, "cat")] * 2), metadata=agent.metadata)
        _ = [response async for response in call]


async def test_a_file_comes_back_as_it_was_written(agent: Served, sandbox: str) -> None:
    chunks = [bytes([number]) * 50_000 for number in range(20)]
    assert await agent.write(sandbox, "/new/folders/file.bin", *chunks, mode=0o755) == 1_000_000
    assert await agent.read(sandbox, "/new/folders/file.bin") == b"".join(chunks)
    assert await agent.read(sandbox, "/new/folders/file.bin", 999_990, 5) == b"".join(chunks)[999_990:999_995]
    assert await agent.write(sandbox, "/new/folders/file.bin") == 0
    assert await agent.read(sandbox, "/new/folders/file.bin") == b""


async def test_files_that_are_none(agent: Served, sandbox: str) -> None:
    await agent.write(sandbox, "/root/file", b"x")
    with refused(Code.NO_SUCH_FILE):
        await agent.read(sandbox, "/root/other")
    with refused(Code.NOT_A_FILE):
        await agent.read(sandbox, "/root")
    with refused(Code.NOT_A_FILE):
        await agent.write(sandbox, "/root", b"x")
    with refused(Code.NOT_A_FILE):
        await agent.write(sandbox, "/root/file/below", b"x")


@pytest.mark.parametrize("path", ["", "relative", "/a\0b", "/" + "a" * 256, "/a" * 2500])
async def test_paths_that_are_none(agent: Served, sandbox: str, path: str) -> None:
    with refused(Code.INVALID):
        await agent.read(sandbox, path)
    with refused(Code.INVALID):
        await agent.write(sandbox, path, b"x")


async def test_a_piece_of_a_file_that_is_too_large(agent: Served, sandbox: str) -> None:
    with refused(Code.INVALID):
        await agent.write(sandbox, "/root/file", bytes(CHUNK_BYTES_MAX + 1))
    with refused(Code.NO_SUCH_FILE):
        await agent.read(sandbox, "/root/file")


async def test_an_upload_that_does_not_say_that_it_is_complete_is_not_written(agent: Served, sandbox: str) -> None:
    start, half = _write_start(sandbox, "/root/file"), pb.WriteFileRequest(content=b"half of it")
    for requests in ([start], [start, half]):
        with refused(Code.CUT_OFF):
            await agent.stub.WriteFile(iter_of(requests), metadata=agent.metadata)
    for wrong in (start, pb.WriteFileRequest(), pb.WriteFileRequest(complete=False)):
        with refused(Code.INVALID):
            await agent.stub.WriteFile(iter_of([start, half, wrong]), metadata=agent.metadata)
    with refused(Code.NO_SUCH_FILE):
        await agent.read(sandbox, "/root/file")


async def test_an_upload_that_is_cut_off_leaves_what_was_there(agent: Served, sandbox: str) -> None:
    await agent.write(sandbox, "/root/file", b"before")
    keeper = agent.host._keepers[uuid_of(sandbox)]
    for cut_off in ("cancel", "close"):
        for _ in range(25):
            async with connected(agent.port) as client:
                call = client.stub.WriteFile(metadata=client.metadata)
                await call.write(_write_start(sandbox, "/root/file"))
                await call.write(pb.WriteFileRequest(content=b"half of it"))
                await eventually(lambda: keeper.lifecycle.timer.users == 1)
                if cut_off == "cancel":
                    call.cancel()
                    await eventually(lambda: keeper.lifecycle.timer.users == 0)
            await eventually(lambda: keeper.lifecycle.timer.users == 0)
            assert await agent.read(sandbox, "/root/file") == b"before"


def _start(sandbox_id: str, *argv: str) -> pb.ExecRequest:
    return pb.ExecRequest(start=pb.ExecStart(sandbox_id=sandbox_id, argv=argv))


def _write_start(sandbox_id: str, path: str) -> pb.WriteFileRequest:
    return pb.WriteFileRequest(start=pb.WriteFileStart(sandbox_id=sandbox_id, path=path))
