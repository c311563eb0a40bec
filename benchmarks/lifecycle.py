"""`python -m benchmarks.lifecycle`: what the life of a sandbox costs, next to the least that it can cost here.

Prints a table; exits with 0 when everything was measured, whether goals are met or not, and with 1 otherwise.
"""

import argparse
import asyncio
import json
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from graphql import parse
from rich.console import Console

from agent.images import base_image
from benchmarks import crowds, neighbours, pauses, standstills
from benchmarks.bare import Image
from benchmarks.computer import describe
from benchmarks.containers import ContainerError, Containers, Life, containers
from benchmarks.crowds import Burst, Crowd
from benchmarks.figures import Figure, as_json, as_table
from benchmarks.floor import Floor
from benchmarks.neighbours import Neighbours
from benchmarks.pauses import PauseSamples
from benchmarks.product import Product, Timed
from benchmarks.rounds import Samples, figures, floor_round, product_round, stage_lines, warm_round
from benchmarks.settings import POOL_OFF, cache_directory, environment
from benchmarks.standstills import Standstills
from nestbox.demo.client import Client, RefusedError, connect
from nestbox.demo.platform import PlatformError, platform

MEMORY_BYTES = 512 << 20
"""The default shape."""
IDLE_SANDBOXES = 3
HOSTS = parse("{ admin { hosts { accelerator } } }")
SECTIONS = ("life", "pause", "neighbour", "pool", "fork", "burst", "crowd")
POOL_OFF_SECTIONS = frozenset({"life", "pause", "neighbour"})
"""What a clone costs, not what the pool hides."""

Progress = Callable[[str], None]


@dataclass(slots=True)
class Results:
    """What was measured, by section."""

    machine: dict[str, str | int] = field(default_factory=dict)
    life: Samples = field(default_factory=Samples)
    pause: PauseSamples = field(default_factory=PauseSamples)
    neighbours: Neighbours = field(default_factory=Neighbours)
    warm: list[float] = field(default_factory=list)
    outputs: list[float] = field(default_factory=list)
    lives: list[Life] = field(default_factory=list)
    forks: list[Timed] = field(default_factory=list)
    bare_forks: list[float] = field(default_factory=list)
    standstills: Standstills = field(default_factory=Standstills)
    bursts: list[Burst] = field(default_factory=list)
    crowd: Crowd | None = None

    def figures(self) -> list[Figure]:
        """Of everything that was measured."""
        return [
            *(figures(self.life) if self.life.product else ()),
            *(pauses.figures(self.pause) if self.pause.large else ()),
            *(neighbours.figures(self.neighbours) if self.neighbours.alone else ()),
            *(crowds.pool_figures(self.warm, self.outputs, self.lives) if self.outputs else ()),
            *(crowds.fork_figures(self.forks, self.bare_forks) if self.forks else ()),
            *standstills.figures(self.standstills),
            *(crowds.burst_figures(self.bursts) if self.bursts else ()),
            *(crowds.crowd_figures(self.crowd) if self.crowd else ()),
        ]


@dataclass(frozen=True, slots=True)
class Bench:
    """A platform, and the floor beside it."""

    client: Client
    product: Product
    floor: Floor
    disk: Path
    progress: Progress


async def measure(progress: Progress, sections: frozenset[str], runs: int, idle_seconds: float) -> Results:
    """Everything that is to be measured, each after one round that is not counted."""
    results = Results()
    if sections & POOL_OFF_SECTIONS:
        async with _bench({**environment(), **POOL_OFF}, progress, results) as bench:
            if "life" in sections:
                await _life(bench, results, runs, idle_seconds)
            if "pause" in sections:
                await _pause(bench, results, runs)
            if "neighbour" in sections:
                await _neighbour(bench, results, max(1, runs // 3))
    if sections - POOL_OFF_SECTIONS:
        async with _bench(environment(), progress, results) as bench:
            if "pool" in sections:
                await _pool(bench, results, runs)
            if "fork" in sections:
                await _fork(bench, results, runs)
            if "burst" in sections:
                await _some(bench, "burst", max(1, runs // 3), results.bursts, crowds.burst)
            if "crowd" in sections:
                results.crowd = await crowds.crowd(bench.product, idle_seconds)
    return results


async def _life(bench: Bench, results: Results, runs: int, idle_seconds: float) -> None:
    for number in range(runs + 1):
        start = time.perf_counter()
        # the first round is thrown away: files are read and images made in it
        into = results.life if number else Samples()
        await floor_round(bench.floor, f"floor{number}", into)
        await product_round(bench.product, into)
        bench.progress(f"life {number} of {runs}: {time.perf_counter() - start:.1f} s")
    for number in range(1, IDLE_SANDBOXES + 1):
        results.life.idle.append(await bench.product.idle_alone(idle_seconds))
        results.life.idle_after_command.append(await bench.product.idle_alone(idle_seconds, "true"))
        bench.progress(f"idle sandbox {number} of {IDLE_SANDBOXES}")
    results.life.idle_together = await bench.product.idle_together(IDLE_SANDBOXES)


async def _pause(bench: Bench, results: Results, runs: int) -> None:
    for number in range(runs + 1):
        into = results.pause if number else PauseSamples()
        await pauses.pause_round(bench.floor, bench.product, f"pause{number}", into)
        bench.progress(f"pauses {number} of {runs}")


async def _neighbour(bench: Bench, results: Results, runs: int) -> None:
    for number in range(runs + 1):
        await neighbours.neighbour_round(bench.product, results.neighbours if number else Neighbours())
        bench.progress(f"neighbours {number} of {runs}")


async def _pool(bench: Bench, results: Results, runs: int) -> None:
    async with AsyncExitStack() as stack:
        peer: Containers | None = None
        try:
            peer = await stack.enter_async_context(containers(bench.disk))
        except ContainerError as error:
            bench.progress(f"no comparison with podman: {error}")
        for number in range(runs + 1):
            warm = await warm_round(bench.floor, f"warm{number}")
            await crowds.pool_is_full(bench.client, number)
            output = await crowds.first_output(bench.product)
            life = None if peer is None else await peer.life(f"nestbox-peer-{number}")
            if number:
                results.warm += warm
                results.outputs.append(output)
                results.lives += [] if life is None else [life]
            bench.progress(f"pool {number} of {runs}: {output:.0f} ms")


async def _fork(bench: Bench, results: Results, runs: int) -> None:
    for number in range(runs + 1):
        bare = await crowds.bare_clones(bench.floor, f"fork{number}")
        timed = await crowds.forks(bench.product)
        await standstills.standstill_round(bench.product, results.standstills if number else Standstills())
        if number:
            results.bare_forks.append(bare)
            results.forks.append(timed)
        bench.progress(f"fork {number} of {runs}: {timed.milliseconds:.0f} ms, bare {bare:.0f} ms")


async def _some(
    bench: Bench, name: str, runs: int, into: list[crowds.ResultT], work: crowds.Measure[crowds.ResultT]
) -> None:
    for number in range(runs + 1):
        result = await work(bench.product)
        if number:
            into.append(result)
        bench.progress(f"{name} {number} of {runs}")


@asynccontextmanager
async def _bench(settings: Mapping[str, str], progress: Progress, results: Results) -> AsyncIterator[Bench]:
    async with AsyncExitStack() as stack:
        found = await stack.enter_async_context(platform(settings, progress))
        client = await stack.enter_async_context(connect(found.url, found.key))
        accelerator = await _accelerator(client, progress)
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="nestbox-floor-")))
        image = await base_image(cache_directory(), directory, progress)
        floor = Floor(Image(image.kernel, image.initrd, image.disk, MEMORY_BYTES, accelerator), directory)
        stack.callback(floor.close)
        await floor.prepare()
        product = Product(client)
        stack.push_async_callback(product.close)
        results.machine = describe(accelerator)
        yield Bench(client, product, floor, image.disk, progress)


async def _accelerator(client: Client, progress: Progress) -> str:
    """That of the platform's host, which the floor is to use as well."""
    try:
        hosts = (await client.query(HOSTS))["admin"]["hosts"]
    except RefusedError as error:
        progress(f"The host's accelerator is not told ({error}); the floor takes tcg.")
        return "tcg"
    return str(hosts[0]["accelerator"])


def main() -> int:
    """Parses arguments, measures, prints; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.lifecycle", description=__doc__)
    parser.add_argument("--runs", type=int, default=15, help="rounds that count (default: %(default)s)")
    parser.add_argument("--idle-seconds", type=float, default=20, help="how long idleness is watched (%(default)s)")
    parser.add_argument("--only", nargs="+", choices=SECTIONS, default=SECTIONS, help="some sections (default: all)")
    parser.add_argument("--json", type=Path, help="write the figures to this file as well")
    arguments = parser.parse_args()
    console = Console()
    progress = partial(console.print, highlight=False, markup=False, soft_wrap=True)
    try:
        results = asyncio.run(measure(progress, frozenset(arguments.only), arguments.runs, arguments.idle_seconds))
    except (PlatformError, RefusedError) as error:
        # whatever else goes wrong ends the program with 1 too, and its trace helps to find out why
        progress(f"Not everything could be measured: {error}")
        return 1
    found = results.figures()
    console.print(as_table(", ".join(f"{name} {value}" for name, value in results.machine.items()), found))
    for line in stage_lines(results.life):
        progress(line)
    if arguments.json:
        arguments.json.write_text(json.dumps(as_json(results.machine, found), indent=2) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
