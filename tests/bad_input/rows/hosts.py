"""gRPC: what is sent to a host by somebody who is not the control plane, or by one that is out of its mind."""

from collections.abc import Callable, Coroutine
from typing import Any

import grpc.aio

from proto.host.v1 import host_pb2 as pb
from tests.agent.serving import Client, creation, iter_of, new_sandbox
from tests.bad_input.cells import REPEATS, Cell
from tests.bad_input.senders import Answer, Senders

ROW = "gRPC"
HUNDRED_MB = 100_000_000
WRONG = (("authorization", "Bearer a-token-of-somebody-else"),)
LARGE = "each is a hundred megabytes"
LARGE_REPEATS = 10

Metadata = tuple[tuple[str, str], ...]
Raw = grpc.aio.UnaryUnaryMultiCallable[bytes, bytes]
Call = Callable[[Senders], Any]


def _call(item: str, name: str, outcome: str, call: Call, repeats: int = REPEATS, why: str = "") -> Cell:
    async def send(senders: Senders) -> Answer:
        return await senders.call(call(senders))

    return Cell(ROW, item, name, (outcome,), send, repeats, why)


def _create(to: Senders, metadata: Metadata, **changes: Any) -> Any:
    return to.agent.stub.CreateMachine(creation(new_sandbox(), **changes), metadata=metadata)


def _destroy(to: Senders, metadata: Metadata) -> Any:
    request = pb.DestroyMachineRequest(sandbox_id=to.place.running, generation=9)
    return to.agent.stub.DestroyMachine(request, metadata=metadata)


def _raw(to: Senders, body: bytes, method: str = "CreateMachine") -> Any:
    call: Raw = to.channel.unary_unary(f"/host.v1.HostAgent/{method}")
    return call(body, metadata=to.agent.metadata)


async def _exec(to: Senders, *argv: str) -> None:
    request = pb.ExecRequest(start=pb.ExecStart(sandbox_id=to.place.running, argv=argv))
    _ = [response async for response in to.agent.stub.Exec(iter_of([request]), metadata=to.agent.metadata)]


def _stale(make: Callable[[Client, str, int], Coroutine[Any, Any, Any]]) -> Call:
    """A command that is older than the pause of this sandbox."""
    return lambda to: make(to.agent, to.place.paused, 1)


CELLS = (
    _call("no credentials", "creating", "UNAUTHENTICATED UNAUTHENTICATED", lambda to: _create(to, ())),
    _call("no credentials", "destroying", "UNAUTHENTICATED UNAUTHENTICATED", lambda to: _destroy(to, ())),
    _call("wrong credentials", "creating", "UNAUTHENTICATED UNAUTHENTICATED", lambda to: _create(to, WRONG)),
    _call("wrong credentials", "destroying", "UNAUTHENTICATED UNAUTHENTICATED", lambda to: _destroy(to, WRONG)),
    _call(
        "wrong credentials",
        "the right ones twice",
        "UNAUTHENTICATED UNAUTHENTICATED",
        lambda to: _create(to, to.agent.metadata * 2),
    ),
    _call(
        "100 MB message",
        "with the token",
        "RESOURCE_EXHAUSTED",
        lambda to: _raw(to, bytes(HUNDRED_MB)),
        LARGE_REPEATS,
        LARGE,
    ),
    _call("stale generation", "resume", "FAILED_PRECONDITION STALE_GENERATION", _stale(Client.resume)),
    _call("stale generation", "destroy", "FAILED_PRECONDITION STALE_GENERATION", _stale(Client.destroy)),
    _call("stale generation", "none", "INVALID_ARGUMENT INVALID", lambda to: to.agent.pause(to.place.running, 0)),
    _call("nonsense", "an unknown call", "UNIMPLEMENTED", lambda to: _raw(to, b"", "NoSuchCall")),
    _call("nonsense", "bytes that are no message", "UNKNOWN", lambda to: _raw(to, b"\xff" * 100)),
    _call("nonsense", "no id", "INVALID_ARGUMENT INVALID", lambda to: to.agent.ping("../../etc")),
    _call("nonsense", "no machine", "NOT_FOUND NO_SUCH_MACHINE", lambda to: to.agent.ping(new_sandbox())),
    _call(
        "nonsense",
        "a PiB of memory",
        "INVALID_ARGUMENT INVALID",
        lambda to: _create(to, to.agent.metadata, memory_mb=2**30),
    ),
    _call(
        "commands",
        "2 MB argv",
        "INVALID_ARGUMENT INVALID",
        lambda to: _exec(to, "echo", *["x" * 100_000] * 20),
        20,
        "each is two megabytes",
    ),
    _call("commands", "NUL", "INVALID_ARGUMENT INVALID", lambda to: _exec(to, "a\0b")),
    _call(
        "commands", "a path with NUL", "INVALID_ARGUMENT INVALID", lambda to: to.agent.read(to.place.running, "/a\0b")
    ),
    _call(
        "commands",
        "a path of 5,000 bytes",
        "INVALID_ARGUMENT INVALID",
        lambda to: to.agent.read(to.place.running, "/a" * 2_500),
    ),
)
