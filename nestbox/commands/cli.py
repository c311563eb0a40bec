"""All commands together."""

from importlib.metadata import version as installed_version

import click

from nestbox.commands.gc import gc
from nestbox.commands.host import host
from nestbox.commands.key import key
from nestbox.commands.template import template
from nestbox.commands.up import up
from nestbox.commands.user import user


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
def cli() -> None:
    """Nestbox: self-hosted sandboxes for untrusted code, microVMs behind one GraphQL API."""


@cli.command()
def version() -> None:
    """Print the version."""
    click.echo(installed_version("nestbox"))


@cli.command()
def doctor() -> None:
    """Examine what this computer can do, with the mend for what it cannot."""
    raise AssertionError("handled before click, since it works without it")


cli.add_command(up)
cli.add_command(key)
cli.add_command(template)
cli.add_command(gc)
cli.add_command(user)
cli.add_command(host)
