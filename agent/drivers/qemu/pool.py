"""The warm pool: clones that have run once and stand still until a sandbox wants one.

What a fresh clone pays for, QEMU's start, page faults and, under emulation, the translation of all that it runs for
the first time, has been paid here by nobody's caller. Handing one over is a rename, `cont` and an identity. Filling
goes on in the background, one clone after the other, and only while nobody is being started: a caller who finds the
pool empty gets an ordinary clone, and waits for nothing else.

How many are kept follows what was asked for: of the default template and shape `READY_MIN` from the beginning, of
every image as many as were asked for in the busiest `WINDOW_SECONDS` of the last `REMEMBERED_SECONDS`, but `ready_max`
at most altogether, and fewer while memory is short.
"""

import asyncio
import contextlib
import shutil
import time
from collections import deque
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from uuid import UUID, uuid4

import structlog

from agent.computer import memory_available_mb
from agent.drivers.driver import Command, PoolFacts
from agent.drivers.qemu import records
from agent.drivers.qemu.clones import Cloner
from agent.drivers.qemu.images import Image, ImageStore
from agent.drivers.qemu.machine import QemuMachine
from agent.drivers.qemu.monitor import MonitorError
from agent.errors import AgentError
from agent.machine import Spec

READY_MIN = 2
"""Of the default image, if the pool is on: enough for a person who tries it."""
WINDOW_SECONDS = 10.0
REMEMBERED_SECONDS = 300.0
CALM_SECONDS = 0.25
"""After the last start, before the pool is filled again: callers come in groups."""
RETRY_SECONDS = 5.0
"""After a clone for the pool could not be made."""
LOOK_SECONDS = 1.0
CLONE_MB = 96
"""What a clone that stands still takes of memory: ~60 MB, and what its guest writes when it is handed over."""
MEMORY_SHARE = 8
"""The pool takes at most this part of the memory that is available, 1/8, and gives back what is above it."""
WARM_UP = (("true",), ("sh", "-c", "true"), ("python3", "-c", "pass"))
"""What sandboxes run first; twice, since the first time translates and the second finds what is still missing."""
log = structlog.get_logger()


@dataclass(slots=True)
class _Ready:
    """Clones of one image, and how many were asked for when."""

    image: Image
    waiting: deque[QemuMachine] = field(default_factory=deque)
    asked: deque[float] = field(default_factory=deque)
    handed_over: int = 0
    missed: int = 0
    is_default: bool = False

    def note(self, now: float) -> None:
        self.asked.append(now)

    def wanted(self, now: float, ready_max: int) -> int:
        while self.asked and now - self.asked[0] > REMEMBERED_SECONDS:
            self.asked.popleft()
        most, begin, times = 0, 0, list(self.asked)
        for end, at in enumerate(times):
            while at - times[begin] > WINDOW_SECONDS:
                begin += 1
            most = max(most, end - begin + 1)
        least = min(READY_MIN, ready_max) if self.is_default else 0
        # one that was asked for once may never be asked for again
        return min(max(least, most if most > 1 else 0), ready_max)


class Pool:
    """Of one driver. `default` says which image is kept from the beginning."""

    def __init__(
        self,
        folder: Path,
        store: ImageStore,
        ready_max: int,
        default: Callable[[], Awaitable[Image]],
        available_mb: Callable[[], int] = memory_available_mb,
    ) -> None:
        self._folder = folder
        self._store = store
        self._ready_max = ready_max
        self._default = default
        self._available_mb = available_mb
        self._images: dict[str, _Ready] = {}
        self._starting = 0
        self._calm_since = 0.0
        self._news = asyncio.Event()

    @property
    def is_on(self) -> bool:
        """Whether there is one at all."""
        return self._ready_max > 0

    def open(self) -> None:
        """Ends and removes what an earlier agent left. Blocks. Raises: OSError."""
        self._folder.mkdir(mode=0o711, parents=True, exist_ok=True)
        for path in self._folder.iterdir():
            records.end_process(path)
            records.end_strays(path)
            shutil.rmtree(path, ignore_errors=True)

    def facts(self) -> tuple[PoolFacts, ...]:
        """How it is, by image."""
        now = time.monotonic()
        return tuple(
            PoolFacts(
                template_name=ready.image.manifest.template_name,
                template_id=UUID(ready.image.manifest.template_id) if ready.image.manifest.template_id else None,
                vcpus=ready.image.manifest.vcpus,
                memory_mb=ready.image.manifest.memory_mb,
                ready=len(ready.waiting),
                wanted=self._bounded(ready, now),
                handed_over=ready.handed_over,
                missed=ready.missed,
            )
            for ready in self._images.values()
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
        left of one that cannot be handed over."""
        if not self.is_on:
            return None
        ready = self._images.setdefault(image.manifest.content_id, _Ready(image))
        ready.note(time.monotonic())
        while ready.waiting:
            machine = ready.waiting.popleft()
            try:
                await machine.hand_over(folder, incarnation)
            except (MonitorError, OSError) as error:
                log.warning("pool_clone_lost", sandbox_id=str(spec.sandbox_id), reason=repr(error))
                await _end(machine)
                continue
            ready.handed_over += 1
            self._news.set()
            return machine
        ready.missed += 1
        self._news.set()
        return None

    async def tend(self, cloner: Cloner) -> None:
        """Fills it for as long as the agent lives."""
        if not self.is_on:
            await asyncio.Event().wait()
        while True:
            pause = LOOK_SECONDS
            try:
                await self._note_default()
                await self._give_back()
                if self._starting == 0 and time.monotonic() - self._calm_since >= CALM_SECONDS:
                    pause = 0 if await self._fill_one(cloner) else LOOK_SECONDS
            except (AgentError, MonitorError, OSError, LookupError) as error:
                log.warning("pool_not_filled", reason=repr(error))
                pause = RETRY_SECONDS
            self._news.clear()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(pause or CALM_SECONDS / 10):
                    await self._news.wait()

    async def _note_default(self) -> None:
        if any(ready.is_default for ready in self._images.values()):
            return
        image = await self._default()
        self._images.setdefault(image.manifest.content_id, _Ready(image)).is_default = True

    def _bounded(self, ready: _Ready, now: float) -> int:
        """How many of one image are kept now: what was wanted, as far as memory goes."""
        waiting = sum(len(each.waiting) for each in self._images.values())
        affordable = (self._available_mb() + waiting * CLONE_MB) // MEMORY_SHARE // CLONE_MB
        return min(ready.wanted(now, self._ready_max), max(0, affordable))

    async def _give_back(self) -> None:
        """Ends clones that are not wanted any more, or for which memory is too short."""
        now = time.monotonic()
        for name, ready in tuple(self._images.items()):
            current = self._store.get(name) is ready.image
            keep = self._bounded(ready, now) if current else 0
            for machine in tuple(ready.waiting):
                if not machine.running.process.running:
                    ready.waiting.remove(machine)
                    await _end(machine)
            while len(ready.waiting) > keep:
                await _end(ready.waiting.pop())
            if not current or (keep == 0 and not ready.asked and not ready.is_default):
                self._images.pop(name, None)

    async def _fill_one(self, cloner: Cloner) -> bool:
        """Makes one clone, where most are missing; whether there was anything to do."""
        now = time.monotonic()
        missing = [(self._bounded(ready, now) - len(ready.waiting), ready) for ready in self._images.values()]
        count, ready = max(missing, key=lambda pair: pair[0], default=(0, None))
        total = sum(len(each.waiting) for each in self._images.values())
        if ready is None or count <= 0 or total >= self._ready_max:
            return False
        machine = await self._make(cloner, ready.image)
        ready.waiting.append(machine)
        return True

    async def _make(self, cloner: Cloner, image: Image) -> QemuMachine:
        known, name = image.manifest, uuid4()
        spec = Spec(name, UUID(int=0), known.template_name, known.vcpus, known.memory_mb, known.disk_size_mb)
        machine = await cloner.clone(self._folder / str(name), spec, name, image, lambda _: None)
        try:
            for argv in (*WARM_UP, *WARM_UP):
                process = await machine.exec(Command(argv))
                async for _ in process:
                    pass
            await machine.stand_still()
        except BaseException:
            await asyncio.shield(_end(machine))
            raise
        return machine

    async def remove(self, content_id: str) -> None:
        """Ends the clones of an image that is going to be removed."""
        ready = self._images.pop(content_id, None)
        while ready is not None and ready.waiting:
            await _end(ready.waiting.pop())

    async def close(self) -> None:
        """Ends all of them: nobody else knows of them."""
        for name in tuple(self._images):
            await self.remove(name)


async def _end(machine: QemuMachine) -> None:
    await machine.end()
    await asyncio.to_thread(shutil.rmtree, machine.folder, ignore_errors=True)
