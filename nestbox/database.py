"""The database of the platform: the embedded one, or the user's own."""

import asyncio
import time
from collections.abc import Mapping
from pathlib import Path
from uuid import UUID

import asyncpg

from nestbox.errors import Problem
from nestbox.postgres import Postgres
from nestbox.settings import Settings

NAME = "nestbox"
OWN_SERVER_MIN = 18
OWN_SERVER_SECONDS = 10.0
_POLL_SECONDS = 0.05


def postgres_folder(data_dir: Path) -> Path:
    """Where the embedded server keeps everything."""
    return data_dir / "postgres"


def start_embedded(data_dir: Path) -> Postgres:
    """Starts the embedded server with the platform's database in it. Whoever calls holds the lock of `data_dir`, so a
    server that runs there is a leftover and is stopped first.

    Raises: Problem
    """
    server = Postgres.start(postgres_folder(data_dir), take_over=True)
    try:
        server.ensure_database(NAME)
    except BaseException:
        server.stop()
        raise
    return server


async def check_given(settings: Settings) -> None:
    """`check_own` for the URLs of the user's own database that are given."""
    if settings.database_url:
        await check_own(settings.database_url)
    if settings.database_owner_url:
        await check_own(settings.database_owner_url, "DATABASE_OWNER_URL")


async def check_own(url: str, variable: str = "DATABASE_URL") -> None:
    """Returns when the user's own database can be used: it answers, lets us in, and is new enough.

    Raises: Problem that says which of these it is, without the URL of `variable`, which holds a password.
    """
    scheme, separator, rest = url.partition("://")
    try:
        connection = await asyncpg.connect(scheme.split("+")[0] + separator + rest, timeout=OWN_SERVER_SECONDS)
    except TimeoutError as error:
        raise Problem(
            f"The database of {variable} does not answer within {OWN_SERVER_SECONDS:.0f} s.",
            "Check the host and the port in it, and that PostgreSQL runs there.",
        ) from error
    except (OSError, ValueError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
        raise Problem(
            f"The database of {variable} cannot be used: {_reason(error)}.",
            "It looks like postgresql://user:password@host:5432/database; unset it for the embedded PostgreSQL.",
        ) from error
    try:
        version = connection.get_server_version()
    finally:
        await connection.close()
    if version.major < OWN_SERVER_MIN:
        raise Problem(
            f"The database of {variable} is PostgreSQL {version.major}; Nestbox needs {OWN_SERVER_MIN} or newer.",
            "Use a newer server, or unset DATABASE_URL for the embedded one.",
        )


def _reason(error: Exception) -> str:
    if isinstance(error, ConnectionRefusedError) or "Multiple exceptions" in str(error):
        return "nobody listens at its host and port"
    return (str(error).splitlines() or [type(error).__name__])[0].rstrip(".")


async def wait_for_sequences(url: str, sequences: Mapping[UUID, int], deadline_seconds: float) -> bool:
    """Waits until the rows of these sandboxes hold at least these sequences of their host; False at the deadline.

    This is the only thing that `nestbox` reads from the tables of the API: without it, a shutdown would leave sandboxes
    recorded as running until the next start.
    """
    deadline = time.monotonic() + deadline_seconds
    connection = await asyncpg.connect(url, timeout=deadline_seconds)
    try:
        while time.monotonic() < deadline:
            rows = await connection.fetch(
                "SELECT id, sequence FROM sandboxes WHERE id = ANY($1::uuid[])", list(sequences)
            )
            if all(row["sequence"] >= sequences[row["id"]] for row in rows):
                return True
            await asyncio.sleep(_POLL_SECONDS)
    finally:
        await connection.close()
    return False
