"""Any number of processors and any amount of memory, for templates that boot."""

import asyncio
import uuid
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from agent.drivers.qemu import QemuDriver, images
from agent.errors import AgentError, Code
from agent.machine import Spec
from tests.agent.drivers.qemu.laboratory import Laboratory, new_spec, run, shell, start

pytestmark = pytest.mark.vm
MEMORY_MB = 192


@pytest_asyncio.fixture
async def own(cache_dir: Path) -> AsyncIterator[QemuDriver]:
    """A driver with images of its own: the others' tests count theirs."""
    made = Laboratory(cache_dir)
    driver = made.second()
    await driver.open()
    yield driver
    for sandbox_id in await driver.leftovers():
        await driver.remove(sandbox_id)
    await driver.close()
    made.remove()


def _spec(vcpus: int, memory_mb: int) -> Spec:
    return Spec(uuid.uuid4(), uuid.UUID(int=1), "base", vcpus, memory_mb, 5120)


async def test_a_new_shape_boots_once_however_many_want_it(own: QemuDriver) -> None:
    specs = [_spec(2, MEMORY_MB) for _ in range(3)]
    async with asyncio.TaskGroup() as tasks:
        first = tasks.create_task(start(own, _spec(1, MEMORY_MB)))
        starting = [tasks.create_task(start(own, spec)) for spec in specs]
        given_up = tasks.create_task(start(own, _spec(2, MEMORY_MB)))
        await asyncio.sleep(0)
        given_up.cancel()
    listed = {(image.vcpus, image.memory_mb) for image in (await own.facts()).images}
    assert listed == {(1, MEMORY_MB), (2, MEMORY_MB)}
    assert await run(first.result(), "nproc") == "1"
    for task in starting:
        assert await run(task.result(), "nproc") == "2"
        memory_mb = int(await shell(task.result(), "free -m | awk '/^Mem/ {print $2}'"))
        assert MEMORY_MB * 0.7 < memory_mb <= MEMORY_MB
    assert len(list(own._settings.images_dir.iterdir())) == len(listed)


async def test_memory_of_images_that_nobody_uses_is_let_go(driver: QemuDriver, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(images, "SEALED_UNUSED_MAX", 0)
    [image] = driver._store.all()
    await driver._store.sealed_ram(image)
    assert driver._store.let_go(()) == 0, "a start that is under way may have its descriptor"
    monkeypatch.setattr(images, "SEALED_UNUSED_SECONDS", 0.0)
    assert driver._store.let_go({image.manifest.content_id}) == 0
    assert driver._store.let_go(()) == 1
    assert await run(await start(driver, new_spec()), "echo", "here") == "here"


async def test_what_no_kernel_could_run_in_is_refused(driver: QemuDriver) -> None:
    with pytest.raises(AgentError) as caught:
        await driver.prepare("base", 1, 64)
    assert caught.value.code is Code.UNSUPPORTED_SHAPE
