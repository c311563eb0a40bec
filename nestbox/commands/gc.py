"""`nestbox gc`: files on this host that belong to nothing."""

import asyncio
import json
from collections.abc import Mapping
from dataclasses import asdict
from datetime import UTC, datetime

import click

from nestbox.agent_calls import Garbage, connect
from nestbox.commands.columns import columns
from nestbox.errors import Problem
from nestbox.platform.layout import Layout
from nestbox.settings import Settings


@click.command()
@click.option("--dry-run", is_flag=True, help="Only say what would be put aside or removed.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON, for programs.")
@click.pass_obj
def gc(context: tuple[Settings, Mapping[str, str]], *, dry_run: bool, as_json: bool) -> None:
    """Put aside files that no sandbox, template or image needs, and remove those that were put aside long ago.

    The agent does this by itself now and then; it has to run.
    """
    found = asyncio.run(_collected(Layout(*context), dry_run=dry_run))
    if as_json:
        click.echo(json.dumps([_plain(garbage) for garbage in found], indent=1))
        return
    for line in table(found):
        click.echo(line)


async def _collected(layout: Layout, *, dry_run: bool) -> list[Garbage]:
    address = layout.settings.agent_address
    try:
        async with connect(address, layout.token_file) as calls:
            return await calls.collect_garbage(dry_run=dry_run)
    except FileNotFoundError as error:
        raise Problem(
            f"There is no platform in {layout.settings.data_dir}.", "`nestbox up` starts one, or set NESTBOX_DATA_DIR."
        ) from error


def table(found: list[Garbage]) -> list[str]:
    """What was found as lines with a heading and the sum; a sentence when there is nothing."""
    if not found:
        return ["There is no garbage on this host."]
    heading = ("SIZE", "PUT ASIDE", "REMOVED AFTER", "PATH", "WHAT IT IS")
    rows = [
        (_size(one.stored_bytes), _minute(one.quarantined_at), _minute(one.removed_after), one.path, one.reason)
        for one in found
    ]
    total = sum(one.stored_bytes for one in found)
    return [*columns([heading, *rows]), f"{_size(total)} in all. Times are in UTC."]


def _size(stored_bytes: int) -> str:
    return f"{stored_bytes / 1e6:.1f} MB"


def _minute(at: datetime | None) -> str:
    return f"{at.astimezone(UTC):%Y-%m-%d %H:%M}" if at else "-"


def _plain(garbage: Garbage) -> dict[str, object]:
    return {
        name: value.isoformat() if isinstance(value, datetime) else value for name, value in asdict(garbage).items()
    }
