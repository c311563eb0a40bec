"""Templates of one's own boot: an imported root file system, and one with more packages."""

import asyncio
from pathlib import Path

import pytest

from agent.drivers.qemu import QemuDriver, manifests
from agent.drivers.qemu.superseded import base_folders
from agent.errors import AgentError, Code
from agent.images.templates import build_template, import_template, remove_template
from tests.agent.drivers.qemu.laboratory import Laboratory, run, shell, spec_of, start
from tests.agent.images.archives import of_disk

pytestmark = [pytest.mark.vm, pytest.mark.timeout(300)]


def quiet(_: str) -> None:
    """For those who do not ask."""


def images_of(laboratory: Laboratory) -> set[str]:
    """The templates that have memory images; each with a base image below it, and no others."""
    images = [manifests.read_image(folder) for folder in laboratory.settings.images_dir.iterdir()]
    below = {(laboratory.data_dir / image.disks[-1]).parent for image in images}
    assert below == set(base_folders(laboratory.data_dir))
    return {image.template_name for image in images}


async def test_an_imported_root_file_system_boots_without_a_busybox_of_its_own(
    driver: QemuDriver, laboratory: Laboratory, tmp_path: Path
) -> None:
    source = await asyncio.to_thread(of_disk, (await laboratory.base_image()).disk, tmp_path)
    removed = await asyncio.create_subprocess_exec(
        "tar", "--delete", "-f", str(source), "./usr/bin/busybox", "./etc/inittab", "./etc/hostname"
    )
    assert await removed.wait() == 0
    spec = spec_of("mine")
    with pytest.raises(AgentError) as refused:
        await start(driver, spec)
    assert refused.value.code is Code.UNKNOWN_TEMPLATE
    await import_template(laboratory.settings.cache_dir, laboratory.data_dir, "mine", source, quiet)
    try:
        machine = await start(driver, spec)
        assert await shell(machine, "command -v busybox || echo none") == "none"
        assert (await run(machine, "cat", "/etc/hostname")).startswith("sb-")
        assert int((await shell(machine, "df --output=size -m / | tail -1")).strip()) > 4800
        assert await shell(machine, "stat -c %U:%a /usr/bin/python3.11 /tmp") == "root:755\nroot:1777"
        assert await shell(machine, "test -c /dev/null -a -b /dev/vda && echo devices") == "devices"
        await driver.remove(spec.sandbox_id)
    finally:
        await remove_template(laboratory.data_dir, "mine", quiet)
    with pytest.raises(AgentError) as refused:
        await start(driver, spec)
    assert refused.value.code is Code.UNKNOWN_TEMPLATE
    await driver._ready.shapes._sweeper.sweep()
    assert images_of(laboratory) == {"base"}


async def test_more_packages_are_there_when_it_runs(driver: QemuDriver, laboratory: Laboratory) -> None:
    # from the installation's cache, like the base image: a disk is made of its packages once
    await build_template(laboratory.settings.cache_dir, laboratory.data_dir, "with-hello", ["hello"], quiet)
    try:
        spec = spec_of("with-hello")
        machine = await start(driver, spec)
        assert await run(machine, "hello") == "Hello, world!"
        assert await run(machine, "git", "--version")
        await driver.remove(spec.sandbox_id)
        assert images_of(laboratory) == {"base", "with-hello"}
    finally:
        await remove_template(laboratory.data_dir, "with-hello", quiet)
        await driver._ready.shapes._sweeper.sweep()
    assert images_of(laboratory) == {"base"}
