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
from datetime import datetime
from pathlib import Path
from typing import TypeVar
from uuid import UUID

import structlog

from agent.ledger_rows import facts_of, from_row, template_of, to_row, to_us
from agent.machine import Machine
from agent.template import KeptFork, Template

_log = structlog.get_logger(__name__)

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
    error_message TEXT NOT NULL
) WITHOUT ROWID;
CREATE INDEX machines_deleted ON machines (changed_at) WHERE state = 'deleted';
CREATE TABLE meta (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
"""
_TEMPLATES_AND_FORKS = """
ALTER TABLE machines ADD COLUMN snapshot_id TEXT;
CREATE TABLE templates (
    template_id TEXT PRIMARY KEY,
    state TEXT NOT NULL,
    sequence INTEGER NOT NULL UNIQUE,
    changed_at INTEGER NOT NULL,
    facts TEXT NOT NULL
) WITHOUT ROWID;
CREATE TABLE forks (
    snapshot_id TEXT PRIMARY KEY,
    parent_id TEXT NOT NULL,
    children TEXT NOT NULL
) WITHOUT ROWID;
"""
_CLUSTERS = "ALTER TABLE machines ADD COLUMN cluster_id TEXT;"
_STEPS = (_TABLES, _TEMPLATES_AND_FORKS, _CLUSTERS)
"""From nothing to what this agent knows: step n leads to version n + 1, which stands in `PRAGMA user_version`."""

_COLUMNS = (
    "sandbox_id, generation, command, spec, state, sequence, cause, detail, incarnation, pid, start_ticks, "
    "timeout_sec, stages, changed_at, last_active_at, error_code, error_message, snapshot_id, cluster_id"
)
_REPLACE = f"INSERT OR REPLACE INTO machines ({_COLUMNS}) VALUES ({', '.join('?' * 19)})"  # noqa: S608 - constants
_REPLACE_TEMPLATE = (
    "INSERT OR REPLACE INTO templates (template_id, state, sequence, changed_at, facts) VALUES (?, ?, ?, ?, ?)"
)
_TOUCH = "UPDATE machines SET last_active_at = max(last_active_at, ?), sequence = ? WHERE sandbox_id = ?"

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


Change = Machine | Activity | Template
"""What is written with a sequence, and announced."""


@dataclass(slots=True)
class _Entry:
    change: Change
    durable: bool
    error: Exception | None = None


class Ledger:
    """The open ledger. Only one agent may have it open (`agent/__main__.py` holds a lock on the data directory).

    `announce` is called in the event loop with everything that was written, in the order of the sequences.
    """

    def __init__(self, path: Path, announce: Callable[[Change], None]) -> None:
        self._path = path
        self._announce = announce
        self._waiting: deque[_Entry] = deque()
        self._executor = ThreadPoolExecutor(1, thread_name_prefix="ledger")
        self._sequence = 0
        self._connection: sqlite3.Connection
        self.is_new = False
        """Whether there was none before `open`."""

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
        rows = await self._in_thread(lambda: self._connection.execute(query, (to_us(deleted_since),)).fetchall())
        return [from_row(row) for row in rows]

    async def find(self, sandbox_id: UUID) -> Machine | None:
        """What is known of one sandbox, also when it was deleted long ago."""
        query = f"SELECT {_COLUMNS} FROM machines WHERE sandbox_id = ?"  # noqa: S608 - constants
        row = await self._in_thread(lambda: self._connection.execute(query, (str(sandbox_id),)).fetchone())
        return None if row is None else from_row(row)

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

    async def write_template(self, template: Template, *, durable: bool) -> Template:
        """As `write`, for a template."""
        written = replace(template, sequence=self._next())
        await self._put_all([_Entry(written, durable)])
        return written

    async def templates(self, *, deleted_since: datetime) -> list[Template]:
        """Every template that is not deleted, and those that were deleted since then."""
        query = "SELECT facts, sequence FROM templates WHERE state <> 'deleted' OR changed_at >= ?"
        rows = await self._in_thread(lambda: self._connection.execute(query, (to_us(deleted_since),)).fetchall())
        return [template_of(facts, sequence) for facts, sequence in rows]

    async def find_template(self, template_id: UUID) -> Template | None:
        """What is known of one template, also when it was deleted long ago."""
        query = "SELECT facts, sequence FROM templates WHERE template_id = ?"
        row = await self._in_thread(lambda: self._connection.execute(query, (str(template_id),)).fetchone())
        return None if row is None else template_of(*row)

    async def keep_fork(self, fork: KeptFork) -> None:
        """Writes down for whom a snapshot is kept, durably. Raises: LedgerError."""
        values = (str(fork.snapshot_id), str(fork.parent_id), json.dumps(sorted(map(str, fork.children))))
        await self._statement("INSERT OR REPLACE INTO forks VALUES (?, ?, ?)", values)

    async def forget_fork(self, snapshot_id: UUID) -> None:
        """The snapshot is gone. May be repeated. Raises: LedgerError."""
        await self._statement("DELETE FROM forks WHERE snapshot_id = ?", (str(snapshot_id),))

    async def forks(self) -> list[KeptFork]:
        """Every snapshot that is kept for children."""
        rows = await self._in_thread(lambda: self._connection.execute("SELECT * FROM forks").fetchall())
        return [
            KeptFork(UUID(snapshot_id), UUID(parent_id), frozenset(map(UUID, json.loads(children))))
            for snapshot_id, parent_id, children in rows
        ]

    async def _statement(self, statement: str, values: tuple[object, ...]) -> None:
        def work() -> None:
            self._connection.execute("PRAGMA synchronous = FULL")
            self._connection.execute(statement, values)

        await self._change(work)

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
        """Writes when machines were last used. No change of a machine: no sequence, no announcement. Raises:
        LedgerError."""
        rows = [(to_us(moment), str(sandbox_id)) for sandbox_id, moment in last_active_at.items()]
        update = "UPDATE machines SET last_active_at = max(last_active_at, ?) WHERE sandbox_id = ?"
        await self._change(lambda: self._transact(lambda: self._connection.executemany(update, rows)))

    async def prune(self, *, deleted_before: datetime) -> int:
        """Forgets what was deleted before then, and templates that had failed; returns how many machines that were.
        Raises: LedgerError."""
        before = (to_us(deleted_before),)

        def delete() -> int:
            templates = "DELETE FROM templates WHERE state IN ('deleted', 'failed') AND changed_at < ?"
            self._connection.execute(templates, before)
            machines = "DELETE FROM machines WHERE state = 'deleted' AND changed_at < ?"
            return self._connection.execute(machines, before).rowcount

        return await self._change(delete)

    async def swap_meta(self, name: str, value: str) -> str | None:
        """Stores a value under a name and returns what was there before."""

        def swap() -> str | None:
            row = self._connection.execute("SELECT value FROM meta WHERE name = ?", (name,)).fetchone()
            self._connection.execute("INSERT OR REPLACE INTO meta VALUES (?, ?)", (name, value))
            return None if row is None else str(row[0])

        return await self._in_thread(swap)

    async def _change(self, work: Callable[[], _Result]) -> _Result:
        """Raises: LedgerError."""
        try:
            return await self._in_thread(work)
        except sqlite3.Error as error:
            raise LedgerError(str(error)) from error

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
            self.is_new = version == 0
            if version > len(_STEPS):
                raise LedgerError(f"The ledger has version {version}; this agent knows version {len(_STEPS)}.")
            for number, step in enumerate(_STEPS[version:], version + 1):
                connection.executescript(f"BEGIN; {step} PRAGMA user_version = {number}; COMMIT;")
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
            change = entry.change
            if isinstance(change, Machine):
                self._connection.execute(_REPLACE, to_row(change))
            elif isinstance(change, Template):
                row = (str(change.template_id), change.state.value, change.sequence, to_us(change.changed_at))
                self._connection.execute(_REPLACE_TEMPLATE, (*row, facts_of(change)))
            else:
                self._connection.execute(
                    _TOUCH, (to_us(change.last_active_at), change.sequence, str(change.sandbox_id))
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
