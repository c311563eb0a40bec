"""The command line: `nestbox`, or `python -m nestbox`."""

import os
import sys
from pathlib import Path

from nestbox.errors import Problem
from nestbox.settings import read_settings

NOT_SET_UP = "Nestbox is not set up here: run `make setup` first (`python3 -m nestbox doctor` works before that)."


def main() -> int:
    """Runs one command; returns the exit status."""
    words = sys.argv[1:]
    try:
        settings = read_settings(os.environ, root=os.geteuid() == 0, home=Path.home())
        if words[:1] == ["doctor"]:
            # Before the set-up too: standard library only.
            from nestbox.doctor.examine import examine  # noqa: PLC0415

            return examine(settings, words[1:])
        try:
            from nestbox.commands.cli import cli  # noqa: PLC0415 - needs what the set-up installs
        except ModuleNotFoundError as error:
            raise Problem(NOT_SET_UP) from error
        cli(args=words, prog_name="nestbox", obj=(settings, dict(os.environ)))
    except Problem as problem:
        print(problem, file=sys.stderr)  # noqa: T201 - click may not be there
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
