"""Plays a script: a forged guest, the link that is used in production, and another link beside it."""

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine
from typing import Any

from agent.drivers.driver import Command, ExecEvent, Exited, FileReader, Started
from agent.errors import AgentError
from agent.link.channel import Channel
from agent.link.link import GuestLink, Identity
from agent.link.process import GuestProcess
from tests.fuzz import script
from tests.fuzz.clock import Hang, Loop, passed, rule_the_clock
from tests.fuzz.guest import ForgedGuest, Neighbour
from tests.fuzz.limits import FRAMES_MAX, check_channel, check_error, check_event, check_file, check_stream
from tests.fuzz.script import Act

OPEN_SECONDS = 20.0
SILENCE_SECONDS = 1_000.0
"""After it nobody may wait any more who has a deadline: the longest has four of a minute, and one of 61 s beside it."""
LARGE_ARGUMENTS = ("x" * 120_000,) * 16  # about as much as Linux takes
TIMEOUT_MS = 1_000
LIMIT_BYTES = 10
MANY_MAX = 300  # above STREAMS_MAX
LISTENS, HAS_LIMIT, IS_LARGE = 1, 2, 4  # bits of an operand

Newest = GuestProcess | FileReader
Task = asyncio.Task[AgentError | None]


class Finding(Exception):
    """Something came of the guest's bytes that must not."""


def play(data: bytes) -> None:
    """Plays the script that `data` means. Raises: Finding, Hang, AssertionError, or what the link raised."""
    loop = Loop()
    undo = rule_the_clock(loop)
    try:
        loop.run_until_complete(_play(data))
    except Exception as error:
        if loop.uncaught:
            raise Finding(loop.uncaught[0]) from error
        raise
    finally:
        undo()
        loop.wind_up()
    if loop.uncaught:
        raise Finding(loop.uncaught[0])


async def _play(data: bytes) -> None:
    neighbour, scene = Neighbour(), Scene()
    try:
        await neighbour.ask()
        await scene.guest.pause()
        for step in script.read(data):
            await scene.step(step)
            scene.check()
        await scene.end()
        await neighbour.answer()
    finally:
        scene.guest.hang_up()
        neighbour.hang_up()


class Scene:
    """One guest, and those who want something of it."""

    def __init__(self) -> None:
        self.guest = ForgedGuest()
        self._link: GuestLink | None = None
        self._channel: Channel | None = None
        self._newest: list[Newest] = []
        self._tasks: list[Task] = []
        self._patient: set[Task] = set()
        """These have no deadline: they wait as long as the guest is there."""
        self._cancelled: set[Task] = set()
        self._asked_many = False
        self._identified = 0
        self._do(self._open())
        self._hosts: dict[Act, Callable[[GuestLink, int], None]] = {
            Act.EXEC: self._exec,
            Act.READ: lambda link, operand: self._do(self._read(link, operand)),
            Act.WRITE: lambda link, operand: self._do(_written(link, operand * 8)),
            Act.PING: lambda link, _: self._do(link.ping()),
            Act.IDENTIFY: lambda link, _: self._do(link.identify(self._identity())),
            Act.RESIZE: lambda link, operand: self._do(link.resize(operand, 60)),
            Act.INPUT: lambda _, operand: self._input(operand),
            Act.END_INPUT: lambda _link, _operand: self._input(None),
            Act.NEXT: lambda _link, _operand: self._next(),
            Act.CLOSE: lambda _link, _operand: self._close(),
            Act.DROP: lambda _link, _operand: self._drop(),
            Act.CANCEL: lambda _link, _operand: self._cancel(),
            Act.QUIESCE: lambda link, _: self._do(link.quiesce()),
            Act.RELEASE: lambda link, _: link.release(),
            Act.MANY: self._many,
            Act.LET_GO: lambda link, _: self._do(link.close()),
        }

    async def step(self, step: script.Step) -> None:
        """One step, and everything that comes of it at once."""
        if host := self._hosts.get(step.act):
            if self._link is not None:
                host(self._link, step.operand)
            return await self.guest.pause()
        match step.act:
            case Act.HELLO:
                await self.guest.hello()
            case Act.SAY:
                await self.guest.say(step.data)
            case Act.FILL:
                await self.guest.say(bytes(step.operand))
            case Act.REPEAT:
                await self.guest.repeat(step.operand)
            case Act.DEAF:
                self.guest.deaf = bool(step.operand & 1)
            case Act.HANG_UP:
                self.guest.hang_up()
            case Act.WAIT:
                await passed(script.WAITS_SECONDS[step.operand % len(script.WAITS_SECONDS)])
        return await self.guest.pause()

    def check(self) -> None:
        """Nothing has more than it may have."""
        if self._channel is None:
            self._channel = _channel_of(self.guest.host_end.fileno())
        if self._channel is not None:
            check_channel(self._channel)
        for what in self._newest:
            check_stream(what._stream if isinstance(what, GuestProcess) else _stream_of(what))

    async def end(self) -> None:
        """The guest falls silent, and then is gone: everybody who waits is told, in time."""
        await passed(SILENCE_SECONDS)
        self.check()
        self._check_silence()
        waiting = [task for task in self._tasks if not task.done()]
        self.guest.hang_up()
        for what in self._newest:
            self._do(_emptied(what))
        await asyncio.wait(self._tasks, timeout=SILENCE_SECONDS)
        for task in self._tasks:
            if not task.done():
                raise Hang(f"the guest is gone, and this still waits: {task}")
        for what in self._newest:
            await _closed(what)
        await self._check_outcomes(waiting)
        self.check()

    def _check_silence(self) -> None:
        """Nobody waits who has a deadline, and what nobody waits for is closed. A held link has no deadlines."""
        waiting = [task for task in self._tasks if not task.done()]
        if self._channel is None or not self._channel._released.is_set():
            return
        for task in waiting:
            if task not in self._patient:
                raise Hang(f"the guest is silent, and this still waits: {task}")
        streams = [stream for stream in self._channel.streams.values() if not vars(stream)["_closing"]]
        # Nobody waits for the step of a clock.
        assert len(streams) <= len(waiting) + len(self._newest) + self._identified, "a stream that nobody has is open"

    async def _check_outcomes(self, waiting: list[Task]) -> None:
        """Who still waited in the end was told why the link is over."""
        for task in self._tasks:
            if task.cancelled():
                assert task in self._cancelled, f"cancelled by nobody: {task}"
            elif error := task.exception():
                raise error
        if self._link is not None:
            lost = await self._link.lost()
            check_error(lost)
            assert self._link.is_lost
            assert {task.result() for task in waiting} <= {None, lost}, "another reason than the link's"

    # what is under way

    def _do(self, request: Coroutine[Any, Any, object], *, patient: bool = False) -> None:
        task = asyncio.ensure_future(self._typed(request))
        self._tasks.append(task)
        if patient:
            self._patient.add(task)

    async def _typed(self, request: Coroutine[Any, Any, object]) -> AgentError | None:
        """Only the errors of the agent may come of a request, and these are fit for everybody."""
        try:
            await request
        except AgentError as error:
            check_error(error)
            return error
        return None

    async def _open(self) -> None:
        self._link = await GuestLink.open(self.guest.host_end, deadline_seconds=OPEN_SECONDS)

    def _identity(self) -> Identity:
        self._identified += 1
        loop = asyncio.get_running_loop()
        assert isinstance(loop, Loop)
        return Identity("sb-1", "box", "0" * 32, {"NAME": "value"}, bytes(64), loop.unix_ns())

    def _exec(self, link: GuestLink, operand: int) -> None:
        arguments = ("true", *(LARGE_ARGUMENTS if operand & IS_LARGE else ()))
        command = Command(arguments, timeout_ms=TIMEOUT_MS if operand & HAS_LIMIT else 0)
        self._do(self._run(link, command, listens=bool(operand & LISTENS)), patient=not operand & HAS_LIMIT)

    async def _run(self, link: GuestLink, command: Command, *, listens: bool) -> None:
        process = await link.exec(command)
        if not listens:
            self._newest.append(process)
            return
        try:
            await _listen(process)
        finally:
            await process.close()

    async def _read(self, link: GuestLink, operand: int) -> None:
        limit_bytes = LIMIT_BYTES if operand & HAS_LIMIT else 0
        reader = await link.read_file("/file", limit_bytes=limit_bytes)
        check_file(reader.info)
        if not operand & LISTENS:
            self._newest.append(reader)
            return
        pieces = [len(piece) async for piece in reader.content]
        assert not limit_bytes or sum(pieces) <= limit_bytes

    def _input(self, size: int | None) -> None:
        processes = [what for what in self._newest if isinstance(what, GuestProcess)]
        if processes:
            process = processes[-1]
            self._do(process.close_stdin() if size is None else process.write(bytes(size)), patient=True)

    def _next(self) -> None:
        if self._newest:
            self._do(_taken(self._newest[-1]), patient=True)

    def _close(self) -> None:
        if self._newest:
            what = self._newest.pop()
            self._do(_closed(what))

    def _drop(self) -> None:
        if self._newest and isinstance(self._newest[-1], FileReader):
            self._newest.pop()

    def _cancel(self) -> None:
        waiting = [task for task in self._tasks[1:] if not task.done()]  # not the opening
        if waiting:
            waiting[-1].cancel()
            self._cancelled.add(waiting[-1])

    def _many(self, link: GuestLink, operand: int) -> None:
        if not self._asked_many:
            self._asked_many = True
            for _ in range(operand % MANY_MAX):
                self._do(link.ping())


async def _listen(process: GuestProcess) -> None:
    """It starts once, it ends once, and what it prints comes between."""
    event: ExecEvent | None = None
    async for following in process:
        check_event(following)
        assert isinstance(following, Started) == (event is None), f"{following} after {event}"
        assert not isinstance(event, Exited)
        event = following
    assert isinstance(event, Exited)


async def _written(link: GuestLink, size: int) -> None:
    async def content() -> AsyncIterator[bytes]:
        yield bytes(size // 2)
        yield bytes(size - size // 2)

    assert await link.write_file("/file", 0, content()) == size


async def _taken(what: Newest) -> None:
    try:
        if isinstance(what, GuestProcess):
            check_event(await anext(what))
        else:
            assert await anext(what.content)
    except StopAsyncIteration:
        pass


async def _emptied(what: Newest) -> None:
    """Takes what is left of it, which is no more than its window."""
    for _ in range(FRAMES_MAX + 1):
        try:
            await (anext(what) if isinstance(what, GuestProcess) else anext(what.content))
        except StopAsyncIteration:
            return
    raise Finding("there is no end of what the guest said")


async def _closed(what: Newest) -> None:
    await (what.close() if isinstance(what, GuestProcess) else _content(what).aclose())


def _channel_of(descriptor: int) -> Channel | None:
    """What listens to a socket of this loop. A link shows its channel only once it is open."""
    transports: Any = vars(asyncio.get_running_loop())["_transports"]
    transport = transports.get(descriptor)
    return transport.get_protocol() if transport else None


def _content(reader: FileReader) -> Any:
    """The driver's interface says less than what there is."""
    return reader.content


def _stream_of(reader: FileReader) -> Any:
    return _content(reader)._stream
