"""Base templates: the disk is made by the agent's command line on this host, the row by the API's. Both are known to a
platform that runs at once; a command that is killed between the two can be repeated."""

import asyncio
import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nestbox.data_dir import prepare_data_dir
from nestbox.errors import Problem
from nestbox.platform.database import reached_database, running_database
from nestbox.platform.keys import run_api_command
from nestbox.platform.layout import Layout

LINE_BYTES_MAX = 1 << 20  # the list of templates is one line
_DEBIAN = "Debian 12 with Python 3, pip, venv, git and curl"

Say = Callable[[str], None]
"""Called with a sentence now and then."""


@dataclass(frozen=True, slots=True)
class Template:
    """A base template: what this host has of it, and what the platform knows.

    `content_id` is of its disk, empty if this host never had it; `stored_bytes` are the blocks that the disk takes.
    `id` is empty if no team can see it: a command was killed. `sandboxes` is None if nobody was asked.
    """

    name: str
    id: str
    content_id: str
    packages: tuple[str, ...]
    source: str
    stored_bytes: int
    is_present: bool
    sandboxes: int | None
    created_at: str


async def build(layout: Layout, name: str, packages: list[str], say: Say) -> Template:
    """A template with these Debian packages beside the usual ones. Raises: Problem; nothing half-built is left."""
    made = await _images(layout, say, "build", name, *packages)
    more = f", and {', '.join(made['packages'])}" if made["packages"] else ""
    return await _registered(layout, made, f"{_DEBIAN}{more}.")


async def import_(layout: Layout, name: str, archive: Path, say: Say) -> Template:
    """A template of the root file system in a tar archive. Raises: Problem; nothing half-made is left."""
    made = await _images(layout, say, "import", name, str(archive.absolute()))
    return await _registered(layout, made, f"Imported from {made['source']}.")


async def _registered(layout: Layout, made: dict[str, Any], description: str) -> Template:
    async with reached_database(layout) as url:
        size = ["--disk-size-mb", str(made["disk_size_mb"])]
        await run_api_command(layout, url, "add-base-template", *size, "--description", description, "--", made["name"])
        found = await _merged(layout, url)
    return next(template for template in found if template.name == made["name"])


async def list_(layout: Layout, *, start: bool) -> list[Template]:
    """All of them by name, the built-in one first. Without `start`, a database that does not run is left alone, and
    what this host knows is all. Raises: Problem."""
    if not start:
        return await _merged(layout, running_database(layout))
    async with reached_database(layout) as url:
        return await _merged(layout, url)


async def remove(layout: Layout, name: str) -> None:
    """No team can use it any more, and its disk is gone from this host. Refused while sandboxes stand on it.

    Raises: Problem; nothing has changed then.
    """
    async with reached_database(layout) as url:
        known = {row["name"] for row in json.loads(await run_api_command(layout, url, "list-base-templates"))}
        if name in known:
            await run_api_command(layout, url, "remove-base-template", "--", name)
    was_here = (await _images(layout, lambda _: None, "remove", name))["removed"]
    if not was_here and name not in known:
        raise Problem(f"There is no base template {name!r}.", "`nestbox template list` says which there are.")


async def _merged(layout: Layout, url: str | None) -> list[Template]:
    here = {found["template"]["name"]: found for found in await _images(layout, lambda _: None, "list")}
    listed = [] if url is None else json.loads(await run_api_command(layout, url, "list-base-templates"))
    rows = {row["name"]: row for row in listed}
    names = [*here, *sorted(rows.keys() - here.keys())]
    return [_template(name, here.get(name), rows.get(name), was_asked=url is not None) for name in names]


def _template(name: str, here: dict[str, Any] | None, row: dict[str, Any] | None, *, was_asked: bool) -> Template:
    own: dict[str, Any] = here["template"] if here else {}
    sandboxes = int(row["sandboxes"]) if row else 0
    return Template(
        name=name,
        id=row["id"] if row else "",
        content_id=own.get("disk", ""),
        packages=tuple(own.get("packages", ())),
        source=own.get("source", ""),
        stored_bytes=here["stored_bytes"] if here else 0,
        is_present=bool(here and here["is_present"]),
        sandboxes=sandboxes if was_asked else None,
        created_at=own.get("created_at") or (row["created_at"] if row else ""),
    )


async def _images(layout: Layout, say: Say, command: str, *words: str) -> Any:
    """Runs one command of the agent's images; its last line is the answer, those before are progress.

    Raises: Problem with the reason that it gives.
    """
    prepare_data_dir(layout.settings.data_dir)
    process = await asyncio.create_subprocess_exec(
        *layout.images_command(command, *words),
        cwd=layout.root,
        env=dict(layout.inherited),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        limit=LINE_BYTES_MAX,
    )
    try:
        output, complaints = await asyncio.gather(_last_line(process.stdout, say), _all(process.stderr))
        status = await process.wait()
    except BaseException:
        if process.returncode is None:
            process.terminate()  # it takes what it began with it
            await process.wait()
        raise
    if status != 0:
        raise Problem(complaints.strip() or f"`python -m agent.images {command}` failed ({status}).")
    return json.loads(output)


async def _last_line(stream: asyncio.StreamReader | None, say: Say) -> str:
    last = ""
    while stream is not None and (line := await stream.readline()):
        if last:
            say(last)
        last = line.decode(errors="replace").rstrip("\n")
    return last


async def _all(stream: asyncio.StreamReader | None) -> str:
    return "" if stream is None else (await stream.read()).decode(errors="replace")
