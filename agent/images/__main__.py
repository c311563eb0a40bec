"""`python -m agent.images CACHE_DIR DATA_DIR`: the base image alone.

Standard library only: the set-up builds the image with the system's Python while everything else is installed.
"""

import asyncio
import signal
import sys
from pathlib import Path

from agent.images import BuildError, base_image


def main() -> int:
    """Returns the exit status. On standard output, for whoever waits: a line for each step."""
    cache_dir, data_dir = (Path(word).absolute() for word in sys.argv[1:])
    try:
        asyncio.run(_build(cache_dir, data_dir))
    except (asyncio.CancelledError, KeyboardInterrupt):
        return 1
    except BuildError as error:
        print(f"{error}\n{error.detail}".strip(), file=sys.stderr)  # noqa: T201 - for whoever started it
        return 1
    return 0


async def _build(cache_dir: Path, data_dir: Path) -> None:
    building = asyncio.current_task()
    if building is None:
        raise AssertionError("a coroutine runs in a task")
    # A cancelled build takes its programs with it; they have a session of their own, and would go on without us.
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, building.cancel)
    await base_image(cache_dir, data_dir, lambda line: print(line, flush=True))  # noqa: T201


if __name__ == "__main__":
    sys.exit(main())
