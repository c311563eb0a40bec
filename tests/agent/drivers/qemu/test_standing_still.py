"""While a machine stands still nothing is done that can be done later, and nothing waits for others."""

import asyncio
import os
import threading
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import numpy as np
import pytest

from agent.drivers.qemu import freezing, held, layers, ram, saved
from agent.drivers.qemu.manifests import PauseManifest, SnapshotManifest
from agent.drivers.qemu.monitor import MonitorError
from agent.drivers.qemu.pausing import save
from agent.drivers.qemu.ram import PAGE, Base
from agent.drivers.qemu.saved import Unfinished
from agent.drivers.qemu.snapshots import Snapshot
from agent.errors import AgentError, Code
from agent.images.build import copy_sparse
from tests.agent.drivers.qemu.laboratory import NO_STAGES
from tests.agent.drivers.qemu.standing_still import RAM_BYTES, Hook, Host, standing_still

DEADLINE_SECONDS = 20.0


def pages_of(host: Host) -> dict[int, bytes]:
    """Writes to every third page and to a stretch of 20 MiB; what is in them. Some hold zeros."""
    numbers = {*range(0, 300, 3), *range(1000, 1000 + (20 << 20) // PAGE)}
    content = {number: b"" if number % 5 == 0 else os.urandom(PAGE) for number in numbers}
    for number, page in content.items():
        host.memory[number * PAGE : (number + 1) * PAGE] = page or bytes(PAGE)
    return content


@pytest.mark.parametrize("base", Base)
@pytest.mark.parametrize("most", [RAM_BYTES, 8 << 20, 0], ids=["held", "some of it spilled", "all of it spilled"])
async def test_pages_are_kept_and_nothing_is_synced_or_summed_while_the_machine_stands_still(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, base: Base, most: int
) -> None:
    monkeypatch.setattr(held, "bytes_max", lambda: most)
    with standing_still(tmp_path, base) as host:
        content, snapshot_id = pages_of(host), uuid4()
        sync = os.fsync

        def noted(fd: int) -> None:
            host.qemu.said.append("fsync")
            sync(fd)

        monkeypatch.setattr(os, "fsync", noted)
        await host.freezer.keep_running(host.spec, host.machine, snapshot_id, DEADLINE_SECONDS, NO_STAGES)
        said = host.qemu.said
        assert "fsync" in said
        assert "fsync" not in said[said.index("stop") : said.index("cont")]
        snapshot = await host.snapshots.load(snapshot_id)
        numbers = np.concatenate([np.arange(first, first + count) for first, count in snapshot.runs.tolist()])
        kept = {
            int(number): bytes(snapshot.content[place * PAGE : (place + 1) * PAGE])
            for place, number in enumerate(numbers)
        }
        if base is Base.EMPTY:
            content = {number: page for number, page in content.items() if page}
        assert kept == {number: page or bytes(PAGE) for number, page in content.items()}


async def test_no_more_is_held_than_the_host_can_spare(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(held, "memory_available_mb", lambda: 32)
    with standing_still(tmp_path) as host:
        pages_of(host)
        held_bytes: list[int] = []
        write = held.write

        def noted(pages: held.OwnPages, *rest: object) -> object:
            held_bytes.append(len(pages.content))
            return write(pages, *rest)  # type: ignore[arg-type]

        monkeypatch.setattr(held, "write", noted)
        await host.freezer.keep_running(host.spec, host.machine, uuid4(), DEADLINE_SECONDS, NO_STAGES)
        assert held_bytes == [32 << 20 >> 2]


async def test_a_machine_that_stands_still_waits_for_nobody_elses_work(tmp_path: Path) -> None:
    loop, gone_on = asyncio.get_running_loop(), threading.Event()
    loop.set_default_executor(ThreadPoolExecutor(1))
    with standing_still(tmp_path) as host:
        pages_of(host)
        busy: list[asyncio.Future[bool]] = []
        host.qemu.before["stop"] = lambda: busy.append(loop.run_in_executor(None, gone_on.wait, DEADLINE_SECONDS))
        host.qemu.before["cont"] = gone_on.set
        await host.freezer.keep_running(host.spec, host.machine, uuid4(), DEADLINE_SECONDS, NO_STAGES)
        assert await busy[0], "it had gone on before the other work was done"


STILL_SECONDS, SHORT_SECONDS = 0.1, 0.2
SNAPSHOT = UUID(int=1)


async def still_for_long() -> None:
    await asyncio.sleep(STILL_SECONDS)  # not a wait: the machine stands still for so long


async def still_and_refused() -> None:
    await still_for_long()
    raise MonitorError("refused by the test")


async def test_a_guest_is_told_how_long_it_stood_still(tmp_path: Path) -> None:
    with standing_still(tmp_path) as host:
        host.qemu.before["blockdev-snapshot"] = still_for_long
        for _ in range(2):
            await host.freezer.keep_running(host.spec, host.machine, uuid4(), DEADLINE_SECONDS, NO_STAGES)
        assert len(host.link.told_ns) == 2
        assert min(host.link.told_ns) >= STILL_SECONDS * 1e9
        assert not host.link.quiet


async def test_a_guest_is_told_after_a_failure_too_and_of_no_standstill_that_was_none(tmp_path: Path) -> None:
    with standing_still(tmp_path) as host:
        keep = partial(host.freezer.keep_running, host.spec, host.machine, uuid4(), DEADLINE_SECONDS, NO_STAGES)
        pause = partial(save, host.spec, host.machine, host.qemu.qemu_version, DEADLINE_SECONDS, NO_STAGES)
        for command, count in {"xen-save-devices-state": 1, "cont": 1, "stop": 0}.items():
            for attempt in (keep, pause):
                host.qemu.before[command] = once(host, command)
                host.link.told_ns.clear()
                if command == "cont" and attempt is pause:
                    continue
                with pytest.raises(AgentError):
                    await attempt()
                assert len(host.link.told_ns) == count
                assert all(told >= STILL_SECONDS * 1e9 for told in host.link.told_ns)
                assert host.qemu.runs
                assert not host.link.quiet


def once(host: Host, command: str) -> Hook:
    async def refuse() -> None:
        del host.qemu.before[command]
        await still_and_refused()

    return refuse


async def test_nobody_knows_how_long_a_guest_stood_still_whose_qemu_did_not_answer(tmp_path: Path) -> None:
    with standing_still(tmp_path) as host:
        await host.machine.stand_still()
        host.qemu.before["cont"] = still_and_refused
        with pytest.raises(MonitorError):
            await host.machine.go_on()
        # its guest goes on all the same, and much later it stands still for a moment
        del host.qemu.before["cont"]
        await host.machine.stand_still()
        assert await host.machine.go_on() < STILL_SECONDS


async def test_a_guest_that_cannot_be_told_now_is_told_later(tmp_path: Path) -> None:
    with standing_still(tmp_path) as host:
        host.qemu.before["blockdev-snapshot"] = still_for_long
        host.link.is_lost = True
        await host.freezer.keep_running(host.spec, host.machine, uuid4(), DEADLINE_SECONDS, NO_STAGES)
        host.link.is_lost = False
        await host.freezer.keep_running(host.spec, host.machine, uuid4(), DEADLINE_SECONDS, NO_STAGES)
        [told_ns] = host.link.told_ns
        assert told_ns >= 2 * STILL_SECONDS * 1e9


async def paused(host: Host) -> None:
    pages_of(host)
    await save(host.spec, host.machine, host.qemu.qemu_version, DEADLINE_SECONDS, NO_STAGES)


async def test_a_paused_sandbox_whose_disk_moved_on_is_not_kept(tmp_path: Path) -> None:
    with standing_still(tmp_path) as host:
        await paused(host)
        os.utime(host.qemu.overlay)
        with pytest.raises(AgentError) as refusal:
            await host.freezer.keep_paused(host.spec, host.machine.folder, uuid4(), NO_STAGES)
        assert refusal.value.code is Code.IMAGE_MISMATCH
        assert host.kept == []
        assert host.layers == []


async def test_others_name_layers_while_a_paused_disk_is_copied_and_nothing_of_it_is_swept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with standing_still(tmp_path) as host:
        await paused(host)
        overlay, snapshot_id = host.qemu.overlay.read_bytes(), uuid4()
        begun, swept = asyncio.Event(), threading.Event()
        loop = asyncio.get_running_loop()

        def slow(source: Path, target: Path) -> None:
            copy_sparse(source, target)
            loop.call_soon_threadsafe(begun.set)
            assert swept.wait(DEADLINE_SECONDS)

        monkeypatch.setattr(freezing, "copy_sparse", slow)
        async with asyncio.TaskGroup() as group:
            group.create_task(host.freezer.keep_paused(host.spec, host.machine.folder, snapshot_id, NO_STAGES))
            await begun.wait()
            async with asyncio.timeout(DEADLINE_SECONDS / 2):
                await host.snapshots.sweep()
            swept.set()
        [name] = host.snapshots.manifest(snapshot_id).layers
        assert host.layers == [name]
        assert host.snapshots.layers.path(name).read_bytes() == overlay
        assert sorted(path.name for path in (host.snapshots.folder / str(snapshot_id)).iterdir()) == [
            "manifest.json",
            "memory",
            "state",
        ]


async def test_a_snapshot_that_is_read_slowly_holds_up_no_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with standing_still(tmp_path) as host:
        await paused(host)
        slow, quick = uuid4(), uuid4()
        for snapshot_id in (slow, quick):
            await host.freezer.keep_paused(host.spec, host.machine.folder, snapshot_id, NO_STAGES)
        begun, read = asyncio.Event(), threading.Event()
        loop, load = asyncio.get_running_loop(), host.snapshots._load

        def hold(snapshot_id: UUID) -> Snapshot:
            if snapshot_id == slow:
                loop.call_soon_threadsafe(begun.set)
                assert read.wait(DEADLINE_SECONDS)
            return load(snapshot_id)

        monkeypatch.setattr(host.snapshots, "_load", hold)
        async with asyncio.TaskGroup() as group:
            first, second = (group.create_task(host.snapshots.load(slow)) for _ in range(2))
            await begun.wait()
            async with asyncio.timeout(DEADLINE_SECONDS / 2):
                await host.snapshots.ram(await host.snapshots.load(quick), None)
                await host.snapshots.drop(quick)
            read.set()
        assert first.result() is second.result(), "it was read once"


async def test_memory_that_was_merged_for_somebody_who_left_is_not_lost(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with standing_still(tmp_path) as host:
        await paused(host)
        snapshot_id = uuid4()
        await host.freezer.keep_paused(host.spec, host.machine.folder, snapshot_id, NO_STAGES)
        snapshot = await host.snapshots.load(snapshot_id)
        begun, left = asyncio.Event(), threading.Event()
        loop, merged, made = asyncio.get_running_loop(), ram.merged, list[int]()

        def slow(base: int | None, runs: ram.Runs, content: memoryview, size_bytes: int) -> int:
            loop.call_soon_threadsafe(begun.set)
            assert left.wait(DEADLINE_SECONDS)
            made.append(merged(base, runs, content, size_bytes))
            return made[-1]

        monkeypatch.setattr(ram, "merged", slow)
        asking = asyncio.ensure_future(host.snapshots.ram(snapshot, None))
        await begun.wait()
        asking.cancel()
        loop.call_soon(left.set)
        with pytest.raises(asyncio.CancelledError):
            await asking
        assert [await host.snapshots.ram(snapshot, None)] == made


def attempts(host: Host, seconds: float) -> dict[str, Callable[[], Awaitable[None]]]:
    """To keep a machine that runs, both ways."""
    return {
        "snapshot": partial(host.freezer.keep_running, host.spec, host.machine, SNAPSHOT, seconds, NO_STAGES),
        "pause": partial(save, host.spec, host.machine, host.qemu.qemu_version, seconds, NO_STAGES),
    }


async def test_a_note_that_is_written_too_late_is_taken_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    loop, over, write = asyncio.get_running_loop(), threading.Event(), layers.write

    def late(folder: Path, chain: layers.Chain) -> None:
        assert over.wait(DEADLINE_SECONDS)
        write(folder, chain)

    with standing_still(tmp_path) as host:
        monkeypatch.setattr(layers, "write", late)
        loop.call_later(2 * SHORT_SECONDS, over.set)
        with pytest.raises(AgentError) as failure:
            await attempts(host, SHORT_SECONDS)["snapshot"]()
        assert failure.value.code is Code.SNAPSHOT_FAILED
        await loop.shutdown_default_executor()
        assert layers.overlay(host.machine.folder) == host.qemu.overlay
        assert host.layers == []
        assert [name for name in host.files if name.startswith("overlay")] == [host.qemu.overlay.name]


@pytest.mark.parametrize("attempt", ["snapshot", "pause"])
async def test_what_is_published_too_late_is_withdrawn_before_the_machine_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, attempt: str
) -> None:
    loop, over, publish = asyncio.get_running_loop(), threading.Event(), Unfinished.publish
    begun, ended, waited = threading.Event(), threading.Event(), list[bool]()

    def late(unfinished: Unfinished, manifest: PauseManifest | SnapshotManifest) -> None:
        begun.set()
        assert over.wait(DEADLINE_SECONDS)
        publish(unfinished, manifest)
        ended.set()

    with standing_still(tmp_path) as host:
        monkeypatch.setattr(Unfinished, "publish", late)
        host.qemu.before["cont"] = lambda: waited.append(ended.is_set()) if begun.is_set() else None
        loop.call_later(2 * SHORT_SECONDS, over.set)
        with pytest.raises(AgentError):
            await attempts(host, SHORT_SECONDS)[attempt]()
        assert waited == [True]
        assert host.qemu.runs
        assert host.kept == []
        assert saved.pauses(host.machine.folder) == []
        assert len([name for name in host.files if name.startswith("overlay")]) == 1


async def test_memory_that_is_still_read_is_waited_for_before_the_machine_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    read, begun, done = held.read, threading.Event(), threading.Event()

    def slow(*given: Any) -> held.OwnPages:
        begun.set()
        done.wait(SHORT_SECONDS)  # longer than the other part, which fails at once
        pages = read(*given)
        done.set()
        return pages

    async def refuse() -> None:
        await asyncio.to_thread(begun.wait, DEADLINE_SECONDS)
        raise MonitorError("refused by the test")

    with standing_still(tmp_path) as host:
        monkeypatch.setattr(held, "read", slow)
        host.qemu.before["xen-save-devices-state"] = refuse
        waited: list[bool] = []
        host.qemu.before["cont"] = lambda: waited.append(done.is_set())
        with pytest.raises(AgentError):
            await attempts(host, DEADLINE_SECONDS)["snapshot"]()
        assert waited == [True]


@pytest.mark.parametrize("attempt", ["snapshot", "pause"])
async def test_a_note_that_could_not_be_put_right_is_before_the_machine_is_kept(tmp_path: Path, attempt: str) -> None:
    with standing_still(tmp_path) as host:
        questions = 0

        def answers_once() -> None:
            nonlocal questions
            questions += 1
            if questions == 2:
                raise MonitorError("refused by the test")

        host.qemu.before |= {"blockdev-add": once(host, "blockdev-add"), "query-block": answers_once}
        with pytest.raises(AgentError):
            await attempts(host, DEADLINE_SECONDS)["snapshot"]()
        assert layers.overlay(host.machine.folder) != host.qemu.overlay, "the note is ahead of QEMU"
        await attempts(host, DEADLINE_SECONDS)[attempt]()
        if attempt == "pause":
            assert saved.is_complete(host.machine.folder)
            assert layers.read(host.machine.folder).layers == ()
        else:
            assert layers.node_of(layers.read(host.machine.folder).overlay) == host.qemu.node
            assert len(layers.read(host.machine.folder).layers) == 1
        assert layers.overlay(host.machine.folder) == host.machine.running.overlay
