"""One PostgreSQL server: started, waited for, stopped."""

import contextlib
import os
import select
import shutil
import signal
import socket
import subprocess
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Self
from urllib.parse import quote

from nestbox.errors import Problem
from nestbox.logs import bound
from nestbox.postgres.account import choose_account
from nestbox.postgres.cluster import API_ROLE, OWNER, Cluster, cluster_folder, server_environment
from nestbox.postgres.software import find_software

START_DEADLINE_SECONDS = 60
STOP_DEADLINE_SECONDS = 20
# Each step of stopping is harsher: fast (sessions end, data is written), immediate (recovery at the next start), kill.
_STOP_SIGNALS = (signal.SIGINT, signal.SIGQUIT, signal.SIGKILL)
# A free port can be taken by somebody else between choosing it and listening on it.
_PORT_ATTEMPTS = 5
_POLL_SECONDS = 0.01
_CLIENT_DEADLINE_SECONDS = 60


class Postgres:
    """A running PostgreSQL 18 on loopback and a Unix socket, in a session of its own.

    Start it in the main thread: the server gets a fast shutdown from the kernel when the thread that started it ends,
    however it ends, so that none is left behind. (In another thread this safety is left out.)
    """

    def __init__(self, cluster: Cluster, pid: int, port: int, process: subprocess.Popen[bytes] | None) -> None:
        self._cluster = cluster
        self._process = process
        self.pid = pid
        self.port = port

    @classmethod
    def start(
        cls, directory: Path, *, port: int | None = None, fsync: bool = True, take_over: bool = False
    ) -> "Postgres":
        """Starts the server whose files are below `directory`, and makes them when there are none (~0.6 s).

        `port` is a TCP port of 127.0.0.1, a free one when None. Without `fsync` a power cut may destroy the data (for
        tests). When a server runs on these files already, `take_over` stops it first. A server that was killed is
        recovered. As root, every account must be able to pass through `directory` (mode 0711).

        Raises: Problem; then nothing runs, and what was there before is unchanged.
        """
        directory = directory.absolute()
        directory.mkdir(mode=0o711, parents=True, exist_ok=True)
        account = choose_account(cluster_folder(directory))
        cluster = Cluster(directory, account, find_software(directory, account))
        if not account.can("test", "-x", directory):
            raise Problem(
                f"PostgreSQL runs as {account.name}, who cannot reach {directory}.",
                "Choose a data directory that every account can pass through (mode 0711 on all folders above it).",
            )
        cluster.ensure(fsync=fsync)
        _end_or_forget_earlier(cluster, take_over=take_over)
        for attempt in range(1, _PORT_ATTEMPTS + 1):
            chosen = port or free_port()
            try:
                return cls._launch(cluster, chosen, fsync=fsync)
            except _PortTakenError as error:
                if port or attempt == _PORT_ATTEMPTS:
                    raise Problem(f"PostgreSQL cannot have port {chosen}: another program listens on it.") from error
        raise AssertionError("the loop above returns or raises")

    @classmethod
    def attach(cls, directory: Path) -> "Postgres | None":
        """The server that runs on the files below `directory`, whoever started it; None when none does."""
        directory = directory.absolute()
        found = _read_pid_file(cluster_folder(directory))
        if found is None:
            return None
        account = choose_account(cluster_folder(directory))
        pid, port = found
        return cls(Cluster(directory, account, find_software(directory, account)), pid, port, None)

    @classmethod
    @contextlib.contextmanager
    def temporary(cls, parent: Path | None = None) -> Iterator["Postgres"]:
        """A server without durability in a folder that is removed afterwards: for tests. It is made in `parent`, which
        every account can pass through, or where the system has its temporary files."""
        # Not pytest's tmp_path: that is closed to other accounts, so a server of root's could not live in it.
        directory = Path(tempfile.mkdtemp(prefix="nestbox-postgres-", dir=parent))
        try:
            directory.chmod(0o711)
            with cls.start(directory, fsync=False) as server:
                yield server
        finally:
            shutil.rmtree(directory, ignore_errors=True)

    @classmethod
    def _launch(cls, cluster: Cluster, port: int, *, fsync: bool) -> "Postgres":
        bound(cluster.log)
        written_before = cluster.log.stat().st_size if cluster.log.exists() else 0
        command = cluster.server_command(port, fsync=fsync)
        if threading.current_thread() is not threading.main_thread():
            command = [word for word in command if word not in ("--pdeathsig", "INT")]
        with cluster.log.open("ab") as log:
            cluster.log.chmod(0o600)
            process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd="/",
                env=server_environment(),
                start_new_session=True,
            )
        server = cls(cluster, process.pid, port, process)
        try:
            server._wait_until_ready(written_before)
        except BaseException:
            server.stop()
            raise
        return server

    def _wait_until_ready(self, log_offset: int) -> None:
        deadline = time.monotonic() + START_DEADLINE_SECONDS
        while time.monotonic() < deadline:
            if self.returncode() is not None:
                said = self._log_since(log_offset)
                if "could not create any TCP/IP sockets" in said:
                    raise _PortTakenError
                raise Problem(f"PostgreSQL ended while it started. Its last words ({self._cluster.log}):\n{said}")
            # The server writes `ready` into its pid file once it accepts connections, as pg_ctl expects.
            if _status(self._cluster.data, self.pid) == "ready":
                return
            time.sleep(_POLL_SECONDS)
        raise Problem(
            f"PostgreSQL was not ready within {START_DEADLINE_SECONDS} s. See {self._cluster.log}.",
            "After a crash it may need longer: start again.",
        )

    def _log_since(self, offset: int, lines: int = 8) -> str:
        with self._cluster.log.open("rb") as log:
            log.seek(offset)
            return "\n".join(log.read().decode(errors="replace").splitlines()[-lines:])

    @property
    def log(self) -> Path:
        """The file that the server writes its log to."""
        return self._cluster.log

    def url(self, database: str = "postgres") -> str:
        """`postgresql://…` over TCP as the API's role, password included: never print it.

        Raises: Problem when there is no such role yet: `ensure_database` makes it.
        """
        return self._url(API_ROLE, self._cluster.api_password(), database)

    def owner_url(self, database: str = "postgres") -> str:
        """The same as the owner, who is a superuser: to migrate with, and for nothing that serves."""
        return self._url(OWNER, self._cluster.password(), database)

    def _url(self, role: str, password: str, database: str) -> str:
        return f"postgresql://{role}:{password}@127.0.0.1:{self.port}/{quote(database, safe='')}"

    def ensure_database(self, name: str) -> None:
        """Creates the database `name` and the API's role unless they are there. What that role may do in the database
        is for its migrations to say; with the server it may do nothing but connect.

        Raises: Problem when that fails.
        """
        quoted = "'" + name.replace("'", "''") + "'"
        # \gexec runs what the query returns, and it returns nothing when that exists.
        script = (
            f"SELECT 'CREATE ROLE {API_ROLE}' "  # noqa: S608 - constants, and what is quoted above
            f"WHERE NOT EXISTS (SELECT FROM pg_roles WHERE rolname = '{API_ROLE}') \\gexec\n"
            # again each time: the file may be lost, or the role older than it
            f"ALTER ROLE {API_ROLE} LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE NOREPLICATION NOBYPASSRLS "
            f"PASSWORD '{self._cluster.ensure_api_password()}';\n"
            f"SELECT format('CREATE DATABASE %I', {quoted}) "
            f"WHERE NOT EXISTS (SELECT FROM pg_database WHERE datname = {quoted}) \\gexec\n"
        )
        done = subprocess.run(
            [
                str(self._cluster.software.psql),
                *("--no-psqlrc", "--quiet", "--no-password", "--set=ON_ERROR_STOP=1"),
                *(f"--username={OWNER}", "--host=127.0.0.1", f"--port={self.port}", "--dbname=postgres"),
            ],
            input=script,
            capture_output=True,
            text=True,
            timeout=_CLIENT_DEADLINE_SECONDS,
            check=False,
            env={**server_environment(), "PGPASSWORD": self._cluster.password()},
        )
        if done.returncode != 0:
            raise Problem(f"The database {name} could not be created: {done.stderr.strip()}")

    def returncode(self) -> int | None:
        """None while the server runs, then its exit status (0 for a server that was attached to)."""
        if self._process is not None:
            return self._process.poll()
        return None if _is_server_of(self.pid, self._cluster.data) else 0

    def stop(self, deadline_seconds: float = STOP_DEADLINE_SECONDS) -> None:
        """Stops the server and returns when it is gone; repeating it is harmless.

        A server that does not stop in time is stopped harder: its data stays, and the next start recovers it.
        """
        for number in _STOP_SIGNALS:
            if self.returncode() is not None:
                return
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, number)
            if self._wait(deadline_seconds / 2):
                return

    def _wait(self, seconds: float) -> bool:
        if self._process is not None:
            try:
                self._process.wait(seconds)
            except subprocess.TimeoutExpired:
                return False
            return True
        return _wait_for_pid(self.pid, seconds)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()


class _PortTakenError(Exception):
    """Somebody else listens on the port."""


def free_port() -> int:
    """A TCP port of 127.0.0.1 that nobody listened on a moment ago."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        number: int = probe.getsockname()[1]
        return number


def _end_or_forget_earlier(cluster: Cluster, *, take_over: bool) -> None:
    pid_file = cluster.data / "postmaster.pid"
    found = _read_pid_file(cluster.data)
    if found is None:
        # Left by a server that was killed. PostgreSQL would refuse to start if the number in it were in use again by
        # another process of the same account.
        pid_file.unlink(missing_ok=True)
        return
    pid, port = found
    if not take_over:
        raise Problem(f"A PostgreSQL server (process {pid}) runs on {cluster.directory} already.")
    Postgres(cluster, pid, port, None).stop()


def _read_pid_file(data: Path) -> tuple[int, int] | None:
    """Process id and port of the server that runs on `data`."""
    try:
        lines = (data / "postmaster.pid").read_text().splitlines()
        pid, port = int(lines[0]), int(lines[3])
    except (OSError, ValueError, IndexError):
        return None
    return (pid, port) if _is_server_of(pid, data) else None


def _is_server_of(pid: int, data: Path) -> bool:
    # A server's working directory is its data directory: a proof that a reused process id cannot give.
    try:
        return Path(f"/proc/{pid}/cwd").samefile(data)
    except OSError:
        return False


def _status(data: Path, pid: int) -> str:
    try:
        lines = (data / "postmaster.pid").read_text().splitlines()
    except OSError:
        return ""
    return lines[7].strip() if len(lines) > 7 and lines[0] == str(pid) else ""


def _wait_for_pid(pid: int, seconds: float) -> bool:
    try:
        descriptor = os.pidfd_open(pid)
    except ProcessLookupError:
        return True
    try:
        return bool(select.select([descriptor], [], [], seconds)[0])
    finally:
        os.close(descriptor)
