"""QMP, QEMU's control protocol, with what this driver needs of it."""

import asyncio
import contextlib
import logging
import socket
from collections.abc import Callable, Mapping
from typing import Any

from qemu.qmp import EventListener, Message, QMPClient, QMPError

logging.getLogger("qemu.qmp").setLevel(logging.CRITICAL)  # it logs what it raises

REPLY_BYTES_MAX = 1 << 20  # the longest reply asked for is a console of 64 KiB; a hostile QEMU may send more
COMMAND_TIMEOUT_SECONDS = 20.0
CONSOLE_BYTES = 65536


class MonitorError(Exception):
    """QEMU refused a command, did not answer in time, or is gone."""


class _Client(QMPClient):
    # What a hostile QEMU can make the agent hold.
    _limit = readbuflen = REPLY_BYTES_MAX


class Monitor:
    """A connection to one QEMU. Remembers why the guest ended, and hands out events to those who wait for them."""

    def __init__(self, name: str) -> None:
        self._client = _Client(name)
        self._socket: socket.socket | None = None
        self._waiting: dict[str, asyncio.Future[None]] = {}
        self._lost = False
        self._closing = asyncio.Lock()
        self.shutdown_reason = ""  # of the event SHUTDOWN: guest-reset, guest-shutdown, host-qmp-quit, …
        self.panicked = False
        self.at_shutdown: Callable[[], None] = lambda: None  # called when the guest has stopped
        self.at_no_room: Callable[[], None] = lambda: None  # called when QEMU stops it because the disk is full
        # Nothing is queued: the filter looks at each event and lets none pass.
        self._client.register_listener(EventListener(event_filter=self._look))

    def _look(self, event: Message) -> bool:
        name = str(event.get("event"))
        data = event.get("data")
        if name == "SHUTDOWN" and isinstance(data, Mapping):
            self.shutdown_reason = str(data.get("reason", ""))[:64]
            if data.get("guest") is True:
                self.at_shutdown()
        elif name == "GUEST_PANICKED":
            self.panicked = True
        elif name == "BLOCK_IO_ERROR" and isinstance(data, Mapping) and data.get("action") == "stop":
            self.at_no_room()
        waiting = self._waiting.pop(name, None)
        if waiting is not None and not waiting.done():
            waiting.set_result(None)
        return False

    async def connect(self, connection: socket.socket, timeout_seconds: float = COMMAND_TIMEOUT_SECONDS) -> None:
        """Greets QEMU; waits for it to come up. Takes the socket over. Raises: MonitorError."""
        # The library's transport owns the one, and descriptors are sent over the other.
        self._socket = connection.dup()
        try:
            async with asyncio.timeout(timeout_seconds):
                await self._client.connect(connection)
        except (QMPError, OSError, TimeoutError) as error:
            connection.close()
            raise MonitorError(f"no greeting: {error!r}") from error

    async def run(self, command: str, /, **arguments: Any) -> Any:
        """One command; underscores in argument names stand for hyphens. Returns its reply. Raises: MonitorError."""
        return await self.run_with(command, {name.replace("_", "-"): value for name, value in arguments.items()})

    async def run_with(self, command: str, arguments: Mapping[str, Any]) -> Any:
        """The same for one of the old commands, whose arguments are named with underscores."""
        try:
            async with asyncio.timeout(COMMAND_TIMEOUT_SECONDS):
                return await self._client.execute(command, dict(arguments))
        except (QMPError, OSError, TimeoutError) as error:
            raise MonitorError(f"{command}: {error!r}") from error

    async def status(self) -> str:
        """Of the guest, as QEMU calls it: `running`, `paused`, `io-error`, … Raises: MonitorError."""
        reply = await self.run("query-status")
        status = reply.get("status") if isinstance(reply, Mapping) else None
        if not isinstance(status, str):
            raise MonitorError("query-status: not an answer to it")
        return status

    @property
    def is_lost(self) -> bool:
        """Whether QEMU has ended, or was let go of."""
        return self._lost

    @property
    def qemu_version(self) -> str:
        """Of the program at the other end, such as `7.2.22`: an adopted machine may run an older one than this host
        has. Empty if it did not say."""
        greeting = self._client.greeting
        try:
            numbers: Any = {} if greeting is None else greeting.QMP.version["qemu"]
            return ".".join(str(int(numbers[part])) for part in ("major", "minor", "micro"))
        except (KeyError, TypeError, ValueError):
            return ""

    def event(self, name: str) -> "asyncio.Future[None]":
        """The next event of that name, from now on; fails with MonitorError if QEMU ends first."""
        future = asyncio.get_running_loop().create_future()
        if self._lost:
            future.set_exception(MonitorError(f"QEMU ended before {name}"))
        else:
            self._waiting[name] = future
        return future

    def lost(self) -> None:
        """To be called when QEMU has ended: nobody waits any longer."""
        self._lost = True
        for name, future in self._waiting.items():
            if not future.done():
                future.set_exception(MonitorError(f"QEMU ended before {name}"))
        self._waiting.clear()

    async def send_descriptor(self, fd: int, number: int | None = None) -> int:
        """Gives QEMU an open file; returns the number of the set by which it can name it (`/dev/fdset/N`). With
        `number` it is added to that set: QEMU takes from a set what fits the mode that it wants to open in.

        Raises: MonitorError.
        """
        if self._socket is None:
            raise MonitorError("not connected")
        try:
            # A blank is no part of any message; the descriptor waits in QEMU for the command that asks for it.
            socket.send_fds(self._socket, [b" "], [fd])
        except OSError as error:
            raise MonitorError(f"add-fd: {error!r}") from error
        reply = await self.run("add-fd", **({} if number is None else {"fdset_id": number}))
        number = reply.get("fdset-id") if isinstance(reply, Mapping) else None
        if not isinstance(number, int):
            raise MonitorError("add-fd: not an answer to it")
        return number

    async def forget_descriptor(self, number: int) -> None:
        """Has QEMU close its copy, if it still answers."""
        with contextlib.suppress(MonitorError):
            await self.run("remove-fd", fdset_id=number)

    async def console(self) -> str:
        """The last of what the guest's kernel said, 4,096 characters at most; empty if QEMU does not answer. It is read
        only once."""
        with contextlib.suppress(MonitorError):
            return str(await self.run("ringbuf-read", device="console", size=CONSOLE_BYTES))[-4096:]
        return ""

    async def close(self) -> None:
        """Ends the connection; QEMU runs on. May be repeated."""
        self.lost()
        if self._socket is not None:
            self._socket.close()
            self._socket = None
        async with self._closing:  # the library cannot be asked twice at once
            with contextlib.suppress(QMPError, OSError, EOFError):
                await self._client.disconnect()
