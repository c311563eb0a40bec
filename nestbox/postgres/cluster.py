"""The files of one PostgreSQL server: its cluster, its passwords, its socket folder, its settings."""

import hashlib
import os
import secrets
import stat
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path

from nestbox.errors import Problem
from nestbox.postgres.account import Account
from nestbox.postgres.software import MAJOR, Software

OWNER = "nestbox"
"""The role that initdb makes, a superuser, which owns what migrations make."""
API_ROLE = "nestbox_api"
"""The role that the API serves with."""
INITDB_DEADLINE_SECONDS = 120
# sun_path of a Unix socket: 108 bytes with the closing NUL.
SOCKET_PATH_BYTES_MAX = 107
_SOCKET_NAME_LONGEST = ".s.PGSQL.65535.lock"

# For one machine that also runs guests: small, and no processes that a single server never needs.
SETTINGS = {
    "listen_addresses": "127.0.0.1",
    "unix_socket_permissions": "0700",
    "shared_buffers": "64MB",
    "work_mem": "4MB",
    "maintenance_work_mem": "32MB",
    "max_connections": "100",
    "max_wal_size": "256MB",
    "min_wal_size": "32MB",
    "wal_level": "minimal",
    "max_wal_senders": "0",
    "max_logical_replication_workers": "0",
    "io_method": "sync",
    "max_parallel_workers": "2",
    "autovacuum_max_workers": "2",
    "huge_pages": "off",
    "jit": "off",
    "timezone": "UTC",
    "log_timezone": "UTC",
    "lc_messages": "C",
    "log_line_prefix": "%m [%p] %d ",
}
# What is lost on a power cut does not matter: tests.
SETTINGS_WITHOUT_FSYNC = {"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off"}


@dataclass(frozen=True, slots=True)
class Cluster:
    """The layout below one directory. The directory must let `account` pass through."""

    directory: Path
    account: Account
    software: Software

    @property
    def data(self) -> Path:
        """PGDATA: belongs to the account, 0700."""
        return cluster_folder(self.directory)

    @property
    def log(self) -> Path:
        """What the server says."""
        return self.directory / "server.log"

    @property
    def password_file(self) -> Path:
        """The owner's password, 0600; belongs to whoever runs the platform, not to the account."""
        return self.directory / "password"

    @property
    def api_password_file(self) -> Path:
        """The password of the API's role, as the other one. Clusters from before there was that role lack it."""
        return self.directory / "api-password"

    def password(self) -> str:
        """The password of the owner."""
        return self.password_file.read_text().strip()

    def api_password(self) -> str:
        """The password of the API's role.

        Raises: Problem when nobody has made it, as while a server runs that an older version started.
        """
        if not self.api_password_file.exists():
            raise Problem("The database has no role for the API yet.", "Stop Nestbox and start it again.")
        return self.api_password_file.read_text().strip()

    def ensure_api_password(self) -> str:
        """The password that the API's role is to have, made unless there is one."""
        return self.api_password() if self.api_password_file.exists() else _write_secret(self.api_password_file)

    def ensure(self, *, fsync: bool) -> None:
        """Makes the cluster unless it is there. A creation that was cut short is started over.

        Raises: Problem when it is of another major version or cannot be made.
        """
        version = self.data / "PG_VERSION"
        if version.exists():
            found = version.read_text().strip()
            if found != MAJOR:
                raise Problem(
                    f"{self.data} was made by PostgreSQL {found}, and this Nestbox comes with PostgreSQL {MAJOR}.",
                    f"Use pg_dump of PostgreSQL {found} and load the dump into a new data directory, "
                    "or set DATABASE_URL.",
                )
            if not self.password_file.exists():
                self._set_password()
        else:
            self._create(fsync=fsync)

    def _create(self, *, fsync: bool) -> None:
        with tempfile.TemporaryDirectory(dir=self.directory, prefix="new-") as name:
            # initdb runs as the account, so both the password file and the new cluster must be its own until then.
            scratch = Path(name)
            self.account.give(scratch, 0o700)
            password = _write_secret(self.password_file)
            handed_over = scratch / "password"
            handed_over.touch(mode=0o600)
            handed_over.write_text(password + "\n")
            self.account.give(handed_over, 0o600)
            command = [
                str(self.software.initdb),
                f"--pgdata={scratch / 'cluster'}",
                f"--username={OWNER}",
                f"--pwfile={handed_over}",
                "--auth=scram-sha-256",
                "--encoding=UTF8",
                # The builtin provider sorts the same on every system, whatever locales are installed.
                "--locale=C",
                "--locale-provider=builtin",
                "--builtin-locale=C.UTF-8",
                "--no-instructions",
                # Stretching protects weak passwords. Ours has 256 random bits, and clients pay per connection.
                "--set=scram_iterations=1",
                *([] if fsync else ["--no-sync"]),
            ]
            self._run(command, "initdb")
            (scratch / "cluster").rename(self.data)

    def _set_password(self) -> None:
        password = _write_secret(self.password_file)
        command = [str(self.software.postgres), "--single", "-D", str(self.data), "postgres"]
        try:
            self._run(command, "setting a new password", statement=f"ALTER ROLE {OWNER} PASSWORD '{password}'\n")
        except BaseException:
            self.password_file.unlink()
            raise

    def _run(self, command: list[str], what: str, statement: str = "") -> None:
        try:
            done = subprocess.run(
                self.account.command(command),
                input=statement,
                capture_output=True,
                text=True,
                timeout=INITDB_DEADLINE_SECONDS,
                check=False,
                cwd="/",
                env=server_environment(),
            )
        except subprocess.TimeoutExpired as error:
            raise Problem(f"PostgreSQL: {what} took more than {INITDB_DEADLINE_SECONDS} s.") from error
        if done.returncode != 0:
            raise Problem(f"PostgreSQL: {what} failed: {_last_lines(done.stderr or done.stdout)}")

    def server_command(self, port: int, *, fsync: bool) -> list[str]:
        """The command line of the server, run as the account, ended by the kernel with its parent."""
        settings = {
            **SETTINGS,
            **({} if fsync else SETTINGS_WITHOUT_FSYNC),
            "port": str(port),
            "unix_socket_directories": str(self.socket_folder()),
        }
        arguments = [word for name, value in settings.items() for word in ("-c", f"{name}={value}")]
        return self.account.command(
            [self.software.postgres, "-D", self.data, *arguments], signal_when_parent_dies="INT"
        )

    def socket_folder(self) -> Path:
        """A folder for the Unix socket, 0700, made when missing; elsewhere when the path would be too long.

        Raises: Problem when that other place belongs to somebody else.
        """
        folder = self.directory / "socket"
        if len(os.fsencode(folder / _SOCKET_NAME_LONGEST)) > SOCKET_PATH_BYTES_MAX:
            digest = hashlib.sha256(os.fsencode(self.directory)).hexdigest()[:16]
            folder = Path(tempfile.gettempdir(), f"nestbox-{digest}")
        folder.mkdir(mode=0o700, exist_ok=True)
        found = folder.lstat()
        if not stat.S_ISDIR(found.st_mode) or found.st_uid not in (os.geteuid(), self.account.uid):
            raise Problem(f"{folder} is needed for PostgreSQL's socket and belongs to somebody else.", "Remove it.")
        self.account.give(folder, 0o700)
        return folder


def cluster_folder(directory: Path) -> Path:
    """Where the cluster of a server with this directory is."""
    return directory / "cluster"


def server_environment() -> dict[str, str]:
    """PG* variables of the caller would change what the server does, so it gets none of them."""
    return {"PATH": "/usr/bin:/bin", "LC_ALL": "C", "TZ": "UTC"}


def _write_secret(path: Path) -> str:
    """All of it or nothing: an empty one would be taken for a password."""
    secret, unfinished = secrets.token_hex(32), path.with_name(f"{path.name}.new")
    unfinished.unlink(missing_ok=True)
    unfinished.touch(mode=0o600)
    unfinished.write_text(secret + "\n")
    unfinished.rename(path)
    return secret


def _last_lines(text: str, count: int = 5) -> str:
    return "\n".join(text.strip().splitlines()[-count:])
