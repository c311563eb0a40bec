"""`python -m nestbox.demo`: tells the story of one sandbox; exits with 1 if anything is not as it should be.

Talks to the platform that NESTBOX_URL and NESTBOX_API_KEY name; without them it starts one of its own.
"""

import asyncio
import os
import sys
import time
from collections.abc import Mapping
from functools import partial

from rich.console import Console
from rich.markup import escape

from nestbox.demo.client import RefusedError, connect
from nestbox.demo.platform import PlatformError, platform
from nestbox.demo.story import Story
from nestbox.demo.telling import StoryError

INTERRUPTED = 130
"""What shells report for a program that Ctrl-C ended: 128 + SIGINT."""


async def _demo(environment: Mapping[str, str], console: Console) -> None:
    start = time.perf_counter()
    progress = partial(console.print, highlight=False, markup=False, soft_wrap=True)
    if "NESTBOX_URL" not in environment:
        progress("Starting a platform of its own (set NESTBOX_URL and NESTBOX_API_KEY to use yours) …")
    async with platform(environment, progress) as found, connect(found.url, found.key) as client:
        console.print(
            f"Platform at {found.url}, ready after {time.perf_counter() - start:.1f} s",
            highlight=False,
        )
        story = Story(client, console, f"demo-{os.getpid()}-{time.time_ns() % 1_000_000}")
        try:
            await story.tell()
        finally:
            await story.clean_up()
    console.print(
        f"[green]All as it should be[/green], {time.perf_counter() - start:.1f} s in all",
        highlight=False,
    )


def _sentences(error: BaseException) -> list[str]:
    if isinstance(error, BaseExceptionGroup):
        return [sentence for part in error.exceptions for sentence in _sentences(part)]
    return ["Something that should have happened by now did not."] if isinstance(error, TimeoutError) else [str(error)]


def main() -> int:
    """Runs the demo; returns the exit code."""
    console, exit_code = Console(), 0
    try:
        asyncio.run(_demo(os.environ, console))
    except* KeyboardInterrupt:
        console.print("Interrupted; everything that was started here is stopped.")
        exit_code = INTERRUPTED
    except* (StoryError, RefusedError, PlatformError, TimeoutError) as errors:
        for sentence in _sentences(errors):
            console.print(f"[red]Not as it should be:[/red] {escape(sentence)}", soft_wrap=True, highlight=False)
        exit_code = 1
    return exit_code


if __name__ == "__main__":
    sys.exit(main())
