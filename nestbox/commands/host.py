"""`nestbox host`: more computers for sandboxes."""

import asyncio
from collections.abc import Mapping

import click

from nestbox.platform.database import reached_database
from nestbox.platform.keys import create_host_token
from nestbox.platform.layout import Layout
from nestbox.settings import Settings


@click.group()
def host() -> None:
    """Hosts: computers that run sandboxes, beside this one."""


@host.command()
@click.option(
    "--again",
    default="",
    metavar="HOST",
    help="For a host that is known, by its ID (host-…): its certificate is lost or has expired, or it has moved.",
)
@click.pass_obj
def token(context: tuple[Settings, Mapping[str, str]], again: str) -> None:
    """Make a token with which one host can join within the next hour.

    On that host: `python -m agent join https://…`, which reads the token from standard input.
    """
    click.echo(asyncio.run(_token(Layout(*context), again)))


async def _token(layout: Layout, again: str) -> str:
    async with reached_database(layout) as url:
        return await create_host_token(layout, url, again)
