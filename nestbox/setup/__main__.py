"""`python3 -m nestbox.setup`: makes this computer ready to run Nestbox. Nothing to do takes a fraction of a second."""

import argparse
import os
import platform
import sys
from pathlib import Path

from nestbox.data_dir import prepare_data_dir
from nestbox.errors import Problem
from nestbox.settings import PROJECT_ROOT, read_settings
from nestbox.setup import computer, debian, environment, frontend, image
from nestbox.setup.command import Commands
from nestbox.setup.environment import Environment
from nestbox.setup.frontend import Frontend
from nestbox.setup.image import Image
from nestbox.setup.npm import run_npm
from nestbox.setup.progress import Progress
from nestbox.setup.steps import Step, run_steps


def main() -> int:
    """Returns the exit status: 0 when everything is there. `npm WORDS` runs npm in `frontend/` instead."""
    if sys.argv[1:2] == ["npm"]:
        return run_npm(sys.argv[2:], os.environ)
    parser = argparse.ArgumentParser(prog="python3 -m nestbox.setup", description=__doc__)
    parser.add_argument("--dev", action="store_true", help="also what tests and checks need")
    parser.add_argument("--any-system", action="store_true", help="try it on a system other than Debian 12")
    parser.add_argument("--list-packages", action="store_true", help="name the Debian packages and stop")
    options = parser.parse_args()
    if options.list_packages:
        print("\n".join(debian.needed(development=options.dev)))
        return 0
    progress = Progress()
    try:
        system = "an unknown system" if options.any_system else _check_computer()
        planned = _plan(progress, development=options.dev, packages=not options.any_system)
        if planned:
            progress.say("system", f"{system}, Python {platform.python_version()}, {_account()}")
            commands, steps = planned
            run_steps(steps, on_failure=commands.end_all)
    except Problem as problem:
        print(f"\nSet-up failed: {problem}", file=sys.stderr, flush=True)
        return 1
    except KeyboardInterrupt:
        print("\nSet-up interrupted; repeat it to go on.", file=sys.stderr, flush=True)
        return 130
    progress.say("set-up", "everything is there" if not planned else "done")
    return 0


def _check_computer() -> str:
    computer.check_python(sys.version_info[:2])
    computer.check_architecture(platform.machine())
    try:
        text = computer.OS_RELEASE.read_text()
    except OSError:
        text = ""
    return computer.check_debian(text)


def _account() -> str:
    return "as root" if os.geteuid() == 0 else "as an ordinary user"


def _plan(progress: Progress, *, development: bool, packages: bool) -> tuple[Commands, list[Step]] | None:
    """What has to be done; None when that is nothing."""
    settings = read_settings(os.environ, root=os.geteuid() == 0, home=Path.home())
    commands = Commands(PROJECT_ROOT, progress, os.environ)
    python = Environment(PROJECT_ROOT)
    dashboard = Frontend(python)
    images = Image(python, settings)
    steps: list[Step] = []

    missing = debian.missing(debian.needed(development=development)) if packages else []
    if missing:
        steps.append(Step(debian.STEP, lambda: debian.install(commands, missing)))
    if not python.is_ready(development=development):
        # Only Debian's own Python lacks what makes environments; every other step can start at once.
        after: tuple[str, ...] = () if debian.can_make_environments() else (debian.STEP,)
        steps.append(Step(environment.STEP, lambda: python.make(commands, development=development), after))
    if not dashboard.is_ready(development=development):
        own_node = not frontend.system_has_node()
        after = (environment.STEP,) if own_node else ()
        work = lambda: dashboard.make(commands, development=development, own_node=own_node)  # noqa: E731
        steps.append(Step(frontend.STEP, work, after))
    if not images.is_ready():
        prepare_data_dir(settings.data_dir)
        steps.append(Step(image.STEP, lambda: images.make_base(commands), (debian.STEP,)))
        after = (image.STEP, environment.STEP)
        steps.append(Step(image.MEMORY_STEP, lambda: images.make_memory(commands), after))
    if not steps:
        return None
    computer.check_disk(settings.data_dir)
    computer.check_disk(settings.cache_dir)
    return commands, [_reported(step, progress) for step in steps]


def _reported(step: Step, progress: Progress) -> Step:
    def work() -> None:
        step.work()
        progress.say(step.name, "done")

    return Step(step.name, work, step.after)


if __name__ == "__main__":
    sys.exit(main())
