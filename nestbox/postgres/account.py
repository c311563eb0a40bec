"""Whom PostgreSQL runs as: it refuses root, so root lends it an account that the system already has."""

import os
import pwd
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from nestbox.errors import Problem

# `postgres` is made for this. Debian keeps `daemon` for services that own files. `nobody` comes last: it should
# own no files, and other services that use it could signal our server.
CANDIDATES = ("postgres", "daemon", "nobody")

TRIAL_DEADLINE_SECONDS = 10


@dataclass(frozen=True, slots=True)
class Account:
    """An account of the system. `switch` says whether this process has to change to it (it is root)."""

    name: str
    uid: int
    gid: int
    switch: bool

    def command(self, argv: Sequence[str | Path], *, signal_when_parent_dies: str | None = None) -> list[str]:
        """The command line that runs `argv` as this account.

        `setpriv` executes the program in its own place, so that the child's pid is the program's. With
        `signal_when_parent_dies` (`INT`, `TERM`) the kernel sends that signal when the thread that started it ends.
        """
        prefix: list[str] = []
        if self.switch:
            prefix += [f"--reuid={self.uid}", f"--regid={self.gid}", "--clear-groups"]
        if signal_when_parent_dies:
            prefix += ["--pdeathsig", signal_when_parent_dies]
        words = [str(word) for word in argv]
        return ["setpriv", "--no-new-privs", *prefix, "--", *words] if prefix else words

    def can(self, *argv: str | Path) -> bool:
        """Whether this account can run `argv` with success."""
        try:
            done = subprocess.run(
                self.command(argv),
                stdin=subprocess.DEVNULL,
                capture_output=True,
                timeout=TRIAL_DEADLINE_SECONDS,
                check=False,
                cwd="/",
            )
        except (OSError, subprocess.TimeoutExpired):
            return False
        return done.returncode == 0

    def give(self, path: Path, mode: int) -> None:
        """Makes `path` belong to this account, with `mode`."""
        if self.switch:
            os.chown(path, self.uid, self.gid)
        path.chmod(mode)


def choose_account(cluster: Path) -> Account:
    """The account for the cluster at `cluster`, which need not exist.

    A cluster that exists keeps its owner: another choice would lock it out of its own files.

    Raises: Problem when no account can be used.
    """
    if os.geteuid() != 0:
        entry = pwd.getpwuid(os.geteuid())
        return Account(entry.pw_name, entry.pw_uid, entry.pw_gid, switch=False)
    owner = cluster.stat().st_uid if (cluster / "PG_VERSION").exists() else 0
    for account in _owner_first(owner):
        if account.can("true"):
            return account
    tried = f"the owner of {cluster} (uid {owner})" if owner else ", ".join(CANDIDATES)
    raise Problem(
        f"PostgreSQL must not run as root, and no unprivileged account can be used (tried: {tried}).",
        "Create an account with `adduser --system --group postgres`, or set DATABASE_URL to a database of your own.",
    )


def _owner_first(owner: int) -> list[Account]:
    try:
        entries = [pwd.getpwuid(owner)] if owner else []
    except KeyError:
        return []
    if not entries:
        known = {entry.pw_name: entry for entry in pwd.getpwall()}
        entries = [known[name] for name in CANDIDATES if name in known]
    return [Account(entry.pw_name, entry.pw_uid, entry.pw_gid, switch=True) for entry in entries if entry.pw_uid]
