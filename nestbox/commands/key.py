"""`nestbox key`: API keys, also when the platform does not run."""

import asyncio
from collections.abc import Mapping
from datetime import UTC, datetime

import click

from nestbox.platform.database import platform_database
from nestbox.platform.keys import Key, create_key, list_keys, revoke_key
from nestbox.platform.layout import Layout
from nestbox.settings import Settings


@click.group()
def key() -> None:
    """API keys: what programs and people sign in with."""


@key.command()
@click.option("--name", default="cli", show_default=True, help="What the key is for.")
@click.option("--admin", is_flag=True, help="The key may also see and steer the hosts of the platform.")
@click.pass_obj
def create(context: tuple[Settings, Mapping[str, str]], name: str, *, admin: bool) -> None:
    """Make an API key and print it. It is not stored: this is the only time that it can be seen."""
    layout = Layout(*context)
    click.echo(asyncio.run(_create(layout, name, admin=admin)))


async def _create(layout: Layout, name: str, *, admin: bool) -> str:
    async with platform_database(layout) as url:
        return await create_key(layout, url, name, admin=admin)


@key.command("list")
@click.pass_obj
def list_(context: tuple[Settings, Mapping[str, str]]) -> None:
    """List the API keys, the oldest first: what they may do and when they were last used (UTC)."""
    for line in table(asyncio.run(_list(Layout(*context))), datetime.now(UTC)):
        click.echo(line)


async def _list(layout: Layout) -> list[Key]:
    async with platform_database(layout) as url:
        return await list_keys(layout, url)


def table(keys: list[Key], now: datetime) -> list[str]:
    """The keys as lines with a heading; a sentence when there are none."""
    if not keys:
        return ["There are no API keys; `nestbox key create` makes one."]
    heading = ("ID", "MAY", "CREATED", "LAST USED", "NAME")
    rows = [heading, *((k.id, k.state(now), _minute(k.created_at), _minute(k.last_used_at), k.name) for k in keys)]
    widths = [max(len(row[column]) for row in rows) for column in range(len(heading) - 1)]
    return [
        "  ".join([*(cell.ljust(width) for cell, width in zip(row, widths, strict=False)), row[-1]]) for row in rows
    ]


def _minute(at: datetime | None) -> str:
    return f"{at:%Y-%m-%d %H:%M}" if at else "never"


@key.command()
@click.argument("key")
@click.pass_obj
def revoke(context: tuple[Settings, Mapping[str, str]], key: str) -> None:
    """End an API key, given by its ID (see `nestbox key list`) or as the key itself.

    Whoever uses it is refused within five seconds, and their streams are closed.
    """
    click.echo(f"Revoked {asyncio.run(_revoke(Layout(*context), key))}.")


async def _revoke(layout: Layout, key: str) -> str:
    async with platform_database(layout) as url:
        return await revoke_key(layout, url, key)
