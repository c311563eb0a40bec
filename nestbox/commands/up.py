"""`nestbox up`: the platform in the foreground."""

import asyncio
import dataclasses
import json
import signal
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path

import click

from nestbox.data_dir import check_room, prepare_data_dir
from nestbox.database import postgres_folder
from nestbox.errors import Problem
from nestbox.platform.layout import Layout
from nestbox.platform.leftovers import end_leftovers
from nestbox.platform.lock import hold_lock
from nestbox.platform.platform import FirstSecrets, Platform
from nestbox.platform.ports import check_port
from nestbox.platform.race import run_until
from nestbox.platform.speaker import Speaker
from nestbox.platform.users import ADMIN_EMAIL
from nestbox.postgres.cluster import cluster_folder
from nestbox.settings import Settings

_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


@click.command()
@click.option("--data-dir", type=click.Path(path_type=Path), help="Where everything is kept.")
@click.option("--api-port", type=click.IntRange(1, 65535), help="Port of the API and the dashboard (default 7300).")
@click.option("--agent-port", type=click.IntRange(1, 65535), help="Port of the host agent (default 7301).")
@click.option(
    "--driver", type=click.Choice(["qemu", "simulated"]), help="`simulated` runs no code; for trying the API."
)
@click.option(
    "--admin-email", default=ADMIN_EMAIL, show_default=True, help="Of the account that the first start makes."
)
@click.pass_obj
def up(
    context: tuple[Settings, Mapping[str, str]],
    data_dir: Path | None,
    api_port: int | None,
    agent_port: int | None,
    driver: str | None,
    admin_email: str,
) -> None:
    """Run the platform in the foreground: PostgreSQL, one host agent, the API with the dashboard.

    Ctrl-C pauses running sandboxes to disk and stops everything; the next start shows them paused.
    """
    settings, environment = context
    settings = dataclasses.replace(
        settings,
        data_dir=data_dir.absolute() if data_dir else settings.data_dir,
        api_port=api_port or settings.api_port,
        agent_address=f"127.0.0.1:{agent_port}" if agent_port else settings.agent_address,
        driver=driver or settings.driver,
    )
    prepare_data_dir(settings.data_dir)
    has_database = settings.database_url or cluster_folder(postgres_folder(settings.data_dir)).exists()
    check_room(settings.data_dir, fresh=not has_database)
    layout, speaker = Layout(settings, environment), Speaker()
    with hold_lock(settings.data_dir):
        end_leftovers(layout.token_file, speaker.line)
        check_port(settings.api_host, settings.api_port, "the API", "--api-port")
        agent_host, _, port = settings.agent_address.rpartition(":")
        check_port(agent_host, int(port), "the agent", "--agent-port")
        raise SystemExit(asyncio.run(_run(layout, speaker, admin_email.strip().lower())))


async def _run(layout: Layout, speaker: Speaker, admin_email: str) -> int:
    """The whole life of the platform; returns the exit status."""
    stopping, hurried = asyncio.Event(), asyncio.Event()

    def on_signal() -> None:
        (hurried if stopping.is_set() else stopping).set()

    loop = asyncio.get_running_loop()
    for number in _SIGNALS:
        loop.add_signal_handler(number, on_signal)

    speaker.line(f"Nestbox {version('nestbox')}, data in {layout.settings.data_dir}")
    platform = Platform(layout, speaker)
    status = 0
    try:
        first = await run_until(stopping.wait(), platform.start(admin_email))
        if not stopping.is_set():
            greet(layout, speaker, first)
            trouble = await run_until(stopping.wait(), platform.wait_for_trouble())
            if trouble is not None:
                speaker.problem(f"\n{trouble}")
                status = 1
    except Problem as problem:
        speaker.problem(f"\n{problem}")
        status = 1
    finally:
        stopping.set()
        speaker.line("\nStopping. Sandboxes are paused to disk; Ctrl-C again leaves them as they are.")
        await run_until(hurried.wait(), platform.pause_everything())
        await platform.stop(hurried=hurried.is_set())
    return status


def greet(layout: Layout, speaker: Speaker, first: FirstSecrets | None) -> None:
    """Says where everything is, the first key and password if they are new, and a line to try."""
    speaker.line()
    speaker.show("API", f"{layout.api_url}/graphql")
    speaker.show("Explorer", f"{layout.api_url}/explorer")
    speaker.show("Dashboard", f"{layout.api_url}/")
    speaker.show("Logs", f"{layout.settings.data_dir / 'logs'}")
    if first is not None:
        speaker.show("Sign in", f"{first.email}   with the password   {first.password}   (shown this once)")
        speaker.show("API key", f"{first.key}   (shown this once)")
        layout.first_key_marker.touch(mode=0o600)
    else:
        speaker.show("Sign in", "with your account; `.venv/bin/nestbox user create` makes another")
        speaker.show("API key", "the one that you were given; `.venv/bin/nestbox key create` makes another")
    speaker.line("\nCreate a sandbox:\n")
    speaker.line(try_it(layout.api_url, first.key if first else None))
    speaker.line("\nCtrl-C pauses all sandboxes to disk and stops.")


def try_it(api_url: str, key: str | None) -> str:
    """A command line that creates a sandbox and can be pasted into a shell; without `key` a variable stands for it."""
    query = "mutation { createSandbox(input: {}) { sandbox { id state } userErrors { code message } } }"
    return (
        f"  curl -s {api_url}/graphql -H 'content-type: application/json' \\\n"
        f'    -H "authorization: Bearer {key or "$NESTBOX_API_KEY"}" \\\n'
        f"    -d '{json.dumps({'query': query})}'"
    )
