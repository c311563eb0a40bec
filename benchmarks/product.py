"""The same steps through the platform, as a client of its API sees them."""

import asyncio
import os
import select
import signal
import time
from dataclasses import dataclass

from benchmarks.guest_memory import dirty_bytes
from nestbox.demo import documents
from nestbox.demo.client import Client, Json
from nestbox.demo.processes import Usage, machine_processes, qemu_pid, usage
from nestbox.demo.watch import Watch

NOTICE_DEADLINE_SECONDS = 30
SETTLE_SECONDS = 3.0
"""What a guest does after its first command is not idling yet."""


@dataclass(frozen=True, slots=True)
class Timed:
    """How long a command took its caller, and the host's own account of it, step by step."""

    milliseconds: float
    stages: dict[str, float]


@dataclass(frozen=True, slots=True)
class Idle:
    """What a sandbox costs that does nothing."""

    cpu_percent: float
    pss_mebibytes: float


class Product:
    """Sandboxes of one platform on this computer. Remembers those that it made, for `close`."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self._alive: set[str] = set()
        self._memory_bytes: dict[str, int] = {}

    async def create(self, **shape: int) -> tuple[str, Timed]:
        """A new sandbox, RUNNING; `shape` are fields of the input. Raises: RefusedError, RuntimeError."""
        start = time.perf_counter()
        payload = await self._client.mutate(documents.CREATE, name="benchmark", **shape)
        timed = _timed(start, payload)
        self._note(payload["sandbox"])
        _expect_state(payload, "RUNNING")
        return payload["sandbox"]["id"], timed

    async def fork(self, sandbox_id: str, count: int) -> tuple[list[str], Timed]:
        """Children of a sandbox that runs, all RUNNING. Raises: RefusedError, RuntimeError."""
        start = time.perf_counter()
        payload = await self._client.mutate(documents.FORK, id=sandbox_id, count=count)
        timed = _timed(start, payload)
        for child in payload["children"]:
            self._note(child["sandbox"])
            _expect_state(child, "RUNNING")
        return [child["sandbox"]["id"] for child in payload["children"]], timed

    def _note(self, sandbox: Json) -> None:
        self._alive.add(sandbox["id"])
        self._memory_bytes[sandbox["id"]] = sandbox["memoryMb"] << 20

    async def run(self, sandbox_id: str, *argv: str) -> float:
        """Runs a program; how long that took, in milliseconds."""
        start = time.perf_counter()
        await self._client.run(sandbox_id, *argv)
        return (time.perf_counter() - start) * 1000

    async def pause(self, sandbox_id: str) -> Timed:
        """Pauses; returns when the sandbox is PAUSED."""
        start = time.perf_counter()
        payload = await self._client.mutate(documents.PAUSE, id=sandbox_id)
        timed = _timed(start, payload)
        _expect_state(payload, "PAUSED")
        return timed

    async def resume(self, sandbox_id: str) -> Timed:
        """Resumes; returns when the sandbox is RUNNING."""
        start = time.perf_counter()
        payload = await self._client.mutate(documents.RESUME, id=sandbox_id)
        timed = _timed(start, payload)
        _expect_state(payload, "RUNNING")
        return timed

    async def delete(self, sandbox_id: str) -> None:
        """Deletes a sandbox, in whatever state it is."""
        await self._client.mutate(documents.DELETE, id=sandbox_id)
        self._alive.discard(sandbox_id)

    async def close(self) -> None:
        """Deletes what is left."""
        for sandbox_id in list(self._alive):
            await self.delete(sandbox_id)

    async def fill_memory(self, sandbox_id: str, mebibytes: float) -> None:
        """Lets the guest write until about so much of its memory is dirty; does nothing if that is reached."""
        missing_bytes = int((mebibytes - self.dirty_mebibytes(sandbox_id)) * (1 << 20))
        if missing_bytes > 0:
            await self.run(sandbox_id, *dirtying(missing_bytes))

    def dirty_mebibytes(self, sandbox_id: str) -> float:
        """How much of its RAM the guest has written, in MiB."""
        pid = qemu_pid(machine_processes(sandbox_id))
        return dirty_bytes(pid, self._memory_bytes[sandbox_id]) / (1 << 20)

    async def notice_of_death(self, sandbox_id: str) -> float:
        """Kills the sandbox's QEMU; milliseconds from its end to a subscriber's message that it does not run.

        Both moments are taken by this process: the end from a pidfd, the message from a WebSocket.
        """
        watch = Watch()
        async with asyncio.TaskGroup() as tasks:
            events = self._client.subscribe(documents.LIVE_SANDBOX, id=sandbox_id)
            following = tasks.create_task(watch.follow(events))
            await watch.live(deadline_seconds=NOTICE_DEADLINE_SECONDS)
            ended_at = await _kill(qemu_pid(machine_processes(sandbox_id)))
            seen = await watch.until("STOPPED", deadline_seconds=NOTICE_DEADLINE_SECONDS)
            following.cancel()
        return (seen.at_seconds - ended_at) * 1000

    async def idle_alone(self, seconds: float, *commands: str) -> Idle:
        """What a new sandbox costs that ran these commands, if any, and then does nothing for so long, alone on its
        host."""
        sandbox_id = await self._idler(*commands)
        await asyncio.sleep(SETTLE_SECONDS)
        before, start = processes_usage(sandbox_id), time.perf_counter()
        await asyncio.sleep(seconds)
        after, end = processes_usage(sandbox_id), time.perf_counter()
        await self.delete(sandbox_id)
        return Idle((after.cpu_seconds - before.cpu_seconds) / (end - start) * 100, after.pss_bytes / (1 << 20))

    async def idle_together(self, count: int) -> list[float]:
        """The memory of each of some idle sandboxes that are there at once, in MiB. Each ran one command."""
        sandbox_ids = [await self._idler("true") for _ in range(count)]
        await asyncio.sleep(SETTLE_SECONDS)
        mebibytes = [processes_usage(sandbox_id).pss_bytes / (1 << 20) for sandbox_id in sandbox_ids]
        for sandbox_id in sandbox_ids:
            await self.delete(sandbox_id)
        return mebibytes

    async def _idler(self, *commands: str) -> str:
        sandbox_id, _ = await self.create()
        for command in commands:
            await self.run(sandbox_id, command)
        return sandbox_id


def dirtying(size_bytes: int) -> tuple[str, ...]:
    """A command for the guest that writes to so much memory."""
    return ("/bin/sh", "-c", f"head -c {size_bytes} /dev/urandom >> /dev/shm/dirty")


def processes_usage(sandbox_id: str) -> Usage:
    """Memory and processor time of a sandbox's processes on this computer. Raises: LookupError."""
    pids = list(machine_processes(sandbox_id))
    if not pids:
        raise LookupError("The sandbox has no process on this computer.")
    return usage(pids)


async def _kill(pid: int) -> float:
    """Kills a process; when it ended, on the clock of `time.perf_counter`."""
    descriptor = os.pidfd_open(pid)
    try:
        signal.pidfd_send_signal(descriptor, signal.SIGKILL)
        return await asyncio.to_thread(_ended_at, descriptor)
    finally:
        os.close(descriptor)


def _ended_at(descriptor: int) -> float:
    # in a thread of its own, so that a busy event loop cannot make the end look later than it was
    select.select([descriptor], [], [], NOTICE_DEADLINE_SECONDS)
    return time.perf_counter()


def _timed(start: float, payload: Json) -> Timed:
    milliseconds = (time.perf_counter() - start) * 1000
    return Timed(milliseconds, {stage["name"]: stage["durationMs"] for stage in payload["operation"]["stages"]})


def _expect_state(payload: Json, state: str) -> None:
    found = payload["sandbox"]["state"]
    if found != state:
        error = payload["operation"]["error"]
        raise RuntimeError(f"The sandbox is {found}, not {state}: {error['message'] if error else 'no error is told'}")
