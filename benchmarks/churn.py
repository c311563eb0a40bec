"""`python -m benchmarks.churn`: many lives of sandboxes, one after the other in some lanes, and what they leave behind.

Each life is create, pause, resume, delete through GraphQL, PostgreSQL and gRPC. The machines are simulated, or real
with `--vms`. Afterwards the invariants of `tests/invariants` are checked, and what the programs hold is compared with
what they held after the first lives. Exits with 1 when something does not hold, was lost or leaked.
"""

import argparse
import asyncio
import itertools
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import asyncpg
import psutil
from rich.console import Console

from api.db.migrate import migrate
from api.ids import DEFAULT_TEAM_ID
from benchmarks.computer import describe
from benchmarks.figures import Figure, as_json, as_table
from nestbox.database import NAME, postgres_folder
from nestbox.demo import documents
from nestbox.demo.client import Client, RefusedError, connect
from nestbox.postgres import Postgres
from tests.agent.serving import Client as AgentClient
from tests.agent.serving import connected
from tests.faults.processes import ROOT, Agent, Api
from tests.invariants.checker import check
from tests.invariants.gathering import Keeps, gather, real_kept, simulated_kept
from tests.system.platform import platform as system_platform

WARM_UP = 0.1
"""The part of all lives after which the programs hold what they always hold."""
RSS_GROWTH_MAX_MIB = 32.0
"""Of one program over all lives: caches and fragmentation; a leak of 4 KiB a life would be 36 MiB over 9,000."""
FDS_GROWTH_MAX = 16
"""Of one program: connections of the pool come and go."""
STEPS = (
    ("create", documents.CREATE),
    ("pause", documents.PAUSE),
    ("resume", documents.RESUME),
    ("delete", documents.DELETE),
)


@dataclass(frozen=True, slots=True)
class Place:
    """A platform that is this benchmark's own, and where to look behind it."""

    url: str
    key: str
    database_url: str
    agent_port: int
    agent_token: str
    agent_dir: Path
    programs: Mapping[str, int]
    """Their pids by name."""
    postgres: int
    """The pid of its first process."""
    keeps: Keeps


@dataclass(slots=True)
class Lives:
    """What was measured of them; times in milliseconds by step."""

    times: dict[str, list[float]] = field(default_factory=lambda: {name: [] for name, _ in STEPS})
    failures: list[str] = field(default_factory=list)
    done: int = 0
    seconds: float = 0.0


@dataclass(frozen=True, slots=True)
class Held:
    """What one program holds."""

    fds: int
    threads: int
    rss_mib: float


def cpu_seconds(place: Place) -> dict[str, float]:
    """Processor time that each part has used so far; PostgreSQL's with that of its sessions, also of ended ones."""
    found = {name: _cpu(psutil.Process(pid)) for name, pid in place.programs.items()}
    server = psutil.Process(place.postgres)
    times = server.cpu_times()
    ended = float(times.children_user + times.children_system)
    found["PostgreSQL"] = _cpu(server) + ended + sum(_cpu(session) for session in server.children())
    found["this benchmark"] = _cpu(psutil.Process())
    return found


def _cpu(process: psutil.Process) -> float:
    times = process.cpu_times()
    return float(times.user + times.system)


@asynccontextmanager
async def simulated_place() -> AsyncIterator[Place]:
    """PostgreSQL, agent and control plane, each a process; machines run no code."""
    with Postgres.temporary() as server, tempfile.TemporaryDirectory(prefix="nestbox-churn-") as name:
        server.ensure_database(NAME)
        url = server.url(NAME)
        await migrate(url, server.owner_url(NAME))
        agent, api = Agent(Path(name) / "agent"), Api(Path(name) / "api")
        try:
            await agent.start()
            await api.start(url, (agent.address,))
            command = [sys.executable, "-m", "api", "create-key", "--name", "churn", "--admin"]
            made = subprocess.run(  # noqa: ASYNC221 - nothing else is to be done meanwhile
                command, cwd=ROOT, env={"DATABASE_URL": url}, capture_output=True, text=True, check=True
            )
            token = (agent.folder / "token").read_text().strip()
            programs = {"agent": agent.pid, "api": api.pid}
            key = made.stdout.strip().splitlines()[-1]
            yield Place(api.url, key, url, agent.port, token, agent.data_dir, programs, server.pid, simulated_kept)
        finally:
            api.kill()
            agent.kill()


@asynccontextmanager
async def real_place() -> AsyncIterator[Place]:
    """`nestbox up` with an empty data directory: real machines."""
    async with system_platform() as up:
        await up.start()
        server = Postgres.attach(postgres_folder(up.data_dir))
        if server is None:
            raise RuntimeError("nestbox up runs without PostgreSQL")
        found = {
            line.split()[-1]: pid for pid, line in up.processes().items() if "-m agent" in line or "-m api" in line
        }
        programs = {name.removeprefix("-m ").strip(): pid for name, pid in found.items()}
        agent_dir = up.data_dir / "agent"
        token = (agent_dir / "token").read_text().strip()
        try:
            yield Place(
                up.url, up.key, server.url(NAME), up.agent_port, token, agent_dir, programs, server.pid, real_kept
            )
        finally:
            up.interrupt()
            await up.ended()


async def live_one(client: Client, lives: Lives, number: int) -> None:
    """One life. What goes wrong in it is written down, and the next one begins."""
    sandbox_id = ""
    for name, document in STEPS:
        start = time.perf_counter()
        given = {"name": f"churn {number}"} if name == "create" else {"id": sandbox_id}
        try:
            payload = await client.mutate(document, **given)
        except RefusedError as error:
            lives.failures.append(f"life {number}, {name}: {error}")
            return
        lives.times[name].append((time.perf_counter() - start) * 1000)
        sandbox_id = sandbox_id or payload["sandbox"]["id"]
        wanted = {"pause": "PAUSED", "delete": "DELETED"}.get(name, "RUNNING")
        if payload["sandbox"]["state"] != wanted:
            lives.failures.append(f"life {number}, {name}: {payload['sandbox']['state']}, {payload['operation']}")
            return
    lives.done += 1


async def live_all(client: Client, numbers: Iterator[int], lanes: int) -> Lives:
    """All of these lives, in so many lanes at once."""
    lives = Lives()
    start = time.perf_counter()

    async def lane() -> None:
        for number in numbers:
            await live_one(client, lives, number)

    async with asyncio.TaskGroup() as group:
        for _ in range(lanes):
            group.create_task(lane())
    lives.seconds = time.perf_counter() - start
    return lives


def held(place: Place) -> dict[str, Held]:
    """What every program of the platform holds now."""
    found = {}
    for name, pid in place.programs.items():
        process = psutil.Process(pid)
        found[name] = Held(process.num_fds(), process.num_threads(), process.memory_info().rss / (1 << 20))
    return found


def leaks(before: Mapping[str, Held], after: Mapping[str, Held]) -> list[str]:
    """What the programs hold more than they may."""
    found = []
    for name, now in after.items():
        then = before[name]
        if now.fds > then.fds + FDS_GROWTH_MAX:
            found.append(f"{name}: {then.fds} open files became {now.fds}")
        if now.rss_mib > then.rss_mib + RSS_GROWTH_MAX_MIB:
            found.append(f"{name}: {then.rss_mib:.0f} MiB became {now.rss_mib:.0f} MiB")
    return found


async def left_behind(place: Place) -> list[str]:
    """Violations of invariants, and everything that still lies or runs on the host: all sandboxes were deleted."""
    connection = await asyncpg.connect(place.database_url)
    try:
        async with connected(place.agent_port, place.agent_token) as client:
            agents: dict[Path, AgentClient] = {place.agent_dir: client}
            evidence = await gather(connection, agents, keeps=place.keeps)
    finally:
        await connection.close()
    found = [str(violation) for violation in check(evidence)]
    found += [f"{kept.sandbox_id} still lies on the host" for kept in evidence.kept]
    mine = [row for row in evidence.sandboxes if row.team_id == DEFAULT_TEAM_ID]
    found += [f"{row.id} is {row.state}, not deleted" for row in mine if row.state != "deleted"]
    return found


async def churn(place: Place, count: int, lanes: int) -> tuple[Lives, list[str], list[Figure]]:
    """The lives, what is wrong afterwards, and the figures."""
    numbers = iter(range(count))
    async with connect(place.url, place.key) as client:
        warm_up = max(lanes, int(count * WARM_UP))
        first = await live_all(client, itertools.islice(numbers, warm_up), lanes)
        before, used = held(place), cpu_seconds(place)
        lives = await live_all(client, numbers, lanes)
        after = held(place)
        cpu = {name: seconds - used[name] for name, seconds in cpu_seconds(place).items()}
    wrong = first.failures + lives.failures + leaks(before, after) + await left_behind(place)
    figures = [
        Figure("lives, create to delete", "per second", [lives.done / lives.seconds]),
        *(Figure(name, "ms", samples) for name, samples in lives.times.items() if samples),
        *(Figure(f"CPU of {name}", "ms a life", [seconds * 1000 / lives.done]) for name, seconds in cpu.items()),
        *(
            Figure(f"{name}: growth of {what}", unit, [amount], limit)
            for name in after
            for what, unit, amount, limit in (
                ("open files", "files", after[name].fds - before[name].fds, FDS_GROWTH_MAX),
                ("threads", "threads", after[name].threads - before[name].threads, None),
                ("memory", "MiB", after[name].rss_mib - before[name].rss_mib, RSS_GROWTH_MAX_MIB),
            )
        ),
        Figure("violations, losses and leaks", "found", [len(wrong)], 0),
    ]
    lives.done += first.done
    return lives, wrong, figures


async def run(count: int, lanes: int, *, real: bool) -> tuple[Lives, list[str], list[Figure]]:
    """On a platform of its own."""
    async with real_place() if real else simulated_place() as place:
        return await churn(place, count, lanes)


def main() -> int:
    """Parses arguments, churns, prints; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.churn", description=__doc__)
    parser.add_argument("--lifecycles", type=int, default=1000, help="simulated lives (default: %(default)s)")
    parser.add_argument("--lanes", type=int, default=8, help="lives at once; 1 with --vms (default: %(default)s)")
    parser.add_argument("--vms", type=int, default=0, metavar="N", help="N lives of real machines instead")
    parser.add_argument("--json", type=Path, help="write the figures to this file as well")
    arguments = parser.parse_args()
    console = Console()
    real = arguments.vms > 0
    count, lanes = (arguments.vms, 1) if real else (arguments.lifecycles, arguments.lanes)
    lives, wrong, figures = asyncio.run(run(count, lanes, real=real))
    kind = "real" if real else "simulated"
    console.print(as_table(f"{lives.done} {kind} lives in {lanes} lanes", figures))
    for line in wrong:
        console.print(line, highlight=False, markup=False, soft_wrap=True)
    if arguments.json:
        content = as_json(describe("real" if real else "none"), figures)
        arguments.json.write_text(json.dumps(content, indent=2) + "\n")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
