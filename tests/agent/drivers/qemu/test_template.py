"""A template's memory image: made once, from whatever the host can run."""

import asyncio
import dataclasses

import pytest

from agent.drivers.qemu import QemuDriver, accelerator
from agent.drivers.qemu.accelerator import Verdict
from agent.errors import AgentError, Code
from agent.images import BaseImage
from tests.agent.drivers.qemu.laboratory import Laboratory

pytestmark = pytest.mark.vm


async def test_an_image_is_made_once(driver: QemuDriver, laboratory: Laboratory) -> None:
    async with asyncio.TaskGroup() as tasks:
        asked = [tasks.create_task(driver.prepare("base", 1, 512)) for _ in range(5)]
    assert len({task.result() for task in asked}) == 1
    assert [path.name for path in laboratory.settings.images_dir.iterdir()] == [asked[0].result().content_id]


async def test_kvm_that_cannot_boot_the_template_is_not_used(laboratory: Laboratory) -> None:
    async with laboratory.driver() as known:
        verdict = (await known.facts()).accelerator
        version = (await known.facts()).qemu_version
    if verdict == "kvm":
        pytest.skip("KVM works here")
    accelerator.remember(Verdict("kvm"), version, laboratory.data_dir)
    async with laboratory.driver() as driver:
        facts = await driver.facts()
    assert facts.accelerator == "tcg"
    assert any("KVM does not run the template" in sentence for sentence in facts.shortcomings)


async def test_a_template_that_cannot_boot_leaves_nothing(laboratory: Laboratory) -> None:
    real = await laboratory.base_image()
    kernel = laboratory.data_dir / "no-kernel"
    kernel.write_bytes(bytes(65536))

    async def broken(_: str) -> BaseImage:
        return dataclasses.replace(real, kernel=kernel, content_id="broken")

    # of its own: with another base, images of the former one are removed
    data_dir = laboratory.data_dir / "of-the-broken-one"
    settings = dataclasses.replace(laboratory.settings, data_dir=data_dir, boot_attempts=2, boot_timeout_seconds=1.0)
    driver = QemuDriver(settings, broken)
    await driver.open()
    try:
        with pytest.raises(AgentError) as caught:
            await driver.prepare("base", 1, 512)
        assert caught.value.code is Code.START_FAILED
        assert list(settings.images_dir.iterdir()) == []
    finally:
        await driver.close()
