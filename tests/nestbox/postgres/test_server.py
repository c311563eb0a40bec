"""A real server: started, used, killed, recovered, stopped."""

import os
import signal
import socket
import stat
import threading
from collections.abc import Iterator
from pathlib import Path

import asyncpg
import pytest

from nestbox.errors import Problem
from nestbox.postgres import Postgres


@pytest.fixture
def directory(reachable_folder: Path) -> Path:
    return reachable_folder / "postgres"


@pytest.fixture
def server(directory: Path) -> Iterator[Postgres]:
    with Postgres.start(directory, fsync=False) as running:
        yield running


async def value(url: str, query: str) -> object:
    connection = await asyncpg.connect(url)
    try:
        return await connection.fetchval(query)
    finally:
        await connection.close()


async def test_a_fresh_server_speaks_utf8_and_sorts_the_same_everywhere(server: Postgres) -> None:
    assert await value(server.owner_url(), "SELECT current_setting('server_version_num')::int / 10000") == 18
    assert await value(server.owner_url(), "SHOW server_encoding") == "UTF8"
    locale = "SELECT datlocprovider::text || ' ' || datlocale FROM pg_database WHERE datname = current_database()"
    assert await value(server.owner_url(), locale) == "b C.UTF-8"


def test_it_never_runs_as_root(server: Postgres) -> None:
    assert Path(f"/proc/{server.pid}").stat().st_uid != 0


def test_it_lives_in_a_session_of_its_own(server: Postgres) -> None:
    assert os.getsid(server.pid) == server.pid


async def test_nobody_comes_in_without_the_password(server: Postgres) -> None:
    with pytest.raises(asyncpg.InvalidPasswordError):
        await asyncpg.connect(f"postgresql://nestbox:wrong@127.0.0.1:{server.port}/postgres")
    password = server.owner_url().split(":")[2].split("@")[0]
    folder = server.log.parent / "socket"
    with pytest.raises(asyncpg.InvalidPasswordError):
        await asyncpg.connect(user="nestbox", password="wrong", host=str(folder), port=server.port, database="postgres")
    connection = await asyncpg.connect(
        user="nestbox", password=password, host=str(folder), port=server.port, database="postgres"
    )
    await connection.close()


def test_its_secrets_are_closed_to_others(server: Postgres, directory: Path) -> None:
    assert stat.S_IMODE((directory / "cluster").stat().st_mode) == 0o700
    assert stat.S_IMODE((directory / "socket").stat().st_mode) == 0o700
    server.ensure_database("one")
    for name in ("password", "api-password"):
        assert stat.S_IMODE((directory / name).stat().st_mode) == 0o600
        password = (directory / name).read_text().strip()
        assert password not in Path(f"/proc/{server.pid}/cmdline").read_text()
        assert password not in server.log.read_text()


def test_it_listens_on_loopback_only(server: Postgres) -> None:
    listening = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    addresses = {fields[1].split(":")[0] for fields in listening if fields[1].endswith(f":{server.port:04X}")}
    assert addresses == {"0100007F"}


async def test_a_killed_server_is_recovered_with_what_it_had_promised(directory: Path) -> None:
    with Postgres.start(directory) as first:
        await value(first.owner_url(), "CREATE TABLE kept AS SELECT 42 AS number")
        os.kill(first.pid, signal.SIGKILL)
        first.stop()
        with Postgres.start(directory) as second:
            assert await value(second.owner_url(), "SELECT number FROM kept") == 42


def test_a_pid_file_that_names_another_process_is_no_obstacle(directory: Path) -> None:
    Postgres.start(directory, fsync=False).stop()
    pid_file = directory / "cluster/postmaster.pid"
    pid_file.write_text(f"{os.getpid()}\n{directory}/cluster\n0\n5432\n\n127.0.0.1\n0 0\nready\n")
    with Postgres.start(directory, fsync=False) as server:
        assert server.returncode() is None


def test_two_servers_never_share_their_files(server: Postgres, directory: Path) -> None:
    with pytest.raises(Problem, match="already"):
        Postgres.start(directory, fsync=False)
    assert server.returncode() is None


def test_a_leftover_is_taken_over(server: Postgres, directory: Path) -> None:
    with Postgres.start(directory, fsync=False, take_over=True) as second:
        assert server.returncode() is not None
        assert second.pid != server.pid


async def test_another_process_can_find_it(server: Postgres, directory: Path) -> None:
    found = Postgres.attach(directory)
    assert found is not None
    assert await value(found.owner_url(), "SELECT 1") == 1
    server.stop()
    assert Postgres.attach(directory) is None
    assert found.returncode() is not None


def test_files_of_another_major_version_are_refused_and_left_alone(directory: Path) -> None:
    (directory / "cluster").mkdir(parents=True)
    version = directory / "cluster/PG_VERSION"
    version.write_text("17\n")
    with pytest.raises(Problem, match="made by PostgreSQL 17"):
        Postgres.start(directory)
    assert version.read_text() == "17\n"
    assert [path.name for path in (directory / "cluster").iterdir()] == ["PG_VERSION"]


def test_a_port_that_is_taken_is_named(directory: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(Problem, match=f"port {port}"):
            Postgres.start(directory, port=port, fsync=False)
    assert Postgres.attach(directory) is None


async def test_a_lost_password_is_replaced(directory: Path) -> None:
    Postgres.start(directory, fsync=False).stop()
    (directory / "password").unlink()
    with Postgres.start(directory, fsync=False) as server:
        assert await value(server.owner_url(), "SELECT 1") == 1


async def test_a_long_path_gets_its_socket_elsewhere(reachable_folder: Path) -> None:
    directory = reachable_folder / ("x" * 60) / ("y" * 60)
    directory.mkdir(parents=True, mode=0o711)
    with Postgres.start(directory, fsync=False) as server:
        assert await value(server.owner_url(), "SELECT 1") == 1
        assert not (directory / "socket").exists()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root runs it as somebody else")
def test_a_folder_that_its_account_cannot_reach_is_named(tmp_path: Path) -> None:
    tmp_path.chmod(0o700)
    with pytest.raises(Problem, match="cannot reach"):
        Postgres.start(tmp_path / "postgres")


async def test_it_also_runs_when_started_by_another_thread(directory: Path) -> None:
    started: list[Postgres] = []
    thread = threading.Thread(target=lambda: started.append(Postgres.start(directory, fsync=False)))
    thread.start()
    thread.join()
    with started[0] as server:
        assert await value(server.owner_url(), "SELECT 1") == 1


async def test_a_database_is_made_once(server: Postgres) -> None:
    name = 'it\'s "one"'
    server.ensure_database(name)
    server.ensure_database(name)
    count = 'SELECT count(*) FROM pg_database WHERE datname = $$it\'s "one"$$'
    assert await value(server.owner_url(), count) == 1


async def test_the_role_of_the_api_is_a_plain_one(server: Postgres) -> None:
    with pytest.raises(Problem, match="no role for the API yet"):
        server.url()
    server.ensure_database("one")
    rights = """SELECT current_user || ' ' || concat_ws(' ', rolsuper, rolcreatedb, rolcreaterole, rolreplication,
        rolbypassrls, EXISTS (SELECT FROM pg_auth_members WHERE member = r.oid))
        FROM pg_roles r WHERE rolname = current_user"""
    assert await value(server.url("one"), rights) == "nestbox_api f f f f f f"
    assert await value(server.owner_url("one"), rights) == "nestbox t t t t t f"


async def test_what_was_done_to_the_role_of_the_api_is_put_right(server: Postgres, directory: Path) -> None:
    server.ensure_database("one")
    await value(server.owner_url(), "ALTER ROLE nestbox_api SUPERUSER NOLOGIN")
    (directory / "api-password").unlink()
    server.ensure_database("one")
    assert await value(server.url("one"), "SELECT rolsuper FROM pg_roles WHERE rolname = current_user") is False
