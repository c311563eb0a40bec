"""A disk that is not what it was is noticed before anybody starts from it, and nothing is lost by that."""

import contextlib
import json
from collections.abc import Iterator
from pathlib import Path
from uuid import UUID, uuid4

import pytest

from agent.drivers.driver import NewTemplate
from agent.drivers.qemu import QemuDriver, layers, manifests, proofs, sums
from agent.drivers.qemu.machine import QemuMachine
from agent.drivers.qemu.manifests import FileSum
from agent.drivers.qemu.sums import sum_of
from agent.errors import AgentError, Code
from agent.images.build import copy_sparse
from agent.machine import Spec
from tests.agent.drivers.qemu.kept_files import pause_of, rewrite
from tests.agent.drivers.qemu.laboratory import (
    NO_STAGES,
    Laboratory,
    flipped_bit,
    flipped_bit_of_disk,
    new_spec,
    resume,
    run,
    shell,
    start,
)
from tests.agent.drivers.qemu.test_snapshots import child_of, of_template, snapshot, template
from tests.waiting import eventually

pytestmark = [pytest.mark.vm, pytest.mark.timeout(240)]


@pytest.fixture
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Layers are summed without delay."""
    monkeypatch.setattr(proofs, "LATER_SECONDS", 0)


@pytest.fixture
def read(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The names of the files that were read to be summed."""
    names: list[str] = []

    def counted(path: Path, *_: object) -> FileSum:
        names.append(path.name)
        return sum_of(path)

    monkeypatch.setattr(sums, "sum_of", counted)
    return names


@contextlib.contextmanager
def missing(path: Path) -> Iterator[None]:
    aside = path.rename(path.with_name("aside"))
    yield
    aside.rename(path)


@contextlib.contextmanager
def refused(code: Code) -> Iterator[None]:
    with pytest.raises(AgentError) as refusal:
        yield
    assert refusal.value.code is code


async def layered(driver: QemuDriver, laboratory: Laboratory) -> tuple[Spec, QemuMachine, UUID, Path]:
    """A machine with a layer under its disk that was summed, the snapshot that it was frozen for, and that layer."""
    spec = new_spec()
    machine = await start(driver, spec)
    await shell(machine, "echo kept > /root/file; head -c 8000000 /dev/urandom > /root/big; sync")
    snapshot_id = await snapshot(driver, spec, machine)
    [name] = layers.read(laboratory.folder(spec)).layers
    path = laboratory.data_dir / "layers" / name
    await eventually(Path(f"{path}.sum").exists)
    return spec, machine, snapshot_id, path


async def test_a_damaged_or_missing_disk_of_a_template_is_refused_and_no_other(
    driver: QemuDriver, laboratory: Laboratory
) -> None:
    spec = new_spec()
    template_id = await template(driver, spec, await start(driver, spec))
    folder = laboratory.settings.images_dir / f"template-{template_id.hex}"
    assert manifests.read_image(folder).disk_sums == (sum_of(folder / "disk"),)
    await driver.close()
    for damage in (flipped_bit_of_disk, missing):
        async with laboratory.next_life() as later:
            with damage(folder / "disk"):
                with refused(Code.IMAGE_MISMATCH):
                    await start(later, of_template(template_id))
                assert await run(await start(later, new_spec()), "echo", "whole") == "whole"
            assert (folder / "manifest.json").exists()
            assert await run(await start(later, of_template(template_id)), "echo", "whole") == "whole"


async def test_a_damaged_disk_of_a_base_template_is_refused(driver: QemuDriver, laboratory: Laboratory) -> None:
    await driver.close()
    [folder] = laboratory.settings.images_dir.iterdir()
    base = laboratory.data_dir / manifests.read_image(folder).disks[1]
    copy = base.with_name("copy")  # the other is the same file as the one in the cache
    copy_sparse(base, copy)
    original = base.rename(base.with_name("original"))
    copy.rename(base)
    try:
        async with laboratory.next_life() as later:
            for disk in (base, folder / "disk.qcow2"):
                with flipped_bit_of_disk(disk), refused(Code.IMAGE_MISMATCH):
                    await start(later, new_spec())
            with flipped_bit_of_disk(base), refused(Code.IMAGE_MISMATCH):
                await later.prepare("base", 1, 640)  # what it holds now is not what it held for the first image
            assert await run(await start(later, new_spec()), "echo", "whole") == "whole"
    finally:
        original.rename(base)


@pytest.mark.usefixtures("at_once")
async def test_a_damaged_or_missing_layer_is_refused_and_nothing_is_lost(
    driver: QemuDriver, laboratory: Laboratory
) -> None:
    spec, machine, snapshot_id, layer = await layered(driver, laboratory)
    summed = manifests.read_layer(layer.parent, f"{layer.name}.sum")
    await driver.pause(spec, machine, NO_STAGES)
    # QEMU has closed it, and it is what it was when it was frozen
    assert summed.content == sum_of(layer)
    await driver.close()
    async with laboratory.next_life() as later:
        for damaged in (flipped_bit_of_disk(layer), flipped_bit(Path(f"{layer}.sum")), missing(layer)):
            with damaged:
                with refused(Code.IMAGE_MISMATCH):
                    await resume(later, spec)
                with refused(Code.IMAGE_MISMATCH):
                    await later.boot(spec, uuid4(), NO_STAGES)
                assert await later.is_paused(spec.sandbox_id)
                with refused(Code.UNKNOWN_SNAPSHOT):
                    await start(later, child_of(spec, snapshot_id))
                with pytest.raises(AgentError):
                    await later.make_template(snapshot_id, NewTemplate(snapshot_id, "mine"), lambda _: None)
        assert await run(await start(later, new_spec()), "echo", "whole") == "whole"
        assert await run(await start(later, child_of(spec, snapshot_id)), "cat", "/root/file") == "kept"
        assert await run(await resume(later, spec), "cat", "/root/file") == "kept"
        await later.make_template(snapshot_id, NewTemplate(snapshot_id, "mine"), lambda _: None)
        await later.drop_snapshot(snapshot_id)
        await later.remove(spec.sandbox_id)
        for other in await later.leftovers():
            await later.remove(other)
        assert not list(layer.parent.iterdir())  # its note went with it


@pytest.mark.usefixtures("at_once")
async def test_each_disk_is_read_once_in_the_life_of_an_agent(
    driver: QemuDriver, laboratory: Laboratory, read: list[str]
) -> None:
    spec, machine, snapshot_id, layer = await layered(driver, laboratory)
    await driver.pause(spec, machine, NO_STAGES)
    first = [name for name in read if name == layer.name]
    assert len(first) == 1, "when it was frozen"
    await start(driver, child_of(spec, snapshot_id))
    await driver.close()
    read.clear()
    async with laboratory.next_life() as later:
        for _ in range(2):
            await start(later, new_spec())
            assert sorted(read) == ["disk", "disk.qcow2"]
        for _ in range(2):
            await start(later, child_of(spec, snapshot_id))
        await resume(later, spec)
        assert sorted(read) == sorted(["disk", "disk.qcow2", layer.name])


@pytest.mark.usefixtures("at_once")
async def test_what_has_no_checksum_works_as_before(
    driver: QemuDriver, laboratory: Laboratory, read: list[str]
) -> None:
    spec, machine, _, layer = await layered(driver, laboratory)
    await driver.pause(spec, machine, NO_STAGES)
    await driver.close()
    note = Path(f"{layer}.sum")
    note.unlink()
    rewrite(pause_of(laboratory.folder(spec)), image_sha256=None)
    [folder] = laboratory.settings.images_dir.iterdir()
    manifest = folder / "manifest.json"
    original = manifest.read_bytes()
    values = json.loads(original)
    for name in ("disk_sums", manifests.OWN_SUM):
        del values[name]
    manifest.write_text(json.dumps({**values, manifests.OWN_SUM: manifests._sum(values)}))
    try:
        read.clear()
        async with laboratory.next_life() as later:
            await start(later, new_spec())
            assert read == []
            assert await run(await resume(later, spec), "cat", "/root/file") == "kept"
            # from here on it is verified
            await eventually(note.exists)
            assert read == [layer.name]
    finally:
        manifest.write_bytes(original)


async def test_what_is_large_is_read_beside_the_first_machine_and_refused_to_the_next(
    driver: QemuDriver, laboratory: Laboratory, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(proofs, "PROVED_FIRST_BYTES", 0)
    await driver.close()
    [folder] = laboratory.settings.images_dir.iterdir()
    async with laboratory.next_life() as later:
        with flipped_bit_of_disk(folder / "disk.qcow2"):
            with contextlib.suppress(AgentError):  # of a guest that met the damage
                await start(later, new_spec())
            await eventually(lambda: later._prover.sums.knows(folder / "disk.qcow2"))
            with refused(Code.IMAGE_MISMATCH):
                await start(later, new_spec())
        assert await run(await start(later, new_spec()), "echo", "whole") == "whole"
