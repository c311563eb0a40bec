"""Memory images of base templates, in any shape: a shape without one boots once, and its image is kept."""

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path

from agent.drivers.qemu import accelerator
from agent.drivers.qemu.accelerator import Verdict
from agent.drivers.qemu.images import Image, ImageStore
from agent.drivers.qemu.settings import QemuSettings
from agent.drivers.qemu.standing import Standing
from agent.drivers.qemu.superseded import Sweeper
from agent.drivers.qemu.tasks import Tasks
from agent.drivers.qemu.template import Recipe, TemplateMaker
from agent.errors import AgentError, Code
from agent.images import BaseImage

MEMORY_MB_MIN = 128  # with less there is nothing left for programs: kernel, its tables and the guest program take ~70
BOOTS_AT_ONCE = 2  # of templates; each keeps a core busy for seconds

BaseImages = Callable[[str], Awaitable[BaseImage]]
"""The base image of a template, by its name. It is asked at each start, since templates come and go: so it answers from
memory if nothing has changed. Raises: AgentError UNKNOWN_TEMPLATE, or INTERNAL if it could not be built."""


class Shapes:
    """Finds images, or makes them. `verdict` is how machines run on this host; it changes if KVM turns out not to
    work."""

    def __init__(
        self,
        store: ImageStore,
        maker: TemplateMaker,
        base_images: BaseImages,
        tasks: Tasks,
        *,
        verdict: Verdict,
        qemu_version: str,
        tsc_khz: int,
        settings: QemuSettings,
        standing: Standing,
    ) -> None:
        self.verdict = verdict
        self._store = store
        self._maker = maker
        self._base_images = base_images
        self._tasks = tasks
        self._qemu_version = qemu_version
        self._tsc_khz = tsc_khz
        self._data_dir = settings.data_dir
        self._sweeper = Sweeper(settings, store, base_images, self._recipe, standing)
        self._making: dict[str, asyncio.Task[Image]] = {}
        self._turns = asyncio.Semaphore(BOOTS_AT_ONCE)

    def unneeded(self) -> list[Path]:
        """See `Sweeper.unneeded`."""
        return self._sweeper.unneeded()

    async def image(self, template_name: str, vcpus: int, memory_mb: int) -> Image:
        """See `Driver.prepare`. Concurrent calls for one image make it once, and share its failure. Once begun it is
        made to the end, though nobody may wait for it any more.

        Raises: AgentError UNKNOWN_TEMPLATE, UNSUPPORTED_SHAPE, START_FAILED, DISK_FULL, IMAGE_MISMATCH.
        """
        if memory_mb < MEMORY_MB_MIN:
            raise AgentError(Code.UNSUPPORTED_SHAPE, f"A machine needs at least {MEMORY_MB_MIN} MB of memory.")
        base = await self._base_images(template_name)
        if self._sweeper.note(template_name, base):
            self._tasks.keep(self._sweeper.sweep(), "sweep")
        recipe = self._recipe(template_name, base, vcpus, memory_mb)
        try:
            return await self._made(recipe)
        except AgentError as error:
            if recipe.accelerator == "tcg" or error.code is not Code.START_FAILED:
                raise
            self._distrust_kvm(error.message)
            return await self._made(self._recipe(template_name, base, vcpus, memory_mb))

    def _distrust_kvm(self, problem: str) -> None:
        """The probe's guest is tiny; a template is the proof. Emulated, it runs on any host."""
        if self.verdict.accelerator != "tcg":
            self.verdict = Verdict("tcg", f"KVM does not run the template here: {problem}")
            accelerator.remember(self.verdict, self._qemu_version, self._data_dir)

    async def _made(self, recipe: Recipe) -> Image:
        name = recipe.content_id
        if image := self._store.get(name):
            return image
        making = self._making.get(name)
        if making is None:
            making = self._making[name] = self._tasks.start(self._make(recipe), f"image {name}")
            making.add_done_callback(lambda _: self._making.pop(name))
        return await asyncio.shield(making)

    async def _make(self, recipe: Recipe) -> Image:
        async with self._turns:
            image = await self._maker.make(recipe)
        # What it replaces is not needed any more, unless a sandbox stands on it.
        self._tasks.keep(self._sweeper.sweep(), "sweep")
        return image

    def _recipe(self, template_name: str, base: BaseImage, vcpus: int, memory_mb: int) -> Recipe:
        return Recipe(
            template_name, vcpus, memory_mb, base, self.verdict.accelerator, self._qemu_version, self._tsc_khz
        )
