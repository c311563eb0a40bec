"""`python -m agent.images COMMAND CACHE_DIR DATA_DIR …`: base images, without an agent.

Standard library only: the set-up builds the image with the system's Python while everything else is installed, and
`nestbox doctor` looks before that.
"""

import argparse
import asyncio
import json
import signal
import sys
from collections.abc import Coroutine
from dataclasses import asdict
from pathlib import Path

from agent.images import BuildError, base_image
from agent.images.recipe import DISK_SIZE_MB
from agent.images.registry import BaseTemplate
from agent.images.templates import build_template, import_template, list_templates, remove_template


def main() -> int:
    """Returns the exit status. On standard output, for whoever waits: a line for each step, then, but for `base`, one
    of JSON."""
    arguments = _parser().parse_args()
    try:
        asyncio.run(_cancelled_by_sigterm(_run(arguments)))
    except (asyncio.CancelledError, KeyboardInterrupt):
        return 1
    except BuildError as error:
        print(f"{error}\n{error.detail}".strip(), file=sys.stderr)  # noqa: T201 - for whoever started it
        return 1
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m agent.images", description="The base images of one host.")
    commands = parser.add_subparsers(dest="command", required=True)
    base = commands.add_parser("base", help="build the usual image unless it is there")
    build = commands.add_parser("build", help="build a template of more packages and register it")
    imported = commands.add_parser("import", help="make a template of a root file system in a tar archive")
    listed = commands.add_parser("list", help="say which templates there are")
    removed = commands.add_parser("remove", help="forget a template")
    for command in (base, build, imported, listed, removed):
        command.add_argument("cache_dir", type=_absolute)
        command.add_argument("data_dir", type=_absolute)
    for command in (build, imported, removed):
        command.add_argument("name")
    build.add_argument("packages", nargs="*")
    imported.add_argument("archive", type=_absolute)
    return parser


def _absolute(text: str) -> Path:
    return Path(text).absolute()


async def _run(arguments: argparse.Namespace) -> None:
    cache_dir, data_dir = arguments.cache_dir, arguments.data_dir
    match arguments.command:
        case "base":
            await base_image(cache_dir, data_dir, _say)
        case "build":
            _tell(await build_template(cache_dir, data_dir, arguments.name, arguments.packages, _say))
        case "import":
            _tell(await import_template(cache_dir, data_dir, arguments.name, arguments.archive, _say))
        case "remove":
            _say(json.dumps({"removed": await remove_template(data_dir, arguments.name, _say)}))
        case _:
            _say(json.dumps([asdict(found) for found in list_templates(cache_dir, data_dir)]))


def _tell(template: BaseTemplate) -> None:
    _say(json.dumps({**asdict(template), "disk_size_mb": DISK_SIZE_MB}))


def _say(line: str) -> None:
    print(line, flush=True)  # noqa: T201 - for whoever waits


async def _cancelled_by_sigterm(work: Coroutine[None, None, None]) -> None:
    """A cancelled build takes its programs with it; they have a session of their own, and would go on without us."""
    working = asyncio.current_task()
    if working is None:
        raise AssertionError("a coroutine runs in a task")
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, working.cancel)
    await work


if __name__ == "__main__":
    sys.exit(main())
