"""What the command line asks the agent for: is it ready, to pause everything, to clear away. The only gRPC in
`nestbox`."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from uuid import UUID

import grpc.aio

from nestbox.errors import Problem
from proto.host.v1 import host_pb2 as pb
from proto.host.v1.host_pb2_grpc import HostAgentStub

GET_HOST_DEADLINE_SECONDS = 5.0
COLLECT_DEADLINE_SECONDS = 120.0  # it looks at every file, and removes some
_STATES = {
    pb.MACHINE_STATE_STARTING,
    pb.MACHINE_STATE_RUNNING,
    pb.MACHINE_STATE_PAUSING,
    pb.MACHINE_STATE_RESUMING,
    pb.MACHINE_STATE_SNAPSHOTTING,
}


@dataclass(frozen=True, slots=True)
class HostFacts:
    """What the host says about itself, as far as people want to read it at the start."""

    driver: str
    accelerator: str
    isolation: str
    shortcomings: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class PausedMachines:
    """The outcome of pausing everything: the `sequences` of all machines, how many are paused and how many run on."""

    sequences: dict[UUID, int]
    paused: int
    running: int


@dataclass(frozen=True, slots=True)
class Garbage:
    """Something that belongs to nothing: `path` below the agent's data directory, the blocks that it takes, what it is.
    Times are in UTC: since when it is in quarantine, and when it may be removed; None: it is not there, it stays."""

    path: str
    stored_bytes: int
    reason: str
    quarantined_at: datetime | None
    removed_after: datetime | None


class AgentCalls:
    """A connection to one agent on this computer."""

    def __init__(self, channel: grpc.aio.Channel, token_file: Path) -> None:
        self._stub = HostAgentStub(channel)
        self._metadata = (("authorization", f"Bearer {token_file.read_text().strip()}"),)

    async def host(self) -> HostFacts | None:
        """What the host says about itself; None while the agent does not answer.

        Raises: Problem when it answers with anything but "not yet".
        """
        try:
            host = await self._stub.GetHost(
                pb.GetHostRequest(), metadata=self._metadata, timeout=GET_HOST_DEADLINE_SECONDS
            )
        except grpc.aio.AioRpcError as error:
            if error.code() in (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED):
                return None
            raise Problem(f"The agent refuses to talk: {error.details()} ({error.code().name}).") from error
        return HostFacts(
            driver=host.driver,
            accelerator=host.accelerator,
            isolation=pb.Isolation.Name(host.isolation).removeprefix("ISOLATION_"),
            shortcomings=tuple(host.shortcomings),
        )

    async def pause_all(self, deadline_seconds: float) -> PausedMachines:
        """Pauses everything because of the shutdown; the agent takes no new machines from then on.

        Raises: Problem when the agent does not do it in time. What was paused by then stays paused.
        """
        request = pb.PauseAllRequest(cause=pb.CAUSE_SHUTDOWN)
        try:
            answer = await self._stub.PauseAll(request, metadata=self._metadata, timeout=deadline_seconds)
        except grpc.aio.AioRpcError as error:
            raise Problem(f"The agent could not pause everything: {error.details()} ({error.code().name}).") from error
        return PausedMachines(
            sequences={UUID(machine.sandbox_id.removeprefix("sb-")): machine.sequence for machine in answer.machines},
            paused=sum(machine.state == pb.MACHINE_STATE_PAUSED for machine in answer.machines),
            running=sum(machine.state in _STATES for machine in answer.machines),
        )

    async def collect_garbage(self, *, dry_run: bool) -> list[Garbage]:
        """Has the agent put aside what belongs to nothing, and remove what was put aside long ago. With `dry_run` it
        only says what there is.

        Raises: Problem when there is no agent, or it cannot.
        """
        request = pb.CollectGarbageRequest(dry_run=dry_run)
        try:
            answer = await self._stub.CollectGarbage(request, metadata=self._metadata, timeout=COLLECT_DEADLINE_SECONDS)
        except grpc.aio.AioRpcError as error:
            if error.code() is grpc.StatusCode.UNAVAILABLE:
                raise Problem("The agent does not answer.", "It has to run: `nestbox up` starts it.") from error
            raise Problem(f"The agent could not look: {error.details()} ({error.code().name}).") from error
        return [_garbage(found) for found in answer.garbage]


def _garbage(found: pb.Garbage) -> Garbage:
    quarantined_at = found.quarantined_at.ToDatetime(tzinfo=UTC) if found.HasField("quarantined_at") else None
    removed_after = found.removed_after.ToDatetime(tzinfo=UTC) if found.HasField("removed_after") else None
    return Garbage(found.path, found.stored_bytes, found.reason, quarantined_at, removed_after)


@asynccontextmanager
async def connect(address: str, token_file: Path) -> AsyncIterator[AgentCalls]:
    """A connection to the agent at `address` (`host:port`); the agent need not be there yet."""
    # An agent that is being started is tried again soon, not after gRPC's second.
    options = [("grpc.initial_reconnect_backoff_ms", 50), ("grpc.min_reconnect_backoff_ms", 50)]
    options += [("grpc.max_reconnect_backoff_ms", 200)]
    async with grpc.aio.insecure_channel(address, options=options) as channel:
        yield AgentCalls(channel, token_file)


async def wait_for_host(calls: AgentCalls, poll_seconds: float = 0.05) -> HostFacts:
    """Returns once the agent answers. The caller sets the deadline."""
    while (facts := await calls.host()) is None:  # noqa: ASYNC110 - another process: nothing could set an event
        await asyncio.sleep(poll_seconds)
    return facts
