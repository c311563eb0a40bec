"""The database of the platform: the embedded one, or the user's own."""

import asyncio
import time
from collections.abc import Mapping
from pathlib import Path
from uuid import UUID

import asyncpg

from nestbox.postgres import Postgres

NAME = "nestbox"
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
