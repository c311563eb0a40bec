"""QEMU is upgraded: images are made again, what was paused waits for the former one, nothing is kept for nobody."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from agent.drivers.qemu import QemuDriver, manifests, prerequisites
from agent.drivers.qemu.saved import pauses
from agent.drivers.qemu.superseded import base_folders
from agent.errors import AgentError, Code
from tests.agent.drivers.qemu.laboratory import NO_STAGES, Laboratory, new_spec, resume, run, start
from tests.waiting import eventually

pytestmark = [pytest.mark.vm, pytest.mark.timeout(300)]
UPGRADED = "98.7.6"


@pytest_asyncio.fixture
async def own(cache_dir: Path, memory_images: Path) -> AsyncIterator[Laboratory]:
    """A laboratory of this test alone: what lies in it is counted."""
    made = Laboratory(cache_dir, memory_images)
    yield made
    made.remove()


def images_of(laboratory: Laboratory) -> list[str]:
    """The QEMU of each memory image."""
    folders = [folder for folder in laboratory.settings.images_dir.iterdir() if (folder / manifests.FILE).exists()]
    return sorted(manifests.read_image(folder).qemu_version for folder in folders)


async def upgraded(laboratory: Laboratory, monkeypatch: pytest.MonkeyPatch) -> QemuDriver:
    """As after an upgrade and a restart of the agent: another version is found. What runs is the same QEMU."""

    async def version(_: Path) -> str:
        return UPGRADED

    monkeypatch.setattr(prerequisites, "qemu_version", version)
    driver = laboratory.second()
    await driver.open()
    return driver


async def test_an_upgrade_makes_images_again_and_keeps_the_old_one_for_those_who_need_it(
    own: Laboratory, monkeypatch: pytest.MonkeyPatch
) -> None:
    paused, running = new_spec(), new_spec()
    first = own.second()
    await first.open()
    before = (await first.facts()).qemu_version
    await first.pause(paused, await start(first, paused), NO_STAGES)
    machine = await start(first, running)
    await first.close()

    driver = await upgraded(own, monkeypatch)
    try:
        image = await driver.prepare("base", 1, 512)
        assert images_of(own) == [before, UPGRADED]
        assert image.content_id in {listed.content_id for listed in (await driver.facts()).images}
        [pause] = pauses(own.folder(paused))
        with pytest.raises(AgentError) as refused:
            await resume(driver, paused)
        assert refused.value.code is Code.IMAGE_MISMATCH
        assert f"paused under QEMU {before}" in refused.value.message
        assert f"this host has {UPGRADED} now" in refused.value.message
        assert pauses(own.folder(paused)) == [pause], "nothing of it was touched"

        # one that ran through the upgrade is still the former QEMU's, whatever the host has
        adopted = await driver.adopt(running, machine.incarnation, machine.process)
        assert adopted is not None
        assert await run(adopted, "echo", "here") == "here"
        await driver.pause(running, adopted, NO_STAGES)
        [pause] = pauses(own.folder(running))
        assert manifests.read_pause(pause).qemu_version == before

        await driver.remove(running.sandbox_id)
        await driver._ready.shapes._sweeper.sweep()
        assert images_of(own) == [before, UPGRADED], "one stands on it still"
        await driver.remove(paused.sandbox_id)
        await driver._ready.shapes._sweeper.sweep()
        assert images_of(own) == [UPGRADED]
        assert len(list(base_folders(own.data_dir))) == 1, "the disk below both is the same"
        new = new_spec()
        assert await run(await start(driver, new), "echo", "new") == "new"
    finally:
        for sandbox_id in await driver.leftovers():
            await driver.remove(sandbox_id)
        await driver.close()


async def test_the_former_qemu_resumes_what_it_paused(own: Laboratory, monkeypatch: pytest.MonkeyPatch) -> None:
    spec = new_spec()
    first = own.second()
    await first.open()
    await first.pause(spec, await start(first, spec), NO_STAGES)
    await first.close()
    with monkeypatch.context() as upgrade:
        driver = await upgraded(own, upgrade)
        await driver.prepare("base", 1, 512)
        await driver.close()
    async with own.driver() as again:
        assert await run(await resume(again, spec), "echo", "here") == "here"


async def test_an_image_that_nobody_needs_goes_with_the_first_start_after_the_upgrade(
    own: Laboratory, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = own.second()
    await first.open()
    await first.prepare("base", 1, 512)
    await first.close()
    driver = await upgraded(own, monkeypatch)
    try:
        await driver.prepare("base", 1, 512)
        await eventually(lambda: images_of(own) == [UPGRADED])
    finally:
        await driver.close()


async def test_while_it_cannot_be_told_what_stands_on_what_nothing_is_garbage(own: Laboratory) -> None:
    # there from the first: the driver sweeps by itself after its first image
    starting = own.settings.machines_dir / "00000000-0000-7000-8000-00000000000a"
    starting.mkdir(parents=True)
    driver = own.second()
    await driver.open()
    try:
        await driver.prepare("base", 1, 512)
        stale = own.data_dir / "images/base-of-an-older-guest-program"
        stale.mkdir()
        unreadable = own.settings.images_dir / "unreadable"
        unreadable.mkdir()

        async def found() -> list[str]:
            return [one.path for one in await driver.garbage(await driver.leftovers(), frozenset())]

        assert await found() == []
        starting.rmdir()
        assert await found() == ["memory-images/unreadable"]
        unreadable.rmdir()
        assert await found() == ["images/base-of-an-older-guest-program"]
    finally:
        await driver.close()
