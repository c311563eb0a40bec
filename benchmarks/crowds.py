"""Many sandboxes at once: from the pool, in a burst, as forks, and idle beside each other."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from statistics import median, quantiles
from typing import TypeVar

from graphql import parse

from benchmarks import standstills
from benchmarks.containers import Life
from benchmarks.figures import Figure
from benchmarks.floor import Floor
from benchmarks.product import Product, Timed, processes_usage
from nestbox.demo.client import Client, RefusedError

POOLS = parse("{ admin { hosts { pools { ready wanted handedOver missed } } } }")
POOL_DEADLINE_SECONDS = 180
POOL_POLL_SECONDS = 0.25
SETTLE_SECONDS = 1.0
BURST = 50
FORKS = 20
CROWD = 100
CROWD_MEMORY_MB = 256
MAKERS = 4
"""How many of a crowd are made at once: two cores are busy with that."""
POOL_FACTOR, POOL_EXTRA_MILLISECONDS = 2.0, 15.0
PEER_FACTOR = 5.0
FORK_MILLISECONDS_EACH = 80.0
CROWD_PSS_MEBIBYTES = 65.0
CROWD_CPU_PERCENT = 0.5
CALM_SECONDS = 5.0
"""Until what was just made does nothing any more."""


ResultT = TypeVar("ResultT")
Measure = Callable[[Product], Awaitable[ResultT]]


@dataclass(frozen=True, slots=True)
class Burst:
    """Creates that were asked for at once: how long the good ones took, and why others failed."""

    milliseconds: list[float] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)

    @property
    def success_percent(self) -> float:
        """Of all."""
        return 100 * len(self.milliseconds) / (len(self.milliseconds) + len(self.failures))

    @property
    def slowest_percent(self) -> float:
        """The 99th percentile, in milliseconds."""
        return quantiles(self.milliseconds, n=100, method="inclusive")[98]


@dataclass(frozen=True, slots=True)
class Crowd:
    """What each of many idle sandboxes costs; `answered` says how many of them ran a command afterwards."""

    pss_mebibytes: list[float]
    cpu_percent: list[float]
    answered: int


async def pool_is_full(client: Client, asked: int) -> None:
    """Waits until the hosts' pools hold as many as they are to hold, after so many sandboxes asked for one: what the
    platform knows of its hosts is some seconds old. Raises: TimeoutError."""
    async with asyncio.timeout(POOL_DEADLINE_SECONDS):
        while True:
            hosts = (await client.query(POOLS))["admin"]["hosts"]
            pools = [pool for host in hosts for pool in host["pools"]]
            known = sum(pool["handedOver"] + pool["missed"] for pool in pools)
            if known >= asked and pools and all(pool["ready"] >= pool["wanted"] > 0 for pool in pools):
                # it is known from a look at all hosts that is still under way
                await asyncio.sleep(SETTLE_SECONDS)
                return
            await asyncio.sleep(POOL_POLL_SECONDS)


async def first_output(product: Product) -> float:
    """From the request for a sandbox to the output of its first command, in milliseconds."""
    start = time.perf_counter()
    sandbox_id, _ = await product.create()
    await product.run(sandbox_id, "true")
    milliseconds = (time.perf_counter() - start) * 1000
    await product.delete(sandbox_id)
    return milliseconds


async def burst(product: Product, count: int = BURST) -> Burst:
    """Creates that are asked for all at once. The sandboxes are deleted before this returns."""
    result = Burst()
    made: list[str] = []

    async def create() -> None:
        try:
            sandbox_id, timed = await product.create()
        except (RefusedError, RuntimeError) as error:
            result.failures.append(str(error))
        else:
            made.append(sandbox_id)
            result.milliseconds.append(timed.milliseconds)

    await _at_once([create] * count)
    for sandbox_id in made:
        await product.delete(sandbox_id)
    return result


async def forks(product: Product, count: int = FORKS) -> Timed:
    """Forks a sandbox that runs; `stages` are those of its parent. All are deleted before this returns."""
    parent, _ = await product.create()
    await product.run(parent, "true")
    children, timed = await product.fork(parent, count)
    for sandbox_id in (*children, parent):
        await product.delete(sandbox_id)
    return timed


async def bare_clones(floor: Floor, name: str, count: int = FORKS) -> float:
    """As many clones on bare QEMU, at once: milliseconds until all have their identity."""
    start = time.perf_counter()
    made = await floor.clones(name, count)
    milliseconds = (time.perf_counter() - start) * 1000
    for bare in made:
        await floor.end(bare)
    return milliseconds


async def crowd(product: Product, seconds: float, count: int = CROWD) -> Crowd:
    """Sandboxes that do nothing for so long, all there at once. They are deleted before this returns."""
    made: list[str] = []
    turn = asyncio.Semaphore(MAKERS)

    async def create() -> None:
        async with turn:
            made.append((await product.create(memoryMb=CROWD_MEMORY_MB))[0])

    await _at_once([create] * count)
    await asyncio.sleep(CALM_SECONDS)
    before, start = [processes_usage(one) for one in made], time.perf_counter()
    await asyncio.sleep(seconds)
    after, elapsed = [processes_usage(one) for one in made], time.perf_counter() - start
    answered = 0
    for sandbox_id in made:
        try:
            await product.run(sandbox_id, "true")
            answered += 1
        except RefusedError:
            continue
    for sandbox_id in made:
        await product.delete(sandbox_id)
    return Crowd(
        [one.pss_bytes / (1 << 20) for one in after],
        [(end.cpu_seconds - begin.cpu_seconds) / elapsed * 100 for begin, end in zip(before, after, strict=True)],
        answered,
    )


def pool_figures(warm: list[float], outputs: list[float], lives: list[Life]) -> list[Figure]:
    """`warm`: the floor's `cont` and first command; `lives`: the peer's containers, none if there is no peer here."""
    goal = POOL_FACTOR * median(warm) + POOL_EXTRA_MILLISECONDS
    result = [
        Figure("floor: cont of a warm clone and exec of true", "ms", warm),
        Figure("createSandbox to the output of true, from the pool", "ms", outputs, goal),
    ]
    if lives:
        whole = [life.whole for life in lives]
        result += [
            Figure("podman: run to the output of true", "ms", [life.first_output for life in lives]),
            Figure("podman: run, exec and rm", "ms", whole),
            Figure("the pool's first output against podman", "ms", outputs, median(whole) / PEER_FACTOR),
        ]
    return result


def burst_figures(bursts: list[Burst]) -> list[Figure]:
    """Of some bursts."""
    return [
        Figure(f"burst of {BURST}: creates that failed", "%", [100 - one.success_percent for one in bursts], 0.0),
        Figure(f"burst of {BURST}: 99th percentile", "ms", [one.slowest_percent for one in bursts]),
    ]


def fork_figures(timed: list[Timed], bare: list[float]) -> list[Figure]:
    """Of some forks, and of as many clones on bare QEMU beside each."""
    ratios = [one.milliseconds / least for one, least in zip(timed, bare, strict=True)]
    return [
        Figure(f"floor: {FORKS} clones at once, all with their identity", "ms", bare),
        Figure(f"forkSandbox of {FORKS} against the floor's clones", "times", ratios),
        Figure(
            f"forkSandbox of {FORKS}, all RUNNING",
            "ms",
            [one.milliseconds for one in timed],
            FORKS * FORK_MILLISECONDS_EACH,
        ),
        Figure(
            "fork: its parent stands still",
            "ms",
            [standstills.milliseconds(one) for one in timed],
            standstills.MILLISECONDS,
        ),
    ]


def crowd_figures(crowd: Crowd) -> list[Figure]:
    """Of one crowd."""
    count, pss = len(crowd.pss_mebibytes), crowd.pss_mebibytes
    return [
        Figure(f"{count} idle of {CROWD_MEMORY_MB} MiB: memory of each", "MiB", pss, CROWD_PSS_MEBIBYTES),
        Figure(f"{count} idle: CPU of each", "% of a core", crowd.cpu_percent, CROWD_CPU_PERCENT),
        Figure(f"{count} idle: that did not answer a command", "", [count - crowd.answered], 0.0),
    ]


async def _at_once(works: list[Callable[[], Awaitable[None]]]) -> None:
    await asyncio.gather(*(work() for work in works))
