"""API keys, through the API's own command line: only it knows how they are made."""

import asyncio
import json
import re
from dataclasses import dataclass
from datetime import UTC, datetime

from nestbox.errors import Problem
from nestbox.platform.layout import Layout

COMMAND_DEADLINE_SECONDS = 120
_KEY = re.compile(r"\bnb_[0-9A-Za-z-]+_[0-9A-Za-z_-]+")
_SHOWN_LINES = 12
_REFUSAL = "api: "  # before a sentence that is meant for people


@dataclass(frozen=True, slots=True)
class Key:
    """What is known of an API key; times are in UTC. `last_used_at` is exact to a minute."""

    id: str
    name: str
    team: str
    scopes: tuple[str, ...]
    is_platform_admin: bool
    created_at: datetime
    last_used_at: datetime | None
    expires_at: datetime | None
    revoked_at: datetime | None

    def state(self, now: datetime) -> str:
        """`revoked`, `expired`, or else what it may do: `admin` of the platform, or its widest scope."""
        if self.revoked_at is not None:
            return "revoked"
        if self.expires_at is not None and self.expires_at <= now:
            return "expired"
        return "admin" if self.is_platform_admin else self.scopes[-1]


async def migrate(layout: Layout, database_url: str, owner_url: str) -> None:
    """Brings the database to what this version needs, as the role of `owner_url`, and gives the role of `database_url`
    what serving takes. With an empty `owner_url` one role does both.

    Raises: Problem; the database is as it was then, since a migration is one transaction.
    """
    await run_api_command(layout, database_url, "migrate", owner_url=owner_url)


async def create_key(layout: Layout, database_url: str, name: str, *, admin: bool, scopes: str = "") -> str:
    """A new API key; it is not stored anywhere, so this is the only time that it can be seen. `scopes` are separated
    by commas; without them it has all.

    Raises: Problem
    """
    options = [*(["--admin"] if admin else []), *(["--scopes", scopes] if scopes else [])]
    output = await run_api_command(layout, database_url, "create-key", "--name", name, *options)
    found = _KEY.search(output)
    if found is None:
        raise Problem("`python -m api create-key` printed no key.")
    return found[0]


async def create_host_token(layout: Layout, database_url: str, again: str = "") -> str:
    """A token with which one new host can join within the next hour, or the host with the id `again` once more.

    Raises: Problem
    """
    # one word: an id that is none may begin like an option
    options = [f"--again={again}"] if again else []
    return (await run_api_command(layout, database_url, "create-host-token", *options)).strip()


async def list_keys(layout: Layout, database_url: str) -> list[Key]:
    """All API keys, the oldest first, those that no longer open anything too.

    Raises: Problem
    """
    rows = json.loads(await run_api_command(layout, database_url, "list-keys"))
    return [
        Key(
            id=row["id"],
            name=row["name"],
            team=row["team"],
            scopes=tuple(row["scopes"]),
            is_platform_admin=row["is_platform_admin"],
            created_at=datetime.fromisoformat(row["created_at"]).astimezone(UTC),
            last_used_at=_time(row["last_used_at"]),
            expires_at=_time(row["expires_at"]),
            revoked_at=_time(row["revoked_at"]),
        )
        for row in rows
    ]


async def revoke_key(layout: Layout, database_url: str, key: str) -> str:
    """Ends an API key, given by its id or as the key itself; returns its id. It opens nothing within five seconds.

    Raises: Problem
    """
    return (await run_api_command(layout, database_url, "revoke-key", "--", key)).strip()


def _time(text: str | None) -> datetime | None:
    return datetime.fromisoformat(text).astimezone(UTC) if text else None


async def run_api_command(layout: Layout, database_url: str, *words: str, owner_url: str = "") -> str:
    """Runs `python -m api WORDS` and returns what it printed. `owner_url` is for the one that migrates.

    Raises: Problem with the reason that it gives, else with its last lines.
    """
    process = await asyncio.create_subprocess_exec(
        *layout.api_command(*words),
        cwd=layout.root,
        env=layout.api_environment(database_url, owner_url),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        async with asyncio.timeout(COMMAND_DEADLINE_SECONDS):
            output, complaints = await process.communicate()
    except BaseException as error:
        if process.returncode is None:
            process.kill()
            await process.wait()
        if isinstance(error, TimeoutError):
            raise Problem(f"`python -m api {words[0]}` took more than {COMMAND_DEADLINE_SECONDS} s.") from error
        raise
    if process.returncode != 0:
        last = complaints.decode(errors="replace").strip().splitlines()[-_SHOWN_LINES:]
        if last and last[-1].startswith(_REFUSAL):
            raise Problem(last[-1].removeprefix(_REFUSAL))
        raise Problem(f"`python -m api {words[0]}` failed ({process.returncode}):\n" + "\n".join(last))
    return output.decode(errors="replace")
