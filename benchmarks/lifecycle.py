"""`python -m benchmarks.lifecycle`: what the life of a sandbox costs, next to the least that it can cost here.

Prints a table; exits with 0 when everything was measured, whether goals are met or not, and with 1 otherwise.
"""

import argparse
import asyncio
import json
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path

from graphql import parse
from rich.console import Console

from agent.images import base_image
from benchmarks.bare import Image
from benchmarks.computer import describe
from benchmarks.figures import as_json, as_table
from benchmarks.floor import Floor
from benchmarks.product import Product
from benchmarks.rounds import Samples, figures, floor_round, product_round, stage_lines
from benchmarks.settings import cache_directory, environment
from nestbox.demo.client import Client, RefusedError, connect
from nestbox.demo.platform import PlatformError, platform

MEMORY_BYTES = 512 << 20
"""The default shape."""
IDLE_SANDBOXES = 3
HOSTS = parse("{ admin { hosts { accelerator } } }")


async def measure(console: Console, runs: int, idle_seconds: float) -> tuple[dict[str, str | int], Samples]:
    """Everything that is to be measured, after one round that is not counted."""
    samples = Samples()
    progress = partial(console.print, highlight=False, markup=False, soft_wrap=True)
    async with platform(environment(), progress) as found, connect(found.url, found.key) as client:
        accelerator = await _accelerator(client, console)
        async with _floor(accelerator, progress) as floor, _product(client) as product:
            for number in range(runs + 1):
                start = time.perf_counter()
                # the first round is thrown away: files are read and images made in it
                into = samples if number else Samples()
                await floor_round(floor, f"floor{number}", into)
                await product_round(product, into)
                console.print(f"round {number} of {runs}: {time.perf_counter() - start:.1f} s", highlight=False)
            for number in range(1, IDLE_SANDBOXES + 1):
                samples.idle.append(await product.idle_alone(idle_seconds))
                samples.idle_after_command.append(await product.idle_alone(idle_seconds, "true"))
                console.print(f"idle sandbox {number} of {IDLE_SANDBOXES}", highlight=False)
            samples.idle_together = await product.idle_together(IDLE_SANDBOXES)
    return describe(accelerator), samples


async def _accelerator(client: Client, console: Console) -> str:
    """That of the platform's host, which the floor is to use as well."""
    try:
        hosts = (await client.query(HOSTS))["admin"]["hosts"]
    except RefusedError as error:
        console.print(f"The host's accelerator is not told ({error}); the floor takes tcg.", highlight=False)
        return "tcg"
    return str(hosts[0]["accelerator"])


@asynccontextmanager
async def _floor(accelerator: str, progress: Callable[[str], None]) -> AsyncIterator[Floor]:
    with tempfile.TemporaryDirectory(prefix="nestbox-floor-") as name:
        directory = Path(name)
        image = await base_image(cache_directory(), directory, progress)
        floor = Floor(Image(image.kernel, image.initrd, image.disk, MEMORY_BYTES, accelerator), directory)
        try:
            await floor.prepare()
            yield floor
        finally:
            floor.close()


@asynccontextmanager
async def _product(client: Client) -> AsyncIterator[Product]:
    product = Product(client)
    try:
        yield product
    finally:
        await product.close()


def main() -> int:
    """Parses arguments, measures, prints; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.lifecycle", description=__doc__)
    parser.add_argument("--runs", type=int, default=15, help="rounds that count (default: %(default)s)")
    parser.add_argument("--idle-seconds", type=float, default=20, help="how long idleness is watched (%(default)s)")
    parser.add_argument("--json", type=Path, help="write the figures to this file as well")
    arguments = parser.parse_args()
    console = Console()
    try:
        machine, samples = asyncio.run(measure(console, arguments.runs, arguments.idle_seconds))
    except (PlatformError, RefusedError) as error:
        # whatever else goes wrong ends the program with 1 too, and its trace helps to find out why
        console.print(f"Not everything could be measured: {error}", highlight=False, soft_wrap=True)
        return 1
    result = figures(samples)
    console.print(as_table(", ".join(f"{name} {value}" for name, value in machine.items()), result))
    for line in stage_lines(samples):
        console.print(line, highlight=False, soft_wrap=True)
    if arguments.json:
        arguments.json.write_text(json.dumps(as_json(machine, result), indent=2) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
