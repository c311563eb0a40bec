"""`nestbox key`: API keys, also when the platform does not run."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager

import click

from nestbox.data_dir import prepare_data_dir
from nestbox.database import NAME, postgres_folder, start_embedded
from nestbox.errors import Problem
from nestbox.platform.keys import create_key, migrate
from nestbox.platform.layout import Layout
from nestbox.platform.lock import hold_lock
from nestbox.postgres import Postgres
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
    async with _database(layout) as url:
        return await create_key(layout, url, name, admin=admin)


@asynccontextmanager
async def _database(layout: Layout) -> AsyncIterator[str]:
    """The URL of the platform's database, migrated; the embedded server is started for a moment unless it runs.

    Raises: Problem
    """
    settings = layout.settings
    if settings.database_url:
        await migrate(layout, settings.database_url)
        yield settings.database_url
        return
    prepare_data_dir(settings.data_dir)
    running = Postgres.attach(postgres_folder(settings.data_dir))
    if running is not None:
        yield running.url(NAME)
        return
    try:
        with hold_lock(settings.data_dir), start_embedded(settings.data_dir) as server:
            await migrate(layout, server.url(NAME))
            yield server.url(NAME)
    except Problem as problem:
        if "runs on" in problem.message:
            raise Problem("Nestbox is just starting or stopping.", "Try again in a few seconds.") from problem
        raise
