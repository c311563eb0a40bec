"""`nestbox` as people type it: real processes, the simulated driver where no machine is needed."""

import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from nestbox.platform.lock import hold_lock
from nestbox.postgres.server import free_port
from nestbox.setup.debian import RUNTIME

ROOT = Path(__file__).parents[2]
DEADLINE_SECONDS = 100


def nestbox(folder: Path, *words: str, **variables: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "NESTBOX_DATA_DIR": str(folder), **variables}
    environment.pop("DATABASE_URL", None)
    environment.pop("DATABASE_OWNER_URL", None)
    return subprocess.run(
        [sys.executable, "-m", "nestbox", *words],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        timeout=DEADLINE_SECONDS,
        check=False,
    )


def test_version_and_help(tmp_path: Path) -> None:
    assert nestbox(tmp_path, "version").stdout.strip() == "0.1.0"
    said = nestbox(tmp_path, "--help").stdout
    for command in ("up", "key", "user", "template", "gc", "doctor", "version"):
        assert f"\n  {command} " in said


def test_a_command_that_does_not_exist_is_an_error(tmp_path: Path) -> None:
    done = nestbox(tmp_path, "fly")
    assert done.returncode == 2
    assert "No such command" in done.stderr


def test_a_senseless_setting_is_told_in_a_sentence(tmp_path: Path) -> None:
    done = nestbox(tmp_path, "up", NESTBOX_API_PORT="none")
    assert done.returncode == 1
    assert done.stderr.startswith("NESTBOX_API_PORT is 'none', which is not a port.")


def test_up_refuses_a_data_directory_in_use(tmp_path: Path) -> None:
    with hold_lock(tmp_path):
        done = nestbox(tmp_path, "up")
    assert done.returncode == 1
    assert f"runs on {tmp_path} already (process {os.getpid()})" in done.stderr


@pytest.mark.parametrize("option", ["--api-port", "--agent-port"])
def test_up_refuses_a_port_that_is_taken_before_it_starts_anything(tmp_path: Path, option: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        done = nestbox(tmp_path, "up", "--api-port", str(free_port()), option, port)
    assert done.returncode == 1
    assert f"Port {port}" in done.stderr
    assert str(os.getpid()) in done.stderr
    assert not (tmp_path / "postgres").exists()


def test_keys_can_be_made_and_listed_while_nothing_runs(reachable_folder: Path) -> None:
    first, second = (nestbox(reachable_folder, "key", "create", "--name", name) for name in ("first", "second"))
    assert first.returncode == second.returncode == 0, first.stderr + second.stderr
    assert first.stdout.startswith("nb_")
    assert len({first.stdout, second.stdout}) == 2
    assert len(first.stdout.splitlines()) == 1
    listed = nestbox(reachable_folder, "key", "list").stdout.splitlines()
    assert [row.split()[-1] for row in listed[1:]] == ["first", "second"]
    assert not (reachable_folder / "postgres/cluster/postmaster.pid").exists()


def test_keys_are_listed_and_revoked(with_database: Path) -> None:
    made = [nestbox(with_database, "key", "create", "--name", name).stdout.strip() for name in ("mine", "lost one")]
    listed = nestbox(with_database, "key", "list").stdout
    heading, *rows = listed.splitlines()
    assert heading.split() == ["ID", "MAY", "CREATED", "LAST", "USED", "NAME"]
    assert [row.split(maxsplit=5)[1] for row in rows] == ["team_admin", "team_admin"]
    assert [row.split("never")[1].strip() for row in rows] == ["mine", "lost one"]
    assert all(key.rsplit("_", 1)[1] not in listed for key in made)

    by_id = nestbox(with_database, "key", "revoke", rows[0].split()[0])
    assert by_id.stdout == f"Revoked {rows[0].split()[0]}.\n", by_id.stderr
    by_key = nestbox(with_database, "key", "revoke", made[1])
    assert by_key.stdout == f"Revoked {rows[1].split()[0]}.\n", by_key.stderr
    listed = nestbox(with_database, "key", "list").stdout
    assert [row.split()[1] for row in listed.splitlines()[1:]] == ["revoked"] * 2


def test_what_is_no_key_is_refused_in_a_sentence(with_database: Path) -> None:
    for key in ("nonsense", "sb-01234567-89ab-7cde-8f01-23456789abcd", "-x"):
        done = nestbox(with_database, "key", "revoke", "--", key)
        assert done.returncode == 1, key
        assert "This names no key" in done.stderr, key
        assert "Traceback" not in done.stderr, key


def test_the_doctor_works_before_the_set_up(tmp_path: Path) -> None:
    """-S: without what the set-up installs."""
    script = f"import sys; sys.path.insert(0, {str(ROOT)!r}); sys.argv[1:] = ['doctor', '--help']; "
    script += "from nestbox.__main__ import main; sys.exit(main())"
    done = subprocess.run([sys.executable, "-I", "-S", "-c", script], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "usage: nestbox doctor" in done.stdout


def test_other_commands_before_the_set_up_say_what_to_do() -> None:
    script = f"import sys; sys.path.insert(0, {str(ROOT)!r}); sys.argv[1:] = ['up']; "
    script += "from nestbox.__main__ import main; sys.exit(main())"
    done = subprocess.run([sys.executable, "-I", "-S", "-c", script], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "make setup" in done.stderr


def test_the_packages_can_be_listed_by_any_python() -> None:
    command = [sys.executable, "-S", "-m", "nestbox.setup", "--list-packages"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert set(RUNTIME) <= set(done.stdout.split())


def test_a_key_can_be_made_with_fewer_scopes(with_database: Path) -> None:
    assert nestbox(with_database, "key", "create", "--scopes", "read").returncode == 0
    row = nestbox(with_database, "key", "list").stdout.splitlines()[1]
    assert row.split()[1] == "read"
    done = nestbox(with_database, "key", "create", "--scopes", "everything")
    assert done.returncode == 1
    assert "Scopes are read, write, team_admin" in done.stderr


def test_accounts_are_made_listed_and_given_a_new_password(reachable_folder: Path) -> None:
    made = nestbox(reachable_folder, "user", "create", "Me@Example.org", "--admin", "--name", "Me").stdout.strip()
    again = nestbox(reachable_folder, "user", "reset-password", "me@example.org").stdout.strip()
    assert len(made) == len(again) == 24
    assert made != again
    heading, row = nestbox(reachable_folder, "user", "list").stdout.splitlines()
    assert heading.split() == ["ID", "IS", "CREATED", "EMAIL", "NAME"]
    assert (row.split()[1], row.split()[-2:]) == ("admin", ["me@example.org", "Me"])
    for words, said in (
        (("create", "me@example.org"), "has an account already"),
        (("create", "nonsense"), "not an email address"),
        (("reset-password", "nobody@example.org"), "no such person"),
    ):
        done = nestbox(reachable_folder, "user", *words)
        assert done.returncode == 1
        assert said in done.stderr
        assert "Traceback" not in done.stderr
