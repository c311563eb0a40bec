"""Files that belong to nothing, over gRPC on the simulated driver."""

from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from uuid import UUID

import pytest
import pytest_asyncio

from agent.drivers.driver import Leftover
from proto.host.v1 import host_pb2 as pb
from tests.agent.serving import Clock, Served, new_sandbox, new_template, running, serving, uuid_of
from tests.waiting import eventually


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest_asyncio.fixture
async def agent(tmp_path: Path, clock: Clock) -> AsyncIterator[Served]:
    async with serving(tmp_path, clock=clock) as served:
        yield served


def stray(folder: Path) -> Path:
    """The files of a sandbox that no ledger knows."""
    made = folder / "simulated" / str(uuid_of(new_sandbox()))
    made.mkdir(parents=True)
    (made / "file").write_bytes(bytes(10_000))
    return made


async def said_of_strangers(agent: Served) -> bool:
    """Whether the host says that there are sandboxes which it does not know."""
    host = await agent.stub.GetHost(pb.GetHostRequest(), metadata=agent.metadata)
    return any(sentence.startswith("1 sandboxes lie on this host's disk") for sentence in host.shortcomings)


async def test_files_that_belong_to_nothing_are_put_aside_then_removed(
    agent: Served, clock: Clock, tmp_path: Path
) -> None:
    known, folder = await running(agent), stray(tmp_path)
    found = await agent.collect_garbage(dry_run=True)
    assert [item.path for item in found] == [f"simulated/{folder.name}"]
    assert found[0].stored_bytes >= 10_000
    assert not found[0].HasField("quarantined_at")
    assert folder.exists()
    assert await said_of_strangers(agent)
    found = await agent.collect_garbage()
    assert not await said_of_strangers(agent)
    assert len(found) == 1
    assert found[0].path.startswith(f"quarantine/{folder.name}")
    assert f"simulated/{folder.name}" in found[0].reason
    kept = found[0].removed_after.ToDatetime() - found[0].quarantined_at.ToDatetime()
    assert kept == timedelta(days=1)
    assert not folder.exists()
    assert (tmp_path / found[0].path / "file").exists()
    clock.ahead += 23 * 3600
    assert len(await agent.collect_garbage()) == 1
    clock.ahead += 2 * 3600
    assert await agent.collect_garbage() == []
    assert not list((tmp_path / "quarantine").iterdir())
    assert await agent.read(known, "/root/file") == b"kept"


async def test_the_time_of_day_removes_nothing_by_a_jump(agent: Served, clock: Clock, tmp_path: Path) -> None:
    stray(tmp_path)
    await agent.collect_garbage()
    clock.time_of_day_ahead = timedelta(days=3650)
    assert len(await agent.collect_garbage()) == 1
    clock.time_of_day_ahead = -timedelta(days=3650)
    clock.ahead += 25 * 3600
    assert await agent.collect_garbage() == []


async def test_quarantine_outlives_the_agent(tmp_path: Path) -> None:
    clock = Clock()
    async with serving(tmp_path, clock=clock) as agent:
        stray(tmp_path)
        await agent.collect_garbage()
    clock.ahead += 23 * 3600
    async with serving(tmp_path, clock=clock) as agent:
        assert len(await agent.collect_garbage()) == 1
        clock.ahead += 2 * 3600
        assert await agent.collect_garbage() == []


async def test_what_is_begun_between_the_looks_is_left_alone(
    agent: Served, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A machine that is made after the ledger was asked, and before the files are looked at."""
    folder, begun, look = stray(tmp_path), list[str](), agent.driver.garbage

    async def late(sandboxes: frozenset[UUID], snapshots: frozenset[UUID]) -> tuple[Leftover, ...]:
        begun.append(await running(agent))
        return await look(sandboxes, snapshots)

    monkeypatch.setattr(agent.driver, "garbage", late)
    await agent.collect_garbage()
    monkeypatch.undo()
    assert len(begun) > 1
    assert not folder.exists()
    for sandbox_id in begun:
        assert await agent.read(sandbox_id, "/root/file") == b"kept"
        assert (tmp_path / "simulated" / str(uuid_of(sandbox_id))).exists()


async def test_by_itself_the_agent_waits_for_a_second_look(agent: Served, tmp_path: Path) -> None:
    folder = stray(tmp_path)
    await agent.host._garbage.collect(dry_run=False, at_once=False)
    assert folder.exists()
    await agent.host._garbage.collect(dry_run=False, at_once=False)
    assert not folder.exists()


@pytest.mark.parametrize("how", ["damaged", "missing"])
async def test_nothing_is_put_aside_after_the_ledger_was_lost(tmp_path: Path, how: str) -> None:
    async with serving(tmp_path) as agent:
        lost = await running(agent)
    if how == "damaged":
        (tmp_path / "ledger.db").write_bytes(b"this is no database, " * 1000)
    else:
        (tmp_path / "ledger.db").unlink()
    for suffix in ("-wal", "-shm"):
        (tmp_path / f"ledger.db{suffix}").unlink(missing_ok=True)
    folder = tmp_path / "simulated" / str(uuid_of(lost))
    for _ in range(2):
        async with serving(tmp_path) as agent:
            for _ in range(2):
                found = await agent.collect_garbage()
                assert [item.path for item in found] == [f"simulated/{folder.name}"]
                assert "ledger" in found[0].reason
                assert not found[0].HasField("quarantined_at")
            assert folder.exists()
            host = await agent.stub.GetHost(pb.GetHostRequest(), metadata=agent.metadata)
            assert any("ledger.db.damaged" in sentence for sentence in host.shortcomings)
    # the operator says that nobody misses anything
    (marker,) = tmp_path.glob(f"ledger.db.{how}-*")
    marker.unlink()
    async with serving(tmp_path) as agent:
        assert (await agent.collect_garbage())[0].path.startswith("quarantine/")


async def test_a_snapshot_that_nobody_needs_is_dropped_at_the_next_start(tmp_path: Path) -> None:
    """As left by an agent that was killed when a template was ready and its snapshot still there."""
    async with serving(tmp_path) as agent:
        sandbox_id, template_id = await running(agent), new_template()
        await agent.snapshot(sandbox_id, 2, template_id)
        await eventually(lambda: not agent.driver._snapshots.all())
        kept, templates = uuid_of(template_id), agent.driver._templates
        agent.driver._snapshots.keep(kept, templates.disk(kept), templates.note(kept))
        assert [item.path for item in await agent.collect_garbage(dry_run=True)] == [f"simulated/snapshot-{kept}"]
    async with serving(tmp_path) as agent:
        await eventually(lambda: not agent.driver._snapshots.all())
        assert agent.driver._templates.has(kept)


async def test_a_note_that_cannot_be_read_keeps_nothing_for_ever(agent: Served, clock: Clock, tmp_path: Path) -> None:
    stray(tmp_path)
    (item,) = await agent.collect_garbage()
    (tmp_path / f"{item.path}.json").write_text("{")
    (item,) = await agent.collect_garbage()
    assert "note" in item.reason
    clock.ahead += 25 * 3600
    assert await agent.collect_garbage() == []
    assert not list((tmp_path / "quarantine").iterdir())
