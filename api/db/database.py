"""The pool of connections to PostgreSQL.

Every call is one statement, and so one transaction: short ones keep the horizon of the event log close, and one round
trip is as fast as a command can be. Statements that change several tables are single ones with CTEs. Where a decision
needs a lock first, as with the last owner of a team, there is `transaction`.
"""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any, Protocol, cast

import asyncpg

from api.db.errors import translated
from api.errors import Unavailable

CONNECTIONS_MIN = 2
CONNECTIONS_MAX = 16
"""Per replica; with its three connections of their own (wake-ups, listening, locks) PostgreSQL's default of 100
connections serves five replicas."""
CONNECT_TIMEOUT_SECONDS = 1.0
POOL_WAIT_SECONDS = 1.0
"""To get a connection, or the caller is told that the database does not answer."""
STATEMENT_TIMEOUT_SECONDS = 5.0
"""For one statement: none of ours takes a hundredth of it."""
SERVER_VERSION_MIN = 18
"""`RETURNING old.*` came with PostgreSQL 18."""

Row = asyncpg.Record


def asyncpg_url(database_url: str) -> str:
    """The URL without SQLAlchemy's name of a driver in it."""
    scheme, separator, rest = database_url.partition("://")
    return scheme.split("+")[0] + separator + rest


def require_supported(connection: Any) -> None:
    """Raises: Unavailable when the server is older than what the statements here need."""
    version = connection.get_server_version()
    if version.major < SERVER_VERSION_MIN:
        raise Unavailable(f"PostgreSQL {SERVER_VERSION_MIN} or newer is needed; this server is {version.major}.")


class _Connection(asyncpg.Connection):
    """A connection that is given back as it is: no statement here leaves anything behind in its session."""

    def get_reset_query(self) -> str:
        return ""


class Statements(Protocol):
    """What runs statements: the database, each in a transaction of its own, or one transaction for all of them."""

    async def rows(self, statement: str, *arguments: object) -> Sequence[Row]:
        """All rows of a statement."""
        ...

    async def row(self, statement: str, *arguments: object) -> Row | None:
        """The first row of a statement."""
        ...

    async def execute(self, statement: str, *arguments: object) -> int:
        """Runs a statement; how many rows it changed."""
        ...


class Transaction:
    """One transaction (`Database.transaction`): all of its statements happen, or none. `is_committed` says which."""

    def __init__(self, connection: Any) -> None:
        self._connection = connection
        self.is_committed = False

    async def rows(self, statement: str, *arguments: object) -> Sequence[Row]:
        """All rows of a statement."""
        with translated():
            return cast(Sequence[Row], await self._connection.fetch(statement, *arguments))

    async def row(self, statement: str, *arguments: object) -> Row | None:
        """The first row of a statement."""
        with translated():
            return cast("Row | None", await self._connection.fetchrow(statement, *arguments))

    async def execute(self, statement: str, *arguments: object) -> int:
        """Runs a statement; how many rows it changed."""
        with translated():
            return _changed(await self._connection.execute(statement, *arguments))


class Database:
    """PostgreSQL, a statement at a time. Every method raises Unavailable within about a second when it is away, and
    `api.db.errors.translated` says what else."""

    def __init__(self, url: str) -> None:
        self.url = asyncpg_url(url)
        self._pool: asyncpg.Pool | None = None

    async def open(self) -> None:
        """Connects. Raises: Unavailable."""
        with translated():
            self._pool = await asyncpg.create_pool(
                self.url,
                min_size=CONNECTIONS_MIN,
                max_size=CONNECTIONS_MAX,
                connection_class=_Connection,
                timeout=CONNECT_TIMEOUT_SECONDS,
                command_timeout=STATEMENT_TIMEOUT_SECONDS,
                server_settings={
                    "application_name": "nestbox-api",
                    "jit": "off",
                    "timezone": "UTC",
                    "idle_in_transaction_session_timeout": "5000",
                },
            )
            async with self._pool.acquire() as connection:
                require_supported(connection)

    async def close(self) -> None:
        """Closes every connection; statements under way are given a moment."""
        if self._pool is None:
            return
        try:
            async with asyncio.timeout(2):
                await self._pool.close()
        except TimeoutError:
            self._pool.terminate()

    async def connect(self) -> asyncpg.Connection:
        """A connection of the caller's own, outside the pool, for listening and locks. Raises: Unavailable."""
        with translated():
            return await asyncpg.connect(
                self.url,
                timeout=CONNECT_TIMEOUT_SECONDS,
                command_timeout=STATEMENT_TIMEOUT_SECONDS,
                server_settings={"application_name": "nestbox-api", "jit": "off", "timezone": "UTC"},
            )

    async def rows(self, statement: str, *arguments: object) -> Sequence[Row]:
        """All rows of a statement."""
        with translated():
            async with self._opened.acquire(timeout=POOL_WAIT_SECONDS) as connection:
                return cast(Sequence[Row], await connection.fetch(statement, *arguments))

    async def row(self, statement: str, *arguments: object) -> Row | None:
        """The first row of a statement."""
        with translated():
            async with self._opened.acquire(timeout=POOL_WAIT_SECONDS) as connection:
                return await connection.fetchrow(statement, *arguments)

    async def execute(self, statement: str, *arguments: object) -> int:
        """Runs a statement; how many rows it changed."""
        with translated():
            async with self._opened.acquire(timeout=POOL_WAIT_SECONDS) as connection:
                return _changed(await connection.execute(statement, *arguments))

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[Transaction]:
        """A transaction, committed at the end and undone by whatever is raised. Only short ones, and nothing but
        statements in them: the event log is read no further than the oldest one that is open."""
        with translated():
            connection = await self._opened.acquire(timeout=POOL_WAIT_SECONDS)
        try:
            transaction = connection.transaction()
            with translated():
                await transaction.start()
            statements = Transaction(connection)
            try:
                yield statements
            except BaseException:
                with translated():
                    await transaction.rollback()
                raise
            with translated():
                await transaction.commit()
            statements.is_committed = True
        finally:
            await self._opened.release(connection)

    @property
    def _opened(self) -> asyncpg.Pool:
        if self._pool is None:
            raise Unavailable("The database is not connected.")
        return self._pool


def _changed(tag: str) -> int:
    count = tag.rpartition(" ")[2]
    return int(count) if count.isdigit() else 0
