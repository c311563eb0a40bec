"""`nestbox user`: accounts of people, also when the platform does not run."""

import asyncio
from collections.abc import Mapping

import click

from nestbox.commands.columns import columns, minute
from nestbox.platform.database import reached_database
from nestbox.platform.layout import Layout
from nestbox.platform.users import User, create_user, list_users, reset_password
from nestbox.settings import Settings

Context = tuple[Settings, Mapping[str, str]]


@click.group()
def user() -> None:
    """Accounts of people, who sign in to the dashboard."""


@user.command()
@click.argument("email")
@click.option("--name", default="", help="The name of the person.")
@click.option("--admin", is_flag=True, help="A platform admin, and an owner of the first team; else a member of it.")
@click.pass_obj
def create(context: Context, email: str, name: str, *, admin: bool) -> None:
    """Make an account in the first team and print its password. It is not stored: it can be seen this once."""
    click.echo(asyncio.run(_create(Layout(*context), email, name, admin=admin)))


async def _create(layout: Layout, email: str, name: str, *, admin: bool) -> str:
    async with reached_database(layout) as url:
        return await create_user(layout, url, email, name, admin=admin)


@user.command("list")
@click.pass_obj
def list_(context: Context) -> None:
    """List the accounts, the oldest first."""
    for line in table(asyncio.run(_list(Layout(*context)))):
        click.echo(line)


async def _list(layout: Layout) -> list[User]:
    async with reached_database(layout) as url:
        return await list_users(layout, url)


def table(users: list[User]) -> list[str]:
    """The accounts as lines with a heading; a sentence when there are none."""
    if not users:
        return ["There are no accounts; `nestbox user create` makes one."]
    heading = ("ID", "IS", "CREATED", "EMAIL", "NAME")
    return columns([heading, *((u.id, u.state, minute(u.created_at), u.email, u.name) for u in users)])


@user.command("reset-password")
@click.argument("email")
@click.pass_obj
def reset_password_(context: Context, email: str) -> None:
    """Give somebody a new password and print it; they are signed out everywhere within seconds."""
    click.echo(asyncio.run(_reset(Layout(*context), email)))


async def _reset(layout: Layout, email: str) -> str:
    async with reached_database(layout) as url:
        return await reset_password(layout, url, email)
