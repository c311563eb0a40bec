import asyncio
import os
import time
from pathlib import Path

import pytest

from agent.drivers.driver import Command, Exited, Output, Started
from agent.errors import AgentError, Code
from agent.guest import wire
from agent.link.link import GuestLink
from agent.link.process import GuestProcess
from tests.agent.running_guest import RunningGuest, events, exited, gone, output, pass_time
from tests.waiting import eventually


async def test_a_command_starts_prints_and_exits(link: GuestLink) -> None:
    found = await events(link, "sh", "-c", "echo out; echo err >&2; exit 3")
    assert isinstance(found[0], Started)
    assert output(found) == b"out\n"
    assert output(found, 2) == b"err\n"
    assert exited(found).exit_code == 3
    assert exited(found).signal == 0
    assert exited(found).duration_us > 0


async def test_input_and_output_are_bytes(link: GuestLink) -> None:
    data = os.urandom(700_000)
    process = await link.exec(Command(("cat",)))

    async def feed() -> None:
        await process.write(data)
        await process.close_stdin()

    async with asyncio.TaskGroup() as group:
        group.create_task(feed())
        found = [event async for event in process]
    assert output(found) == data
    assert all(len(event.data) <= 32 * 1024 for event in found if isinstance(event, Output))


async def test_characters_that_are_cut_in_two_arrive_as_they_were_cut(link: GuestLink) -> None:
    found = await events(link, "sh", "-c", r"printf '\303'; sleep 0.05; printf '\251'")
    assert output(found) == "é".encode()


async def test_a_signal_is_told(link: GuestLink) -> None:
    found = await events(link, "sh", "-c", "kill -TERM $$")
    assert (exited(found).exit_code, exited(found).signal, exited(found).timed_out) == (143, 15, False)


async def test_a_timeout_kills_the_whole_group(link: GuestLink) -> None:
    found = await events(link, "sh", "-c", "sleep 1000 & echo $!; wait", timeout_ms=300)
    assert exited(found).timed_out
    assert exited(found).signal == 9
    child = int(output(found))
    await eventually(lambda: gone(child))


async def test_closing_kills_the_whole_group(link: GuestLink) -> None:
    process = await link.exec(Command(("sh", "-c", "sleep 1000 & echo $!; wait")))
    assert isinstance(await anext(process), Started)
    first = await anext(process)
    assert isinstance(first, Output)
    await process.close()
    await process.close()
    await eventually(lambda: gone(int(first.data)))
    assert [event async for event in process] == []
    await link.ping()


async def test_what_a_background_child_keeps_open_delays_the_exit_by_the_grace_only(link: GuestLink) -> None:
    began = time.monotonic()
    found = await events(link, "sh", "-c", "(sleep 1000) & echo $!")
    assert time.monotonic() - began < 10
    child = int(output(found))
    assert exited(found).exit_code == 0
    assert not gone(child)
    os.kill(child, 9)


async def test_a_background_child_can_go_on_printing(link: GuestLink, tmp_path: Path) -> None:
    mark = tmp_path / "mark"
    script = f"(sleep 0.3; head -c 300000 /dev/zero; echo done > {mark}) & echo started"
    assert output(await events(link, "sh", "-c", script)) == b"started\n"
    await eventually(mark.exists)


async def test_all_that_a_command_printed_comes_before_its_exit_however_slowly_it_is_read(link: GuestLink) -> None:
    # the pipe is full when it ends, and its child holds it open
    process = await link.exec(Command(("sh", "-c", "sleep 1000 & head -c 400000 /dev/zero; echo $!")))
    size, last = 0, b""
    async for event in process:
        if isinstance(event, Output):
            size, last = size + len(event.data), event.data
            await pass_time(0.02)
    assert size > 400_000
    os.kill(int(last.rsplit(b"\0", 1)[-1]), 9)


async def test_a_slow_reader_stops_only_its_own_stream(link: GuestLink) -> None:
    big = 10_000_000
    slow = await link.exec(Command(("head", "-c", str(big), "/dev/zero")))
    assert isinstance(await anext(slow), Started)
    for number in range(20):  # while the slow one stands still
        assert output(await events(link, "echo", str(number))) == f"{number}\n".encode()
    size = sum([len(event.data) async for event in slow if isinstance(event, Output)])
    assert size == big


async def test_unread_output_is_bounded(link: GuestLink) -> None:
    process = await link.exec(Command(("cat", "/dev/zero")))
    frames = process._stream._frames

    def held() -> int:
        return sum(len(payload) + wire.FRAME_COST for kind, payload in frames if kind == wire.STDOUT)

    await eventually(lambda: held() >= wire.OUTPUT_WINDOW - wire.FRAME_COST)
    await link.ping()
    assert held() <= wire.OUTPUT_WINDOW
    await process.close()
    await link.ping()


async def test_input_waits_for_a_command_that_does_not_read(link: GuestLink) -> None:
    process = await link.exec(Command(("sleep", "1000")))
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.3):
            await process.write(bytes(1_000_000))
    await link.ping()
    await process.close()


async def test_input_to_one_that_ended_is_dropped(link: GuestLink) -> None:
    process = await link.exec(Command(("true",)))
    found = [event async for event in process]
    assert exited(found).exit_code == 0
    await process.write(bytes(1_000_000))
    await process.close_stdin()


async def test_input_to_one_that_closed_it_is_dropped(link: GuestLink) -> None:
    process = await link.exec(Command(("sh", "-c", "exec 0<&-; sleep 0.2; echo over")))
    await process.write(bytes(1_000_000))
    assert output([event async for event in process]) == b"over\n"


async def test_the_environment_has_defaults_the_sandboxs_and_its_own(link: GuestLink, guest: RunningGuest) -> None:
    found = await events(link, "env", environment={"OWN": "a=b\nc", "LANG": "de_DE"})
    lines = output(found)
    assert b"OWN=a=b\nc\n" in lines
    assert b"LANG=de_DE\n" in lines
    assert b"HOME=" + bytes(guest.root) in lines
    assert b"PATH=/usr/local/sbin:" in lines


async def test_the_working_directory_is_home_or_what_was_asked_for(link: GuestLink, guest: RunningGuest) -> None:
    assert output(await events(link, "pwd")) == bytes(guest.root / "root") + b"\n"
    assert output(await events(link, "pwd", cwd="/usr")) == b"/usr\n"


@pytest.mark.parametrize(
    ("command", "code"),
    [
        (Command(("nestbox-has-no-such-command",)), Code.COMMAND_NOT_FOUND),
        (Command(("/no/such/program",)), Code.COMMAND_NOT_FOUND),
        (Command(("",)), Code.COMMAND_NOT_FOUND),
        (Command(("/etc/passwd",)), Code.COMMAND_NOT_EXECUTABLE),
        (Command(("/etc",)), Code.COMMAND_NOT_EXECUTABLE),
        (Command(("true",), cwd="/no/such/folder"), Code.NO_SUCH_DIRECTORY),
        (Command(("true",), cwd="/etc/passwd"), Code.NO_SUCH_DIRECTORY),
        (Command(("true", "x" * 140_000)), Code.INVALID),
        (Command(("true", *["x" * 100_000] * 29)), Code.INVALID),
        (Command(("true", *["x" * 100_000] * 40)), Code.INVALID),
    ],
)
async def test_what_cannot_be_started_says_why(
    link: GuestLink, guest: RunningGuest, command: Command, code: Code
) -> None:
    await link.ping()
    before = guest.open_files()
    with pytest.raises(AgentError) as caught:
        async for _ in await link.exec(command):
            pass
    assert caught.value.code is code
    assert caught.value.message
    await link.ping()
    assert guest.open_files() == before


async def test_a_missing_interpreter_is_named(link: GuestLink, tmp_path: Path) -> None:
    script = tmp_path / "script"
    script.write_text("#!/no/such/interpreter\n")
    script.chmod(0o755)
    with pytest.raises(AgentError, match="interpreter") as caught:
        await events(link, str(script))
    assert caught.value.code is Code.COMMAND_NOT_FOUND


async def test_arguments_longer_than_a_frame_arrive(link: GuestLink) -> None:
    arguments = [chr(ord("a") + number % 26) * 100_000 for number in range(15)]
    found = await events(link, "sh", "-c", 'for x in "$@"; do echo "$x"; done | wc -c', "sh", *arguments)
    assert int(output(found)) == 15 * 100_001


@pytest.mark.parametrize(
    "command",
    [
        Command(()),
        Command(("a\0b",)),
        Command(("a", "\ud800")),
        Command(("a",), cwd="relative"),
        Command(("a",), environment={"": "x"}),
        Command(("a",), environment={"A=B": "x"}),
        Command(("a",), environment={"A": "x\0y"}),
        Command(("a",), timeout_ms=-1),
        Command(("a",), timeout_ms=1 << 40),
    ],
)
async def test_nonsense_is_refused_before_it_is_sent(link: GuestLink, command: Command) -> None:
    with pytest.raises(AgentError) as caught:
        await link.exec(command)
    assert caught.value.code is Code.INVALID


async def test_too_many_at_once_are_refused_and_the_others_go_on(link: GuestLink) -> None:
    processes: list[GuestProcess] = []
    for _ in range(wire.STREAMS_MAX):
        process = await link.exec(Command(("cat",)))
        assert isinstance(await anext(process), Started)
        processes.append(process)
    with pytest.raises(AgentError) as caught:
        await link.exec(Command(("true",)))
    assert caught.value.code is Code.BUSY
    for process in processes:
        await process.close_stdin()
    for process in processes:
        assert [type(event) async for event in process] == [Exited]


async def test_nothing_is_left_open_in_the_guest(link: GuestLink, guest: RunningGuest) -> None:
    await events(link, "true")
    before = guest.open_files()
    for _ in range(50):
        await events(link, "true", stdin=b"x")
    assert guest.open_files() == before
