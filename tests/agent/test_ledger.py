import asyncio
import sqlite3
import stat
import time
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import uuid4

import pytest

from agent.ledger import _STEPS, Change, Ledger, LedgerError
from agent.ledger_rows import to_row
from agent.machine import Cause, CommandKind, Machine, Spec, Stage, State
from agent.template import KeptFork, Template, TemplateState

NOW = datetime(2026, 11, 23, 12, 0, 0, 123456, tzinfo=UTC)


def a_machine(**changes: object) -> Machine:
    spec = Spec(uuid4(), uuid4(), "base", 1, 512, 5120, {"NAME": "välue\nof two lines"})
    machine = Machine(spec, 1, CommandKind.CREATE, State.RUNNING, Cause.USER, NOW, NOW)
    return replace(machine, **changes)  # type: ignore[arg-type]


async def opened(folder: Path, announced: list[Change] | None = None) -> Ledger:
    ledger = Ledger(folder / "ledger.db", (announced if announced is not None else []).append)
    await ledger.open()
    return ledger


async def all_of(ledger: Ledger) -> list[Machine]:
    return await ledger.machines(deleted_since=NOW - timedelta(days=365))


async def test_what_was_written_is_there_after_a_restart(tmp_path: Path) -> None:
    ledger = await opened(tmp_path)
    machine = a_machine(
        incarnation=uuid4(),
        pid=77,
        start_ticks=123456789,
        timeout_sec=60,
        stages=(Stage("spawn", 1234),),
        detail="It was.",
        error_code="PAUSE_FAILED",
        error_message="Not now.",
        cluster_id=uuid4(),
    )
    written = await ledger.write(machine, durable=True)
    await ledger.close()
    again = await opened(tmp_path)
    assert await all_of(again) == [written]
    assert written == replace(machine, sequence=written.sequence)
    await again.close()


async def test_the_sequence_only_grows_over_restarts_and_lost_ledgers(tmp_path: Path) -> None:
    sequences = []
    for _ in range(3):
        ledger = await opened(tmp_path)
        sequences += [(await ledger.write(a_machine(), durable=False)).sequence for _ in range(3)]
        await ledger.close()
    (tmp_path / "ledger.db").unlink()
    rebuilt = await opened(tmp_path)
    sequences.append((await rebuilt.write(a_machine(), durable=True)).sequence)
    await rebuilt.close()
    assert sequences == sorted(set(sequences))
    assert abs(sequences[0] - time.time_ns() // 1000) < 60_000_000


async def test_changes_are_announced_once_written_and_in_order(tmp_path: Path) -> None:
    announced: list[Change] = []
    ledger = await opened(tmp_path, announced)
    machines = [a_machine() for _ in range(200)]
    written = await asyncio.gather(*(ledger.write(machine, durable=False) for machine in machines))
    assert announced == list(written)
    assert [machine.sequence for machine in announced] == sorted(machine.sequence for machine in announced)
    await ledger.close()


async def test_a_writer_that_is_cancelled_has_written_all_the_same(tmp_path: Path) -> None:
    announced: list[Change] = []
    ledger = await opened(tmp_path, announced)
    async with asyncio.TaskGroup() as group:
        writing = group.create_task(ledger.write(a_machine(), durable=True))
        await asyncio.sleep(0)
        writing.cancel()
    await ledger.close()
    assert len(announced) == 1


async def test_a_write_that_fails_is_not_announced_and_the_next_one_works(tmp_path: Path) -> None:
    announced: list[Change] = []
    ledger = await opened(tmp_path, announced)
    await ledger._in_thread(lambda: ledger._connection.execute("PRAGMA query_only = 1"))
    with pytest.raises(LedgerError):
        await ledger.write(a_machine(), durable=True)
    assert announced == []
    await ledger._in_thread(lambda: ledger._connection.execute("PRAGMA query_only = 0"))
    assert announced == [await ledger.write(a_machine(), durable=True)]
    await ledger.close()


async def test_a_damaged_ledger_is_set_aside(tmp_path: Path) -> None:
    (tmp_path / "ledger.db").write_bytes(b"this is no database, " * 1000)
    ledger = await opened(tmp_path)
    assert await all_of(ledger) == []
    await ledger.close()
    assert len(list(tmp_path.glob("ledger.db.damaged-*"))) == 1


async def test_a_ledger_of_a_newer_agent_is_left_alone(tmp_path: Path) -> None:
    connection = sqlite3.connect(tmp_path / "ledger.db")
    connection.execute("PRAGMA user_version = 99")
    connection.close()
    ledger = Ledger(tmp_path / "ledger.db", lambda _: None)
    with pytest.raises(LedgerError, match="version 99"):
        await ledger.open()
    ledger._executor.shutdown()


@pytest.mark.parametrize("version", range(1, len(_STEPS)))
async def test_a_ledger_of_an_older_agent_is_upgraded(tmp_path: Path, version: int) -> None:
    connection = sqlite3.connect(tmp_path / "ledger.db")
    connection.executescript(f"{' '.join(_STEPS[:version])} PRAGMA user_version = {version};")
    machine = a_machine(sequence=5)
    columns = [row[1] for row in connection.execute("PRAGMA table_info(machines)")]
    # columns were only ever added at the end
    values = to_row(machine)[: len(columns)]
    connection.execute(f"INSERT INTO machines VALUES ({', '.join('?' * len(values))})", values)  # noqa: S608
    connection.execute("INSERT INTO meta VALUES ('sequence', '5')")
    connection.commit()
    connection.close()
    upgraded = await opened(tmp_path)
    assert await all_of(upgraded) == [machine]
    ours = await upgraded.write(a_machine(cluster_id=uuid4(), snapshot_id=uuid4()), durable=True)
    assert ours.sequence == 6
    await upgraded.close()
    again = await opened(tmp_path)
    assert await again.find(ours.sandbox_id) == ours
    await again.close()


async def test_templates_share_the_sequence_and_are_there_after_a_restart(tmp_path: Path) -> None:
    announced: list[Change] = []
    ledger = await opened(tmp_path, announced)
    template = Template(
        uuid4(),
        "mine",
        TemplateState.READY,
        uuid4(),
        2,
        512,
        5120,
        NOW,
        cluster_id=str(uuid4()),
        stored_bytes=77,
        progress_percent=100,
        stages=(Stage("build", 5),),
    )
    machine = await ledger.write(a_machine(), durable=True)
    written = await ledger.write_template(template, durable=True)
    assert written.sequence == machine.sequence + 1
    assert announced == [machine, written]
    gone = replace(template, template_id=uuid4(), state=TemplateState.DELETED, changed_at=NOW - timedelta(days=8))
    failed = replace(gone, template_id=uuid4(), state=TemplateState.FAILED, error_code="DISK_FULL", detail="Full.")
    for one in (gone, failed):
        await ledger.write_template(one, durable=True)
    await ledger.close()
    again = await opened(tmp_path)
    assert {one.state for one in await again.templates(deleted_since=NOW)} == {"ready", "failed"}
    assert await again.find_template(template.template_id) == written
    assert await again.find_template(gone.template_id) is not None
    await again.prune(deleted_before=NOW - timedelta(days=7))
    assert await again.find_template(gone.template_id) is None
    assert await again.templates(deleted_since=NOW) == [written]
    await again.close()


async def test_what_is_kept_for_forks_is_there_until_it_is_forgotten(tmp_path: Path) -> None:
    ledger = await opened(tmp_path)
    fork = KeptFork(uuid4(), uuid4(), frozenset({uuid4(), uuid4()}))
    await ledger.keep_fork(fork)
    await ledger.close()
    again = await opened(tmp_path)
    assert await again.forks() == [fork]
    for _ in range(2):
        await again.forget_fork(fork.snapshot_id)
    assert await again.forks() == []
    await again.close()


async def test_deleted_machines_are_remembered_until_they_are_pruned(tmp_path: Path) -> None:
    ledger = await opened(tmp_path)
    old = await ledger.write(a_machine(state=State.DELETED, changed_at=NOW - timedelta(days=8)), durable=True)
    new = await ledger.write(a_machine(state=State.DELETED, changed_at=NOW), durable=True)
    paused = await ledger.write(a_machine(state=State.PAUSED, changed_at=NOW - timedelta(days=80)), durable=True)
    assert await ledger.machines(deleted_since=NOW + timedelta(days=1)) == [paused]
    assert await ledger.find(old.sandbox_id) == old
    assert await ledger.prune(deleted_before=NOW - timedelta(days=7)) == 1
    assert await ledger.find(old.sandbox_id) is None
    assert await ledger.find(new.sandbox_id) == new
    await ledger.close()


async def test_activity_never_goes_back_and_is_no_change(tmp_path: Path) -> None:
    ledger = await opened(tmp_path)
    machine = await ledger.write(a_machine(), durable=True)
    later = NOW + timedelta(seconds=30)
    await ledger.note_activity({machine.sandbox_id: later})
    await ledger.note_activity({machine.sandbox_id: NOW})
    assert await ledger.find(machine.sandbox_id) == replace(machine, last_active_at=later)
    await ledger.close()


async def test_nobody_else_can_read_the_environments_in_it(tmp_path: Path) -> None:
    ledger = await opened(tmp_path)
    await ledger.write(a_machine(), durable=True)
    assert {stat.S_IMODE(path.stat().st_mode) for path in tmp_path.iterdir()} == {0o600}
    await ledger.close()
