"""How long a sandbox stands still for a fork, by what it has written to its memory. For a template it is the same
moment, of the same code: only what is done with the pages afterwards differs."""

from collections import defaultdict
from dataclasses import dataclass, field

from benchmarks.figures import Figure
from benchmarks.product import Product, Timed

STAGES = ("save", "layer", "continue")
"""Those in which the parent stands still, by its host's account; `stop` is their beginning."""
MILLISECONDS = 100.0
GOALS = {10.0: MILLISECONDS, 50.0: MILLISECONDS, 200.0: None}
"""By MiB of dirty memory."""
STEP_MEBIBYTES = 10.0


@dataclass(slots=True)
class Standstills:
    """By size: milliseconds."""

    milliseconds: dict[float, list[float]] = field(default_factory=lambda: defaultdict(list))


def milliseconds(timed: Timed) -> float:
    """How long the parent of a fork stood still."""
    return sum(timed.stages[name] for name in STAGES)


async def standstill_round(product: Product, samples: Standstills) -> None:
    """One fork of a sandbox of each size. All are deleted before this returns."""
    for mebibytes in GOALS:
        parent, _ = await product.create()
        # in steps: a command has 30 s, and an emulated guest makes 10 MB of random numbers a second if it must share
        for step in range(1, int(mebibytes // STEP_MEBIBYTES) + 1):
            await product.fill_memory(parent, step * STEP_MEBIBYTES)
        children, timed = await product.fork(parent, 1)
        samples.milliseconds[mebibytes].append(milliseconds(timed))
        for sandbox_id in (*children, parent):
            await product.delete(sandbox_id)


def figures(samples: Standstills) -> list[Figure]:
    """Those of all rounds."""
    return [
        Figure(f"fork: its parent stands still, {mebibytes:.0f} MiB dirty", "ms", found, GOALS[mebibytes])
        for mebibytes, found in samples.milliseconds.items()
    ]
