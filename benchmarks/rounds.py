"""Rounds: the whole life of a bare machine, then that of a sandbox, so that noise hits both alike."""

import time
from collections import defaultdict
from dataclasses import dataclass, field
from statistics import median

from benchmarks.figures import Figure
from benchmarks.floor import Floor
from benchmarks.product import Idle, Product, Timed, dirtying

DIRTY_MEBIBYTES = 10.0
EXECS_PER_ROUND = 3

CREATE_FACTOR, CREATE_EXTRA_MILLISECONDS = 1.5, 30.0
EXEC_EXTRA_MILLISECONDS = 10.0
PAUSE_MILLISECONDS = 150.0
RESUME_FACTOR, RESUME_EXTRA_MILLISECONDS = 1.5, 20.0
NOTICE_MILLISECONDS = 30.0
IDLE_CPU_PERCENT = 1.0
IDLE_PSS_MEBIBYTES = 70.0


@dataclass(slots=True)
class Samples:
    """Everything that was measured: by name, in the order of measuring."""

    floor: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))
    product: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))
    stages: dict[str, dict[str, list[float]]] = field(default_factory=lambda: defaultdict(lambda: defaultdict(list)))
    idle: list[Idle] = field(default_factory=list)
    idle_after_command: list[Idle] = field(default_factory=list)
    idle_together: list[float] = field(default_factory=list)

    def keep(self, name: str, timed: Timed) -> None:
        """Keeps a command of the product, and its stages."""
        self.product[name].append(timed.milliseconds)
        for stage, milliseconds in timed.stages.items():
            self.stages[name][stage].append(milliseconds)


async def floor_round(floor: Floor, name: str, samples: Samples) -> None:
    """One life of a bare machine."""
    start = time.perf_counter()
    bare = await floor.clone(name)
    samples.floor["create"].append(_milliseconds(start))
    await floor.run(bare, "true")
    for _ in range(EXECS_PER_ROUND):
        start = time.perf_counter()
        await floor.run(bare, "true")
        samples.floor["exec"].append(_milliseconds(start))
    if (missing := DIRTY_MEBIBYTES - floor.dirty_mebibytes(bare)) > 0:
        await floor.run(bare, *dirtying(int(missing * (1 << 20))))
    samples.floor["dirty"].append(floor.dirty_mebibytes(bare))
    start = time.perf_counter()
    paused = await floor.pause(name, bare)
    samples.floor["pause"].append(_milliseconds(start) - paused.sync_milliseconds)
    samples.floor["sync"].append(paused.sync_milliseconds)
    start = time.perf_counter()
    bare = await floor.resume(paused)
    samples.floor["resume"].append(_milliseconds(start))
    await floor.end(bare)


async def warm_round(floor: Floor, name: str) -> list[float]:
    """A warm clone is let go on and runs a command, some times: milliseconds from `cont` to the command's end."""
    bare = await floor.clone(name)
    await floor.run(bare, "true")
    milliseconds = []
    for _ in range(EXECS_PER_ROUND):
        await floor.stand_still(bare)
        start = time.perf_counter()
        await floor.go_on(bare)
        await floor.run(bare, "true")
        milliseconds.append(_milliseconds(start))
    await floor.end(bare)
    return milliseconds


async def product_round(product: Product, samples: Samples) -> None:
    """One life of a sandbox, ended from outside."""
    sandbox_id, timed = await product.create()
    samples.keep("create", timed)
    await product.run(sandbox_id, "true")
    for _ in range(EXECS_PER_ROUND):
        samples.product["exec"].append(await product.run(sandbox_id, "true"))
    await product.fill_memory(sandbox_id, DIRTY_MEBIBYTES)
    samples.product["dirty"].append(product.dirty_mebibytes(sandbox_id))
    samples.keep("pause", await product.pause(sandbox_id))
    samples.keep("resume", await product.resume(sandbox_id))
    samples.product["notice"].append(await product.notice_of_death(sandbox_id))
    await product.delete(sandbox_id)


def figures(samples: Samples) -> list[Figure]:
    """The figures of all rounds; those of the floor come first and have no goal."""
    floor, product = samples.floor, samples.product
    create_goal = CREATE_FACTOR * median(floor["create"]) + CREATE_EXTRA_MILLISECONDS
    exec_goal = median(floor["exec"]) + EXEC_EXTRA_MILLISECONDS
    resume_goal = RESUME_FACTOR * median(floor["resume"]) + RESUME_EXTRA_MILLISECONDS
    return [
        Figure("floor: clone to first identity reply", "ms", floor["create"]),
        Figure("floor: exec of true, not the first", "ms", floor["exec"]),
        Figure("floor: dirty memory at pause", "MiB", floor["dirty"]),
        Figure("floor: pause, without fsync", "ms", floor["pause"]),
        Figure("floor: fsync of what a pause wrote", "ms", floor["sync"]),
        Figure("floor: resume to first identity reply", "ms", floor["resume"]),
        Figure("createSandbox to RUNNING, no pool", "ms", product["create"], create_goal),
        Figure("exec of true, not the first", "ms", product["exec"], exec_goal),
        Figure("dirty memory at pause", "MiB", product["dirty"]),
        Figure("pauseSandbox to PAUSED, fsync included", "ms", product["pause"], PAUSE_MILLISECONDS),
        Figure("resumeSandbox to RUNNING", "ms", product["resume"], resume_goal),
        Figure("end of QEMU to the subscriber's message", "ms", product["notice"], NOTICE_MILLISECONDS),
        *_idle_figures("an idle sandbox", samples.idle),
        *_idle_figures("one that ran a command", samples.idle_after_command),
        Figure(
            "memory of one that ran a command, among others (PSS)", "MiB", samples.idle_together, IDLE_PSS_MEBIBYTES
        ),
    ]


def _idle_figures(what: str, idle: list[Idle]) -> tuple[Figure, Figure]:
    pss = [one.pss_mebibytes for one in idle]
    return (
        Figure(f"CPU of {what}", "% of a core", [one.cpu_percent for one in idle], IDLE_CPU_PERCENT),
        Figure(f"memory of {what}, alone (PSS)", "MiB", pss, IDLE_PSS_MEBIBYTES),
    )


def stage_lines(samples: Samples) -> list[str]:
    """Where the host's time went, by its own account: a line per command, medians."""
    return [
        f"{name}: " + ", ".join(f"{stage} {median(values):.1f}" for stage, values in stages.items()) + " ms"
        for name, stages in samples.stages.items()
    ]


def _milliseconds(start: float) -> float:
    return (time.perf_counter() - start) * 1000
