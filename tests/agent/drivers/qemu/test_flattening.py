"""Layers become one file: all of them, and nothing of the host's, whatever the headers of hostile ones say."""

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from agent.drivers.qemu.arguments import Disk
from agent.drivers.qemu.flattening import Flattener
from agent.drivers.qemu.jail import find_jail
from agent.drivers.qemu.uids import UserIds
from agent.errors import AgentError, Code
from tests.agent.drivers.qemu.laboratory import Laboratory

SIZE = 4 << 20
SECRET = b"of the host, and of nobody else" * 100

pytestmark = pytest.mark.vm


def nothing(_: int) -> None:
    """For those who do not ask."""


@pytest.fixture
def folder(laboratory: Laboratory) -> Iterator[Path]:
    """One that unprivileged users can look into, with a disk of random bytes in it and a file that is not meant."""
    folder = laboratory.data_dir / "flattening"
    folder.mkdir(mode=0o711)
    (folder / "base").write_bytes(os.urandom(SIZE))
    yield folder
    for path in folder.iterdir():
        path.unlink()
    folder.rmdir()


@pytest.fixture
def flattener(laboratory: Laboratory) -> Flattener:
    settings = laboratory.settings
    return Flattener(find_jail(settings.qemu), UserIds(settings.first_uid, settings.uid_count, "flattening"))


def qemu_img(*words: str | Path) -> None:
    subprocess.run(("qemu-img", *map(str, words)), check=True, stdout=subprocess.DEVNULL)


def write(layer: Path, byte: int, at: int, size: int) -> None:
    """The same byte, over and over."""
    command = ("qemu-io", "-c", f"write -P {byte} {at} {size}", str(layer))
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)


async def test_the_upper_layers_hide_the_lower_ones(folder: Path, flattener: Flattener) -> None:
    expected = bytearray((folder / "base").read_bytes())
    below: tuple[Path, ...] = (folder / "base",)
    for number, at in enumerate((1 << 20, 2 << 20)):
        layer = folder / f"layer{number}.qcow2"
        formats = ("-F", "raw" if number == 0 else "qcow2", "-f", "qcow2")
        qemu_img("create", "-q", *formats, "-b", below[0], layer)
        write(layer, number + 1, at, 65536)
        expected[at : at + 65536] = bytes([number + 1]) * 65536
        below = (layer, *below)
    told: list[int] = []
    await flattener.flatten(Disk(below[0], below[1:]), SIZE, folder / "flat", told.append)
    assert (folder / "flat").read_bytes() == expected
    assert told == sorted(told)
    assert told[-1] == 100
    assert (folder / "flat").stat().st_uid == os.geteuid()


async def test_it_is_done_by_nobody_in_particular_who_sees_nothing_else(folder: Path, flattener: Flattener) -> None:
    layer, seen = folder / "layer.qcow2", list[dict[str, str]]()
    qemu_img("create", "-q", "-f", "qcow2", layer, str(SIZE))

    def look(_: int) -> None:
        for process in Path("/proc").glob("[0-9]*"):
            try:
                words, view = (process / "cmdline").read_bytes(), process / "root"
                if words.startswith(b"/usr/bin/qemu-img") and str(folder).encode() in words:
                    lines = (process / "status").read_text().splitlines()
                    status = dict(line.split(":\t", 1) for line in lines if ":\t" in line)
                    status["net"] = str((process / "ns/net").readlink())
                    status["files"] = " ".join(sorted(path.name for path in (view / str(folder).lstrip("/")).iterdir()))
                    seen.append(status)
            except (FileNotFoundError, ProcessLookupError):
                continue

    (folder / "other").write_bytes(SECRET)
    await flattener.flatten(Disk(layer, (folder / "base",)), SIZE, folder / "flat", look)
    assert seen
    for status in seen:
        uids = set(status["Uid"].split())
        assert len(uids) == 1
        assert uids != {str(os.geteuid())}
        assert int(status["CapEff"], 16) == int(status["CapBnd"], 16) == 0
        assert status["NoNewPrivs"] == "1"
        assert status["net"] != str(Path("/proc/self/ns/net").readlink())
        assert status["files"] == "base flat layer.qcow2"


@pytest.mark.parametrize("header", ["data file", "backing file"])
async def test_a_header_that_names_a_file_of_the_hosts_gives_nothing_away(
    folder: Path, flattener: Flattener, header: str
) -> None:
    secret, layer, flat = folder / "secret", folder / "layer.qcow2", folder / "flat"
    secret.write_bytes(SECRET)
    if header == "data file":
        qemu_img("create", "-q", "-f", "qcow2", "-o", f"data_file={secret},data_file_raw=on", layer, str(SIZE))
    else:
        qemu_img("create", "-q", "-f", "qcow2", "-F", "raw", "-b", secret, layer, str(SIZE))
    secret.write_bytes(SECRET + bytes(SIZE))
    secret.chmod(0o644)
    if header == "data file":
        with pytest.raises(AgentError) as refused:
            await flattener.flatten(Disk(layer, (folder / "base",)), SIZE, flat, nothing)
        assert refused.value.code is Code.SNAPSHOT_FAILED
        assert flat.read_bytes() == b""
    else:
        await flattener.flatten(Disk(layer, (folder / "base",)), SIZE, flat, nothing)
        assert flat.read_bytes() == (folder / "base").read_bytes()


async def test_a_layer_that_is_larger_than_it_may_be_fills_no_disk(folder: Path, flattener: Flattener) -> None:
    layer, flat = folder / "layer.qcow2", folder / "flat"
    qemu_img("create", "-q", "-f", "qcow2", layer, str(4 * SIZE))
    write(layer, 7, 0, 4 * SIZE)
    with pytest.raises(AgentError) as refused:
        await flattener.flatten(Disk(layer, (folder / "base",)), SIZE, flat, nothing)
    assert refused.value.code is Code.SNAPSHOT_FAILED
    assert flat.stat().st_blocks * 512 <= SIZE
