"""`nestbox template`: what sandboxes start from, beside the built-in template; also while the platform runs."""

import asyncio
import json
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path

import click

from nestbox.commands.columns import columns
from nestbox.platform import templates
from nestbox.platform.layout import Layout
from nestbox.platform.templates import Template
from nestbox.settings import Settings

Context = tuple[Settings, Mapping[str, str]]
_AS_JSON = click.option("--json", "as_json", is_flag=True, help="Print JSON, for programs.")


@click.group()
def template() -> None:
    """Base templates: what sandboxes start from, beside `base`."""


@template.command("build-base")
@click.option("--name", required=True, help="What to call it.")
@click.option("--include", default="", metavar="PACKAGES", help="Debian packages, separated by commas: git,nodejs.")
@_AS_JSON
@click.pass_obj
def build_base(context: Context, name: str, include: str, *, as_json: bool) -> None:
    """Build a template of Debian 12 with more packages (about a minute; needs the Debian archive).

    Every team can use it at once. It has the packages of the built-in template too. The same ones are built once.
    """
    packages = [package.strip() for package in include.split(",") if package.strip()]
    _made(asyncio.run(templates.build(Layout(*context), name, packages, _say)), as_json=as_json)


@template.command("import")
@click.argument("name")
@click.argument("rootfs", type=click.Path(path_type=Path))
@_AS_JSON
@click.pass_obj
def import_(context: Context, name: str, rootfs: Path, *, as_json: bool) -> None:
    """Make a template of a root file system in a tar archive, such as `docker export` writes.

    ROOTFS may be packed with gzip, xz or bzip2. It needs Python 3.10 or newer at /usr/bin/python3 or
    /usr/local/bin/python3; kernel and first program are Nestbox's own. Devices are left out.
    """
    _made(asyncio.run(templates.import_(Layout(*context), name, rootfs, _say)), as_json=as_json)


@template.command("list")
@click.option("--no-start", is_flag=True, help="Leave a database that does not run alone: show what this host knows.")
@_AS_JSON
@click.pass_obj
def list_(context: Context, *, no_start: bool, as_json: bool) -> None:
    """List the base templates: what their disks hold and take, and how many sandboxes stand on them."""
    found = asyncio.run(templates.list_(Layout(*context), start=not no_start))
    if as_json:
        click.echo(json.dumps([asdict(one) for one in found], indent=1))
        return
    for line in table(found):
        click.echo(line)


@template.command()
@click.argument("name")
@click.pass_obj
def remove(context: Context, name: str) -> None:
    """Remove a base template, unless a sandbox stands on it."""
    asyncio.run(templates.remove(Layout(*context), name))
    click.echo(f"Removed {name}.")


def table(found: list[Template]) -> list[str]:
    """The templates as lines with a heading."""
    heading = ("NAME", "CONTENT", "ON DISK", "SANDBOXES", "HOLDS")
    rows = [
        (
            one.name,
            one.content_id[:12] or "-",
            f"{one.stored_bytes / 1e6:.0f} MB",
            "?" if one.sandboxes is None else str(one.sandboxes),
            _holds(one),
        )
        for one in found
    ]
    return columns([heading, *rows])


def _holds(one: Template) -> str:
    if not one.is_present:
        return "its image is not on this host: make it again under the same name, or remove it"
    if one.sandboxes is not None and not one.id:
        return "half made, nobody can use it: make it again under the same name, or remove it"
    return f"imported from {one.source}" if one.source else ", ".join(one.packages) or "the usual packages"


def _made(one: Template, *, as_json: bool) -> None:
    if as_json:
        click.echo(json.dumps(asdict(one), indent=1))
    else:
        click.echo(f"The template {one.name} is ready: content {one.content_id[:12]}, {one.stored_bytes / 1e6:.0f} MB.")


def _say(line: str) -> None:
    """Progress goes beside the answer, which may be read by a program."""
    click.echo(line, err=True)
