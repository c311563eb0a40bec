"""A sandbox beside another one that takes all that it can get: what that costs those who did nothing."""

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from statistics import quantiles

from benchmarks.figures import Figure
from benchmarks.product import Product

EXECS = 60
SETTLE_SECONDS = 3.0
"""Until the greedy one does everything at once."""
GREED = """
python3 -c 'while True: pass' &
python3 -c 'import os
page = os.urandom(1 << 20)
while True:
    held = [page + bytes([n % 256]) for n in range(256)]' &
(while :; do dd if=/dev/zero of=/root/greed bs=1M count=256 conv=fsync 2> /dev/null; done) &
"""
"""A processor, a quarter of a GiB of memory written again and again, and the disk."""
FLOOD_BYTES = 1 << 20
"""Of output, over and over: frames on the guest link."""
FACTOR = 2.0


@dataclass(slots=True)
class Neighbours:
    """The 95th percentile of a small command, in milliseconds, by round: alone, and beside the greedy one."""

    alone: list[float] = field(default_factory=list)
    beside: list[float] = field(default_factory=list)


async def neighbour_round(product: Product, into: Neighbours) -> None:
    """Both, on one pair of sandboxes, which is deleted before this returns. Raises: RefusedError, RuntimeError."""
    victim, _ = await product.create()
    greedy, _ = await product.create()
    await product.run(victim, "true")
    into.alone.append(await _slow_exec(product, victim))
    async with _greed(product, greedy):
        into.beside.append(await _slow_exec(product, victim))
    for sandbox_id in (victim, greedy):
        await product.delete(sandbox_id)


def figures(neighbours: Neighbours) -> list[Figure]:
    """The goal is twice what the fair share of this computer's cores allows: of two sandboxes with a processor each."""
    share = max(1.0, 2 / (os.cpu_count() or 1))
    factors = [beside / alone for alone, beside in zip(neighbours.alone, neighbours.beside, strict=True)]
    return [
        Figure("exec of true, 95th percentile, beside an idle sandbox", "ms", neighbours.alone),
        Figure("exec of true, 95th percentile, beside a greedy one", "ms", neighbours.beside),
        Figure("how much longer beside a greedy one", "times", factors, FACTOR * share),
    ]


async def _slow_exec(product: Product, sandbox_id: str) -> float:
    return quantiles([await product.run(sandbox_id, "true") for _ in range(EXECS)], n=20, method="inclusive")[18]


@asynccontextmanager
async def _greed(product: Product, sandbox_id: str) -> AsyncIterator[None]:
    await product.run(sandbox_id, "setsid", "sh", "-c", f"({GREED}) < /dev/null > /dev/null 2>&1")

    async def flood() -> None:
        while True:
            await product.run(sandbox_id, "head", "-c", str(FLOOD_BYTES), "/dev/zero")

    async with asyncio.TaskGroup() as tasks:
        flooding = tasks.create_task(flood())
        await asyncio.sleep(SETTLE_SECONDS)
        yield
        flooding.cancel()
