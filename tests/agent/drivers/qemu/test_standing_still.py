"""While a machine stands still nothing is done that can be done later, and nothing waits for others."""

import asyncio
import os
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from uuid import uuid4

import numpy as np
import pytest

from agent.drivers.qemu import held
from agent.drivers.qemu.ram import PAGE, Base
from tests.agent.drivers.qemu.laboratory import NO_STAGES
from tests.agent.drivers.qemu.standing import RAM_BYTES, Host, standing

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
    with standing(tmp_path, base) as host:
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
    with standing(tmp_path) as host:
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
    with standing(tmp_path) as host:
        pages_of(host)
        busy: list[asyncio.Future[bool]] = []
        host.qemu.before["stop"] = lambda: busy.append(loop.run_in_executor(None, gone_on.wait, DEADLINE_SECONDS))
        host.qemu.before["cont"] = gone_on.set
        await host.freezer.keep_running(host.spec, host.machine, uuid4(), DEADLINE_SECONDS, NO_STAGES)
        assert await busy[0], "it had gone on before the other work was done"
