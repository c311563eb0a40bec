"""Pauses of more and less memory: what a pause costs must follow what was written, not what there is."""

import time
from collections import defaultdict
from dataclasses import dataclass, field
from statistics import median

from benchmarks.figures import Figure
from benchmarks.floor import Floor
from benchmarks.product import Product, dirtying

SIZES_MEBIBYTES = (10.0, 60.0, 110.0)
"""Of dirty memory; a guest has about 9 MiB when it has run one command."""
LARGE_MEMORY_MB = 4096
BEYOND_SYNC_MILLISECONDS = 60.0
SLOPE_MILLISECONDS_PER_MEBIBYTE = 2.0
LARGE_MILLISECONDS = 150.0


@dataclass(slots=True)
class PauseSamples:
    """By size: milliseconds of the product's pause, of the floor's flush of as much, and what was really dirty."""

    product: dict[float, list[float]] = field(default_factory=lambda: defaultdict(list))
    sync: dict[float, list[float]] = field(default_factory=lambda: defaultdict(list))
    dirty: dict[float, list[float]] = field(default_factory=lambda: defaultdict(list))
    large: list[float] = field(default_factory=list)

    @property
    def beyond_sync(self) -> list[float]:
        """Of the smallest size, without what flushing it takes."""
        smallest = SIZES_MEBIBYTES[0]
        return [milliseconds - median(self.sync[smallest]) for milliseconds in self.product[smallest]]

    @property
    def slope(self) -> list[float]:
        """Milliseconds for each MiB more, without what flushing it takes."""
        small, large = SIZES_MEBIBYTES[0], SIZES_MEBIBYTES[-1]
        sync = median(self.sync[large]) - median(self.sync[small])
        pairs = zip(self.product[small], self.product[large], self.dirty[small], self.dirty[large], strict=True)
        return [(much - little - sync) / (most - least) for little, much, least, most in pairs]


async def pause_round(floor: Floor, product: Product, name: str, samples: PauseSamples) -> None:
    """One pause of each size, of a bare machine and of a sandbox, and one of a sandbox of 4 GiB."""
    for size in SIZES_MEBIBYTES:
        bare = await floor.clone(f"{name}-{size:.0f}")
        await floor.run(bare, "true")
        if (missing := size - floor.dirty_mebibytes(bare)) > 0:
            await floor.run(bare, *dirtying(int(missing * (1 << 20))))
        samples.sync[size].append((await floor.pause(f"{name}-{size:.0f}", bare)).sync_milliseconds)
        sandbox_id, _ = await product.create()
        await product.fill_memory(sandbox_id, size)
        samples.dirty[size].append(product.dirty_mebibytes(sandbox_id))
        samples.product[size].append((await product.pause(sandbox_id)).milliseconds)
        await product.delete(sandbox_id)
    sandbox_id, _ = await product.create(memoryMb=LARGE_MEMORY_MB)
    await product.fill_memory(sandbox_id, SIZES_MEBIBYTES[0])
    start = time.perf_counter()
    await product.pause(sandbox_id)
    samples.large.append((time.perf_counter() - start) * 1000)
    await product.delete(sandbox_id)


def figures(samples: PauseSamples) -> list[Figure]:
    """Those of all rounds."""
    return [
        *(
            Figure(f"floor: fsync of a pause of {size:.0f} MiB", "ms", milliseconds)
            for size, milliseconds in samples.sync.items()
        ),
        *(
            Figure(f"pauseSandbox of {size:.0f} MiB dirty, fsync included", "ms", milliseconds)
            for size, milliseconds in samples.product.items()
        ),
        Figure("pause of 10 MiB beyond the floor's fsync", "ms", samples.beyond_sync, BEYOND_SYNC_MILLISECONDS),
        Figure("pause, for each MiB more, beyond fsync", "ms", samples.slope, SLOPE_MILLISECONDS_PER_MEBIBYTE),
        Figure("pauseSandbox of 4 GiB of RAM, 10 MiB dirty", "ms", samples.large, LARGE_MILLISECONDS),
    ]
