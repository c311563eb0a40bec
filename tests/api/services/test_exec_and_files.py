"""What goes straight to the host: commands and files."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from api.domain.command import OUTPUT_BYTES_MAX, ExecCommand
from api.errors import Conflict, Invalid, NestboxError, NotFound, Unavailable
from api.ids import new_id
from tests.agent.serving import Served
from tests.api.running import Running, other_team, principal_of
from tests.waiting import eventually


async def chunks(*parts: bytes) -> AsyncIterator[bytes]:
    for part in parts:
        yield part


async def test_a_command_answers_with_its_output(running: Running) -> None:
    sandbox = await running.created()
    result = await running.services.exec.run(running.principal, sandbox.id, ExecCommand(argv=("echo", "hello")))
    assert (result.exit_code, result.signal, result.stdout, result.stderr) == (0, None, b"hello\n", b"")
    assert not result.timed_out
    assert not result.stdout_truncated
    result = await running.services.exec.run(
        running.principal, sandbox.id, ExecCommand(argv=("cat",), stdin=b"x" * 70_000)
    )
    assert result.stdout == b"x" * 70_000


async def test_too_much_output_is_cut_and_flagged(running: Running) -> None:
    sandbox = await running.created()
    size = OUTPUT_BYTES_MAX
    await running.services.files.write(running.principal, sandbox.id, "/root/big", chunks(b"y" * (size + 1)))
    result = await running.services.exec.run(running.principal, sandbox.id, ExecCommand(argv=("cat", "/root/big")))
    assert (len(result.stdout), result.stdout_truncated, result.exit_code) == (size, True, 0)


async def test_a_missing_program_is_the_callers_mistake(running: Running) -> None:
    sandbox = await running.created()
    with pytest.raises(Invalid) as refused:
        await running.services.exec.run(running.principal, sandbox.id, ExecCommand(argv=("no-such-program",)))
    assert refused.value.code == "COMMAND_NOT_FOUND"


async def test_a_file_is_written_and_read(running: Running) -> None:
    sandbox = await running.created()
    files = running.services.files
    content = bytes(range(256)) * 1000
    assert (
        await files.write(running.principal, sandbox.id, "/root/a/b", chunks(content[:100], b"", content[100:]))
        == 256_000
    )
    download = await files.open(running.principal, sandbox.id, "/root/a/b")
    assert (download.info.size_bytes, download.info.mode) == (256_000, 0o644)
    assert b"".join([chunk async for chunk in download.content]) == content
    part = await files.open(running.principal, sandbox.id, "/root/a/b", limit_bytes=10)
    assert b"".join([chunk async for chunk in part.content]) == content[:10]


async def test_an_upload_that_breaks_off_leaves_nothing(running: Running) -> None:
    sandbox = await running.created()

    async def breaking() -> AsyncIterator[bytes]:
        yield b"x" * 100_000
        raise ConnectionResetError("the client went away")

    with pytest.raises(ConnectionResetError):
        await running.services.files.write(running.principal, sandbox.id, "/root/half", breaking())
    with pytest.raises(NotFound) as missing:
        await running.services.files.open(running.principal, sandbox.id, "/root/half")
    assert missing.value.code == "NO_SUCH_FILE"


async def test_folders_and_bad_paths_are_refused(running: Running) -> None:
    sandbox = await running.created()
    for path, code in (("/root", "NOT_A_FILE"), ("relative", "INVALID"), ("/a\0b", "INVALID")):
        with pytest.raises(NestboxError) as refused:
            await running.services.files.open(running.principal, sandbox.id, path)
        assert refused.value.code == code


async def test_nothing_runs_in_a_paused_sandbox_or_another_teams(running: Running) -> None:
    sandbox = await running.created()
    stranger = await principal_of(running.services, await other_team(running.database))
    command = ExecCommand(argv=("true",))
    answers = set()
    for sandbox_id in (sandbox.id, new_id()):
        with pytest.raises(NotFound) as foreign:
            await running.services.exec.run(stranger, sandbox_id, command)
        answers.add((foreign.value.code, foreign.value.message))
    assert len(answers) == 1
    await running.services.sandboxes.pause(running.principal, sandbox.id)
    with pytest.raises(Conflict) as refused:
        await running.services.exec.run(running.principal, sandbox.id, command)
    assert (refused.value.code, refused.value.message) == ("WRONG_STATE", "The sandbox is paused. Resume it first.")
    with pytest.raises(Conflict):
        await running.services.files.write(running.principal, sandbox.id, "/root/x", chunks(b"x"))


async def test_a_command_ends_when_its_machine_does(running: Running, served: Served) -> None:
    sandbox = await running.created()

    async def run() -> NestboxError | None:
        try:
            await running.services.exec.run(running.principal, sandbox.id, ExecCommand(argv=("sleep", "60")))
        except NestboxError as error:
            return error
        return None

    task = asyncio.ensure_future(run())
    await eventually(lambda: any(keeper.lifecycle.timer.users for keeper in served.host._keepers.values()))
    served.driver.crash(sandbox.id)
    error = await task
    assert isinstance(error, (Conflict, Unavailable))
