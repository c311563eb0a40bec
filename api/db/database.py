"""The pool of connections to PostgreSQL.

Every call is one statement, and so one transaction: short ones keep the horizon of the event log close, and one round
trip is as fast as a command can be. Statements that change several tables are single ones with CTEs.
"""

import asyncio
from collections.abc import Sequence
from typing import Any, cast

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
                tag = await connection.execute(statement, *arguments)
        count = tag.rpartition(" ")[2]
        return int(count) if count.isdigit() else 0

    @property
    def _opened(self) -> asyncpg.Pool:
        if self._pool is None:
            raise Unavailable("The database is not connected.")
        return self._pool
