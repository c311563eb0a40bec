"""Agents and replicas of the control plane as processes of their own, so that they can be killed at any moment."""

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator, Mapping
from dataclasses import dataclass, field
from http.client import HTTPConnection, HTTPException
from pathlib import Path

import grpc
import grpc.aio

from nestbox.postgres.server import free_port
from proto.host.v1 import host_pb2 as pb
from tests.agent.serving import TOKEN, Client, connected
from tests.faults.clock import preloaded, set_ahead
from tests.waiting import eventually

ROOT = Path(__file__).parents[2]
_CLOCK = "clock"
START_SECONDS = 60.0
END_SECONDS = 20.0


@dataclass
class Program:
    """One program that is started, killed and started again; its log goes on in one file."""

    folder: Path
    module: str
    port: int = field(default_factory=free_port)
    process: subprocess.Popen[bytes] | None = None
    has_settable_clock: bool = False

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.port}"

    @property
    def log(self) -> str:
        path = self.folder / "log"
        return path.read_text(errors="replace") if path.exists() else ""

    @property
    def pid(self) -> int:
        assert self.process is not None
        return self.process.pid

    @property
    def runs(self) -> bool:
        return self.process is not None and self.process.poll() is None

    def launch(self, settings: Mapping[str, str]) -> None:
        """Starts it with these settings and nothing else of Nestbox in its environment."""
        assert not self.runs
        self.folder.mkdir(parents=True, exist_ok=True)
        clean = {name: value for name, value in os.environ.items() if not name.startswith(("NESTBOX_", "DATABASE_"))}
        if self.has_settable_clock:
            clean |= preloaded(self.folder / _CLOCK)
        with (self.folder / "log").open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", self.module], cwd=ROOT, env=clean | dict(settings), stdout=log, stderr=log
            )

    def set_clock(self, seconds: int) -> None:
        """Its time of day is soon so far ahead of the computer's; its monotonic clock goes on as it did."""
        assert self.has_settable_clock
        set_ahead(self.folder / _CLOCK, seconds)

    def kill(self) -> None:
        """As `kill -9`; returns when it is gone. Repeating it is harmless."""
        self._end(signal.SIGKILL)

    def stop(self) -> None:
        """As SIGTERM; returns when it is gone."""
        self._end(signal.SIGTERM)

    def send(self, number: signal.Signals) -> None:
        assert self.process is not None
        self.process.send_signal(number)

    def _end(self, number: signal.Signals) -> None:
        if self.process is None:
            return
        if self.process.poll() is None:
            self.process.send_signal(number)
        self.process.wait(END_SECONDS)


@dataclass
class Agent(Program):
    """`python -m agent` with simulated machines."""

    module: str = "agent"
    latency_ms: int = 0

    @property
    def data_dir(self) -> Path:
        return self.folder / "data"

    async def start(self, faults: Mapping[str, str] | None = None) -> None:
        """Returns when it answers, or has ended of a fault."""
        self.folder.mkdir(parents=True, exist_ok=True)
        token = self.folder / "token"
        token.write_text(TOKEN)
        token.chmod(0o600)
        self.launch(
            {
                "NESTBOX_AGENT_ADDRESS": self.address,
                "NESTBOX_AGENT_DATA_DIR": str(self.data_dir),
                "NESTBOX_AGENT_TOKEN_FILE": str(token),
                "NESTBOX_AGENT_DRIVER": "simulated",
                "NESTBOX_AGENT_SIMULATED_LATENCY_MS": str(self.latency_ms),
                "NESTBOX_AGENT_LOG_FORMAT": "json",
                "NESTBOX_CACHE_DIR": str(self.folder / "cache"),
                **_armed("NESTBOX_AGENT_FAULTS", faults),
            }
        )
        await eventually(lambda: not self.runs or _listens(self.port), START_SECONDS)

    @contextlib.asynccontextmanager
    async def client(self) -> AsyncIterator[Client]:
        async with connected(self.port) as client:
            yield client

    async def answers(self) -> bool:
        """Whether it has adopted what was there, and serves."""
        if not self.runs or not _listens(self.port):
            return False
        with contextlib.suppress(grpc.aio.AioRpcError, TimeoutError):
            async with connected(self.port) as client:
                await client.stub.GetHost(pb.GetHostRequest(), metadata=client.metadata, timeout=5)
                return True
        return False


@dataclass
class Api(Program):
    """`python -m api`: one replica."""

    module: str = "api"

    async def start(
        self, database_url: str, hosts: tuple[str, ...], faults: Mapping[str, str] | None = None, *, ready: bool = True
    ) -> None:
        """Returns when it is ready (or just serves, without `ready`), or has ended of a fault."""
        self.folder.mkdir(parents=True, exist_ok=True)
        token = self.folder / "token"
        token.write_text(TOKEN)
        self.launch(
            {
                "NESTBOX_API_PORT": str(self.port),
                "DATABASE_URL": database_url,
                "NESTBOX_HOSTS": ",".join(hosts),
                "NESTBOX_AGENT_TOKEN_FILE": str(token),
                "NESTBOX_DASHBOARD_DIR": str(self.folder / "dashboard"),
                **_armed("NESTBOX_API_FAULTS", faults),
            }
        )
        path = "/readyz" if ready else "/healthz"
        await eventually(lambda: not self.runs or _status(self.port, path) == 200, START_SECONDS)

    @property
    def url(self) -> str:
        return f"http://{self.address}"


def fired(log: str, point: str) -> bool:
    """Whether a program has said in its log that a fault struck at this point."""
    return any("fault fired" in line and point in line for line in log.splitlines())


@contextlib.contextmanager
def ending(*programs: Program) -> Iterator[None]:
    """Kills them in the end, whatever happened."""
    try:
        yield
    finally:
        for program in programs:
            program.kill()


def _armed(name: str, faults: Mapping[str, str] | None) -> dict[str, str]:
    return {name: json.dumps(dict(faults))} if faults else {}


def _listens(port: int) -> bool:
    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
        return True
    return False


def _status(port: int, path: str) -> int:
    # not httpx: it reads the computer's certificates first, which costs more than a start takes
    connection = HTTPConnection("127.0.0.1", port, timeout=5)
    with contextlib.suppress(OSError, HTTPException), contextlib.closing(connection):
        connection.request("GET", path)
        return connection.getresponse().status
    return 0
