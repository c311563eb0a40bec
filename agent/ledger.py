"""What this host was told and what it did, durably: a SQLite database in WAL mode.

A change is written here first and announced afterwards, so nothing that anybody was told can be lost when the agent
is killed. SQLite runs in one thread of its own; writes that wait while it is busy share one transaction.

The sequence is host-wide, only grows and is never given twice. A fresh ledger starts it at the microseconds since the
epoch, so that a ledger that had to be rebuilt is newer than all that the control plane has seen (a host would have to
make a million changes per second of its life to break this).
"""

import asyncio
import json
import sqlite3
import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, TypeVar
from uuid import UUID

import structlog

from agent.machine import Cause, CommandKind, Machine, Spec, Stage, State

_log = structlog.get_logger(__name__)

VERSION = 2
"""Of the tables, in `PRAGMA user_version`."""

_UPGRADES = {1: "ALTER TABLE machines ADD COLUMN cluster_id TEXT;"}
"""By version: what makes the next one of it. A ledger is upgraded when it is opened, and never goes back."""

_TABLES = """
CREATE TABLE machines (
    sandbox_id TEXT PRIMARY KEY,
    generation INTEGER NOT NULL,
    command TEXT NOT NULL,
    spec TEXT NOT NULL,
    state TEXT NOT NULL,
    sequence INTEGER NOT NULL UNIQUE,
    cause TEXT NOT NULL,
    detail TEXT NOT NULL,
    incarnation TEXT,
    pid INTEGER NOT NULL,
    start_ticks INTEGER NOT NULL,
    timeout_sec INTEGER NOT NULL,
    stages TEXT NOT NULL,
    changed_at INTEGER NOT NULL,
    last_active_at INTEGER NOT NULL,
    error_code TEXT NOT NULL,
    error_message TEXT NOT NULL,
    cluster_id TEXT
) WITHOUT ROWID;
CREATE INDEX machines_deleted ON machines (changed_at) WHERE state = 'deleted';
CREATE TABLE meta (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
"""

_COLUMNS = (
    "sandbox_id, generation, command, spec, state, sequence, cause, detail, incarnation, pid, start_ticks, "
    "timeout_sec, stages, changed_at, last_active_at, error_code, error_message, cluster_id"
)
_REPLACE = f"INSERT OR REPLACE INTO machines ({_COLUMNS}) VALUES ({', '.join('?' * 18)})"  # noqa: S608 - constants
_TOUCH = "UPDATE machines SET last_active_at = max(last_active_at, ?), sequence = ? WHERE sandbox_id = ?"

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
_Result = TypeVar("_Result")


class LedgerError(Exception):
    """The ledger could not be written: the disk is full or broken. Nothing of the change is in it."""


@dataclass(frozen=True, slots=True)
class Activity:
    """When a machine was last used, and when it will be paused if it is not used again: nothing else of it changed."""

    sandbox_id: UUID
    last_active_at: datetime
    auto_pause_at: datetime | None
    sequence: int = 0


@dataclass(slots=True)
class _Entry:
    change: Machine | Activity
    durable: bool
    error: Exception | None = None


class Ledger:
    """The open ledger. Only one agent may have it open (`agent/__main__.py` holds a lock on the data directory).

    `announce` is called in the event loop with everything that was written, in the order of the sequences.
    """

    def __init__(self, path: Path, announce: Callable[[Machine | Activity], None]) -> None:
        self._path = path
        self._announce = announce
        self._waiting: deque[_Entry] = deque()
        self._executor = ThreadPoolExecutor(1, thread_name_prefix="ledger")
        self._sequence = 0
        self._connection: sqlite3.Connection

    async def open(self) -> None:
        """Opens or makes it. One that is damaged is set aside under another name, and a new one is made: the files of
        its sandboxes are then left alone, since nothing says any more what they are."""
        await self._in_thread(self._open)

    async def close(self) -> None:
        """Writes what waits, then closes."""
        await self._in_thread(self._flush)
        await self._in_thread(self._connection.close)
        self._executor.shutdown()

    async def machines(self, *, deleted_since: datetime) -> list[Machine]:
        """Every machine that is not deleted, and those that were deleted since then."""
        query = f"SELECT {_COLUMNS} FROM machines WHERE state <> 'deleted' OR changed_at >= ?"  # noqa: S608 - constants
        rows = await self._in_thread(lambda: self._connection.execute(query, (_to_us(deleted_since),)).fetchall())
        return [_from_row(row) for row in rows]

    async def find(self, sandbox_id: UUID) -> Machine | None:
        """What is known of one sandbox, also when it was deleted long ago."""
        query = f"SELECT {_COLUMNS} FROM machines WHERE sandbox_id = ?"  # noqa: S608 - constants
        row = await self._in_thread(lambda: self._connection.execute(query, (str(sandbox_id),)).fetchone())
        return None if row is None else _from_row(row)

    async def write(self, machine: Machine, *, durable: bool) -> Machine:
        """Writes a machine with the next sequence, announces it and returns it.

        It survives the death of the agent in any case. `durable` waits for the disk, so that it survives the death of
        the computer too: for what a command is answered with. Cancelling the caller does not undo it.

        Raises:
            LedgerError: nothing was written or announced.
        """
        written = replace(machine, sequence=self._next())
        await self._put_all([_Entry(written, durable)])
        return written

    async def report_activity(self, activities: list[Activity]) -> None:
        """Writes when machines were last used and announces it, each with the next sequence. It changes nothing else of
        a machine, so it may come between anything else that is done with it. Raises: LedgerError, as `write`."""
        await self._put_all(
            [_Entry(replace(activity, sequence=self._next()), durable=False) for activity in activities]
        )

    def _next(self) -> int:
        self._sequence += 1
        return self._sequence

    async def _put_all(self, entries: list[_Entry]) -> None:
        self._waiting.extend(entries)
        flushed = asyncio.get_running_loop().run_in_executor(self._executor, self._flush)
        flushed.add_done_callback(self._flushed)
        await asyncio.shield(flushed)
        for entry in entries:
            if entry.error is not None:
                raise LedgerError(str(entry.error)) from entry.error

    async def note_activity(self, last_active_at: dict[UUID, datetime]) -> None:
        """Writes when machines were last used. No change of a machine: no sequence, no announcement."""
        rows = [(_to_us(moment), str(sandbox_id)) for sandbox_id, moment in last_active_at.items()]
        update = "UPDATE machines SET last_active_at = max(last_active_at, ?) WHERE sandbox_id = ?"
        await self._in_thread(lambda: self._transact(lambda: self._connection.executemany(update, rows)))

    async def prune(self, *, deleted_before: datetime) -> int:
        """Forgets machines that were deleted before then; returns how many."""
        delete = "DELETE FROM machines WHERE state = 'deleted' AND changed_at < ?"
        return await self._in_thread(lambda: self._connection.execute(delete, (_to_us(deleted_before),)).rowcount)

    async def swap_meta(self, name: str, value: str) -> str | None:
        """Stores a value under a name and returns what was there before."""

        def swap() -> str | None:
            row = self._connection.execute("SELECT value FROM meta WHERE name = ?", (name,)).fetchone()
            self._connection.execute("INSERT OR REPLACE INTO meta VALUES (?, ?)", (name, value))
            return None if row is None else str(row[0])

        return await self._in_thread(swap)

    async def _in_thread(self, work: Callable[[], _Result]) -> _Result:
        return await asyncio.get_running_loop().run_in_executor(self._executor, work)

    def _flushed(self, flushed: "asyncio.Future[list[_Entry]]") -> None:
        for entry in flushed.result():
            if entry.error is None:
                self._announce(entry.change)

    def _open(self) -> None:
        try:
            self._connect()
        except sqlite3.DatabaseError as error:
            if isinstance(error, sqlite3.OperationalError):
                raise  # no access, no space, locked: not damage
            aside = self._path.with_name(f"{self._path.name}.damaged-{time.time_ns()}")
            _log.error("the ledger is damaged and was set aside", path=str(aside), error=str(error))
            self._path.rename(aside)
            for suffix in ("-wal", "-shm"):
                self._path.with_name(self._path.name + suffix).unlink(missing_ok=True)
            self._connect()

    def _connect(self) -> None:
        self._path.touch(mode=0o600)  # it holds the sandboxes' environments; SQLite gives its other files the same mode
        connection = sqlite3.connect(self._path, isolation_level=None)
        try:
            connection.execute("PRAGMA journal_mode = WAL")
            connection.execute("PRAGMA synchronous = FULL")
            verdict = connection.execute("PRAGMA quick_check(1)").fetchone()[0]
            if verdict != "ok":
                raise sqlite3.DatabaseError(verdict)
            version = connection.execute("PRAGMA user_version").fetchone()[0]
            if version == 0:
                connection.executescript(f"BEGIN; {_TABLES} PRAGMA user_version = {VERSION}; COMMIT;")
            elif version > VERSION:
                raise LedgerError(f"The ledger has version {version}; this agent knows version {VERSION}.")
            for old in range(version or VERSION, VERSION):
                connection.executescript(f"BEGIN; {_UPGRADES[old]} PRAGMA user_version = {old + 1}; COMMIT;")
                _log.info("ledger upgraded", path=str(self._path), version=old + 1)
            row = connection.execute("SELECT value FROM meta WHERE name = 'sequence'").fetchone()
        except BaseException:
            connection.close()
            raise
        self._connection = connection
        self._sequence = time.time_ns() // 1000 if row is None else int(row[0])

    def _flush(self) -> list[_Entry]:
        """In the ledger's thread: writes all that waits in one transaction."""
        entries = []
        while self._waiting:
            entries.append(self._waiting.popleft())
        if not entries:
            return entries
        try:
            # WAL with NORMAL survives the death of this process; only FULL waits for the disk.
            level = "FULL" if any(entry.durable for entry in entries) else "NORMAL"
            self._connection.execute(f"PRAGMA synchronous = {level}")
            self._transact(lambda: self._put(entries))
        except Exception as error:  # noqa: BLE001 - each writer gets it
            for entry in entries:
                entry.error = error
        return entries

    def _put(self, entries: list[_Entry]) -> None:
        for entry in entries:
            if isinstance(entry.change, Machine):
                self._connection.execute(_REPLACE, _to_row(entry.change))
            else:
                change = entry.change
                self._connection.execute(
                    _TOUCH, (_to_us(change.last_active_at), change.sequence, str(change.sandbox_id))
                )
        self._connection.execute(
            "INSERT OR REPLACE INTO meta VALUES ('sequence', ?)", (str(entries[-1].change.sequence),)
        )

    def _transact(self, work: Callable[[], object]) -> None:
        self._connection.execute("BEGIN IMMEDIATE")
        try:
            work()
            self._connection.execute("COMMIT")
        except BaseException:
            if self._connection.in_transaction:
                self._connection.execute("ROLLBACK")
            raise


def _to_us(moment: datetime) -> int:
    return (moment - _EPOCH) // _MICROSECOND


def _from_us(microseconds: int) -> datetime:
    return _EPOCH + microseconds * _MICROSECOND


def _to_row(machine: Machine) -> tuple[object, ...]:
    spec = machine.spec
    written_spec = {
        "template_id": str(spec.template_id),
        "template_name": spec.template_name,
        "vcpus": spec.vcpus,
        "memory_mb": spec.memory_mb,
        "disk_size_mb": spec.disk_size_mb,
        "environment": spec.environment,
    }
    return (
        str(spec.sandbox_id),
        machine.generation,
        machine.command.value,
        json.dumps(written_spec),
        machine.state.value,
        machine.sequence,
        machine.cause.value,
        machine.detail,
        None if machine.incarnation is None else str(machine.incarnation),
        machine.pid,
        machine.start_ticks,
        machine.timeout_sec,
        json.dumps([(stage.name, stage.duration_us) for stage in machine.stages]),
        _to_us(machine.changed_at),
        _to_us(machine.last_active_at),
        machine.error_code,
        machine.error_message,
        None if machine.cluster_id is None else str(machine.cluster_id),
    )


def _from_row(row: tuple[Any, ...]) -> Machine:
    spec = json.loads(row[3])
    return Machine(
        spec=Spec(**{**spec, "sandbox_id": UUID(row[0]), "template_id": UUID(spec["template_id"])}),
        generation=row[1],
        command=CommandKind(row[2]),
        state=State(row[4]),
        sequence=row[5],
        cause=Cause(row[6]),
        detail=row[7],
        incarnation=None if row[8] is None else UUID(row[8]),
        pid=row[9],
        start_ticks=row[10],
        timeout_sec=row[11],
        stages=tuple(Stage(name, duration_us) for name, duration_us in json.loads(row[12])),
        changed_at=_from_us(row[13]),
        last_active_at=_from_us(row[14]),
        error_code=row[15],
        error_message=row[16],
        cluster_id=None if row[17] is None else UUID(row[17]),
    )
