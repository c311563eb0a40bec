"""The warm pool: clones that have run once and stand still until a sandbox wants one.

What a fresh clone pays for, QEMU's start, page faults and, under emulation, the translation of all that it runs for
the first time, has been paid here by nobody's caller. Handing one over is a rename, `cont` and an identity. Filling
goes on in the background, one clone after the other, with the least weight of all, and only while nobody is being
started: a caller who finds the pool empty gets an ordinary clone, and waits for nothing else.

How many are kept is said in `demand.py`; never more than `ready_max` and than a share of the memory that is available.
"""

import asyncio
import contextlib
import shutil
import time
from collections import deque
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from uuid import UUID, uuid4

import structlog

from agent.computer import memory_available_mb
from agent.drivers.driver import Command, Leftover, PoolFacts
from agent.drivers.qemu import disks, records
from agent.drivers.qemu.clones import Cloner
from agent.drivers.qemu.demand import Demand, shares
from agent.drivers.qemu.images import Image, ImageStore
from agent.drivers.qemu.launch import settled
from agent.drivers.qemu.machine import QemuMachine
from agent.drivers.qemu.monitor import MonitorError
from agent.drivers.qemu.tasks import Tasks
from agent.errors import AgentError, Code
from agent.machine import Spec

CALM_SECONDS = 0.25
"""After the last start, before filling goes on: callers come in groups, and what they run first comes then."""
RETRY_SECONDS, RETRY_SECONDS_MAX = 5.0, 300.0
"""After a clone for the pool could not be made: then twice as long each time."""
LOOK_SECONDS = 1.0
CLONE_MB = 96
"""What a clone that stands still takes of memory: ~60 MB, and what its guest writes when it is handed over."""
MEMORY_SHARE = 8
"""The pool takes at most this part of the memory that is available, 1/8, and gives back what is above it."""
ROOM_MB = 384
"""What must be free beside a new machine's memory: as `agent/parts.py` reckons, 128 MiB for QEMU, 256 for the host."""
WARM_UP = (("true",), ("sh", "-c", "true"), ("python3", "-c", "pass"))
"""What sandboxes run first; twice, since the first time translates and the second finds what is still missing."""
log = structlog.get_logger()


@dataclass(slots=True)
class _Ready:
    """Clones of one image."""

    image: Image
    demand: Demand = field(default_factory=Demand)
    waiting: deque[QemuMachine] = field(default_factory=deque)
    handed_over: int = 0
    missed: int = 0


class _NotWanted(Exception):
    """The image was removed while a clone of it was being made."""


class Pool:
    """Of one driver. `default` says which image is kept from the beginning."""

    def __init__(
        self,
        folder: Path,
        store: ImageStore,
        ready_max: int,
        default: Callable[[], Awaitable[Image]],
        tasks: Tasks,
        available_mb: Callable[[], int] = memory_available_mb,
    ) -> None:
        self._folder = folder
        self._store = store
        self._ready_max = ready_max
        self._default = default
        self._tasks = tasks
        self._available_mb = available_mb
        self._images: dict[str, _Ready] = {}
        self._starting = 0
        self._calm_since = 0.0
        self._news = asyncio.Event()
        self._filling = asyncio.Lock()
        self._making = ""  # the name of the clone's folder
        self._making_of = ""  # the image's content id

    def open(self) -> None:
        """Ends and removes what an earlier agent left. Blocks. Raises: OSError."""
        self._folder.mkdir(mode=0o711, parents=True, exist_ok=True)
        for path in self._folder.iterdir():
            if not records.end_process(path):
                records.end_strays(path)
            shutil.rmtree(path, ignore_errors=True)

    def facts(self) -> tuple[PoolFacts, ...]:
        """How it is, by image."""
        kept = self._shares()
        return tuple(
            PoolFacts(
                template_name=ready.image.manifest.template_name,
                template_id=UUID(ready.image.manifest.template_id) if ready.image.manifest.template_id else None,
                vcpus=ready.image.manifest.vcpus,
                memory_mb=ready.image.manifest.memory_mb,
                ready=len(ready.waiting),
                wanted=kept[name],
                handed_over=ready.handed_over,
                missed=ready.missed,
            )
            for name, ready in self._images.items()
        )

    def images(self) -> frozenset[str]:
        """Content ids of the images that clones of it stand on."""
        return frozenset(self._images)

    def reclaimable_mb(self) -> int:
        """Memory that it would give back to a machine that finds no other."""
        return self._count() * CLONE_MB

    def leftovers(self) -> tuple[Leftover, ...]:
        """What lies in its folder and is no clone of its own. Blocks."""
        own = {machine.folder.name for ready in self._images.values() for machine in ready.waiting} | {self._making}
        return tuple(
            Leftover(
                f"{self._folder.name}/{path.name}", disks.blocks_of(path), "A clone that the pool does not know of."
            )
            for path in sorted(self._folder.iterdir())
            if path.name not in own and not records.is_running(path)
        )

    @contextmanager
    def starting(self) -> Iterator[None]:
        """Nothing is filled while somebody is started or resumed."""
        self._starting += 1
        try:
            yield
        finally:
            self._starting -= 1
            self._calm_since = time.monotonic()
            self._news.set()

    async def take(self, image: Image, spec: Spec, incarnation: UUID, folder: Path) -> QemuMachine | None:
        """A clone, in the sandbox's folder and running, still without its identity; None if there is none. Nothing is
        left of one that cannot be handed over. Raises: AgentError START_FAILED if the folder is there already."""
        if self._ready_max == 0:
            return None
        if folder.exists():
            raise AgentError(Code.START_FAILED, "This sandbox has files on the host already.")
        ready = self._images.setdefault(image.manifest.content_id, _Ready(image))
        ready.demand.asked.append(time.monotonic())
        self._news.set()
        while ready.waiting:
            machine = ready.waiting.popleft()
            try:
                await machine.hand_over(folder, incarnation)
            except BaseException as error:
                await self._end(machine)
                if not isinstance(error, (MonitorError, OSError)):
                    raise
                log.warning("pool_clone_lost", sandbox_id=str(spec.sandbox_id), reason=repr(error))
                continue
            ready.handed_over += 1
            return machine
        ready.missed += 1
        return None

    async def make_room(self, memory_mb: int) -> None:
        """Ends clones, if a machine with so much memory would not find it otherwise."""
        lacking = memory_mb + ROOM_MB - self._available_mb()
        while lacking > 0 and (ready := max(self._images.values(), key=lambda one: len(one.waiting), default=None)):
            if not ready.waiting:
                return
            await self._end(ready.waiting.pop())
            lacking -= CLONE_MB

    async def tend(self, cloner: Cloner) -> None:
        """Fills it for as long as the agent lives; returns at once where there is none."""
        failures, not_before = 0, 0.0
        while self._ready_max > 0:
            made = False
            try:
                await self._give_back()
                if self._is_calm() and time.monotonic() >= not_before:
                    await self._note_default()
                    made = await self._fill_one(cloner)
                    failures = 0
            except (AgentError, MonitorError, OSError, LookupError) as error:
                log.warning("pool_not_filled", reason=repr(error), detail=getattr(error, "detail", ""))
                not_before = time.monotonic() + min(RETRY_SECONDS * 2**failures, RETRY_SECONDS_MAX)
                failures = min(failures + 1, 10)
            if not made:
                await self._something_new()

    async def _something_new(self) -> None:
        """Waits for it, or for the next look."""
        self._news.clear()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(LOOK_SECONDS):
                await self._news.wait()
        if not self._is_calm():
            await asyncio.sleep(CALM_SECONDS)

    def _is_calm(self) -> bool:
        return self._starting == 0 and time.monotonic() - self._calm_since >= CALM_SECONDS

    async def _note_default(self) -> None:
        if any(ready.demand.is_default for ready in self._images.values()):
            return
        image = await self._default()
        self._images.setdefault(image.manifest.content_id, _Ready(image)).demand.is_default = True

    def _count(self) -> int:
        return sum(len(ready.waiting) for ready in self._images.values())

    def _shares(self) -> dict[str, int]:
        """How many are kept of each image: as many as are wanted, as far as memory goes."""
        affordable = (self._available_mb() + self._count() * CLONE_MB) // MEMORY_SHARE // CLONE_MB
        demands = {name: ready.demand for name, ready in self._images.items()}
        return shares(demands, time.monotonic(), min(self._ready_max, affordable))

    async def _give_back(self) -> None:
        """Ends clones that are dead, that are not wanted any more, or for which memory is too short."""
        kept = self._shares()
        for name, ready in tuple(self._images.items()):
            current = self._store.get(name) is ready.image
            dead = [machine for machine in ready.waiting if not machine.running.process.running]
            ready.waiting = deque(machine for machine in ready.waiting if machine not in dead)
            for machine in dead:
                await self._end(machine)
            while len(ready.waiting) > (kept[name] if current else 0):
                await self._end(ready.waiting.pop())
            if not current or not (ready.demand.is_default or ready.demand.asked):
                self._images.pop(name, None)

    async def _fill_one(self, cloner: Cloner) -> bool:
        """Makes one clone, where most are missing; whether there was anything to do."""
        kept = self._shares()
        missing = {name: kept[name] - len(ready.waiting) for name, ready in self._images.items()}
        name = max(missing, key=missing.__getitem__, default="")
        if not name or missing[name] <= 0 or self._count() >= self._ready_max:
            return False
        ready = self._images[name]
        async with self._filling:
            try:
                ready.waiting.append(await self._make(cloner, name, ready))
            except _NotWanted:
                return True
            finally:
                self._making = self._making_of = ""
        return True

    async def _make(self, cloner: Cloner, content_id: str, ready: _Ready) -> QemuMachine:
        """Raises: _NotWanted if its image went meanwhile; AgentError, MonitorError. Nothing is left then."""
        known, name = ready.image.manifest, uuid4()
        self._making, self._making_of = str(name), content_id
        spec = Spec(name, UUID(int=0), known.template_name, known.vcpus, known.memory_mb, known.disk_size_mb)
        folder = self._folder / str(name)
        machine = await cloner.clone(folder, spec, name, ready.image, lambda _: None, in_background=True)
        try:
            for argv in (*WARM_UP, *WARM_UP):
                while not self._is_calm() and self._images.get(content_id) is ready:
                    await self._something_new()
                process = await machine.exec(Command(argv))
                async for _ in process:
                    pass
            # As when it is handed over: it becomes another then, and does all that this takes for the second time.
            await machine.identify(replace(spec, sandbox_id=uuid4()), cloner.settings.guest_timeout_seconds)
            await machine.stand_still()
            if self._images.get(content_id) is not ready:
                raise _NotWanted
        except BaseException:
            await self._end(machine)
            raise
        return machine

    async def remove(self, content_id: str) -> None:
        """Ends the clones of an image that is going to be removed, also one that is just being made."""
        ready = self._images.pop(content_id, None)
        while ready is not None and ready.waiting:
            await self._end(ready.waiting.pop())
        if self._making_of == content_id:
            async with self._filling:
                pass  # it has noticed, and ended it

    async def close(self) -> None:
        """Ends all of them: nobody else knows of them. `tend` has ended by then."""
        for name in tuple(self._images):
            await self.remove(name)

    async def _end(self, machine: QemuMachine) -> None:
        """Runs to its end once begun."""
        await settled(self._tasks.start(_ended(machine), "end of a clone in the pool"))


async def _ended(machine: QemuMachine) -> None:
    await machine.end()
    await asyncio.to_thread(shutil.rmtree, machine.folder, ignore_errors=True)
