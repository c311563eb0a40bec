"""A database of the user's own: every reason why it cannot be used is a sentence."""

import asyncio
import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from nestbox.database import check_given, check_own
from nestbox.errors import Problem
from nestbox.postgres import Postgres
from nestbox.postgres.server import free_port
from nestbox.settings import read_settings


async def test_a_server_like_our_own_is_good_whatever_its_driver_is_called(postgres: Postgres) -> None:
    await check_own(postgres.url())
    await check_own(postgres.url().replace("postgresql://", "postgresql+asyncpg://"))


async def test_what_is_wrong_is_named_and_the_password_is_not(postgres: Postgres) -> None:
    password = postgres.url().split(":")[2].split("@")[0]
    reasons = {
        postgres.url("missing"): '"missing" does not exist',
        postgres.url().replace(password, "hunter2"): "password authentication failed",
        f"postgresql://nestbox:hunter2@127.0.0.1:{free_port()}/x": "nobody listens",
        "mysql://nestbox:hunter2@127.0.0.1/x": "scheme",
        "nonsense": "scheme",
    }
    for url, reason in reasons.items():
        with pytest.raises(Problem, match=reason) as refused:
            await check_own(url)
        assert "hunter2" not in str(refused.value)
        assert password not in str(refused.value)
        assert len(refused.value.message.splitlines()) == 1


async def test_it_is_said_which_of_the_two_urls_is_wrong(postgres: Postgres, tmp_path: Path) -> None:
    given = {"DATABASE_URL": postgres.url(), "DATABASE_OWNER_URL": postgres.owner_url()}
    await check_given(read_settings(given, root=False, home=tmp_path))
    for variable in given:
        wrong = {**given, variable: postgres.url("missing")}
        with pytest.raises(Problem, match=f"The database of {variable} cannot be used"):
            await check_given(read_settings(wrong, root=False, home=tmp_path))


async def test_an_old_server_is_told_by_its_version() -> None:
    async with old_server("15.12") as port:
        with pytest.raises(Problem, match="is PostgreSQL 15; Nestbox needs 18 or newer"):
            await check_own(f"postgresql://nestbox@127.0.0.1:{port}/x")


@asynccontextmanager
async def old_server(version: str) -> AsyncIterator[int]:
    """Greets as a PostgreSQL of this version does, without asking for a password, and says nothing more."""

    ended = asyncio.Event()

    async def greet(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        length, code = struct.unpack("!II", await reader.readexactly(8))
        if code == 80877103:  # may we have TLS?
            writer.write(b"N")
            length, _ = struct.unpack("!II", await reader.readexactly(8))
        await reader.readexactly(length - 8)
        name = b"server_version\0" + version.encode() + b"\0"
        writer.write(
            struct.pack("!cII", b"R", 8, 0)
            + struct.pack("!cI", b"S", 4 + len(name))
            + name
            + struct.pack("!cIII", b"K", 12, 1, 1)
            + struct.pack("!cIc", b"Z", 5, b"I")
        )
        assert await reader.readexactly(5) == b"X\0\0\0\4"  # the client says goodbye, and waits for us to hang up
        writer.close()
        await writer.wait_closed()
        ended.set()

    server = await asyncio.start_server(greet, "127.0.0.1", 0)
    async with server:
        port: int = server.sockets[0].getsockname()[1]
        yield port
        await ended.wait()
