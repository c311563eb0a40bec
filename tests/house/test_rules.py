"""The rules of the house hold, and each of them can fail."""

from collections.abc import Callable, Iterator

import pytest

from tests.house import rules
from tests.house.sources import PYTHON, SHIPPED, files

Rule = Callable[[str, str], Iterator[str]]
CODE = (*SHIPPED, "benchmarks")
# Rule, where it holds, and the smallest file that breaks it.
RULES: list[tuple[Rule, tuple[str, ...], str, str]] = [
    (rules.file_length, PYTHON, "api/x.py", "x = 1\n" * 401),
    # Not alembic: a migration is a list of statements.
    (rules.function_length, (*CODE, "tests"), "api/x.py", "def f():\n" + "    x = 1\n" * 59),
    (rules.module_name, PYTHON, "api/sandbox_utils.py", ""),
    (rules.environment, CODE, "api/x.py", "import os\nx = os.environ['X']\n"),
    (rules.environment, CODE, "api/x.py", "from os import getenv\n"),
    (rules.tasks, CODE, "api/x.py", "import asyncio\nasyncio.create_task(f())\n"),
    (rules.tasks, CODE, "api/x.py", "asyncio.get_running_loop().create_task(f())\n"),
    (rules.tasks, CODE, "api/x.py", "self._loop.create_task(f())\n"),
    (rules.mocks, ("tests",), "tests/x.py", "from unittest.mock import MagicMock\n"),
    (rules.mocks, ("tests",), "tests/x.py", "from unittest import mock\n"),
    (rules.mocks, ("tests",), "tests/x.py", "def test_x(mocker): ...\n"),
    (rules.sleeps, ("tests",), "tests/x.py", "import time\ntime.sleep(1)\n"),
    (rules.sleeps, ("tests",), "tests/x.py", "async def f():\n    await asyncio.sleep(0.1)\n"),
    (rules.protobuf, CODE, "api/services/x.py", "from proto.host.v1 import host_pb2\n"),
    (rules.protobuf, CODE, "agent/keeper.py", "from google.protobuf import timestamp_pb2\n"),
    (rules.purity, ("api/domain",), "api/domain/x.py", "import time\n"),
    (rules.purity, ("api/domain",), "api/domain/x.py", "async def f(): ...\n"),
    (rules.purity, ("api/domain",), "api/domain/x.py", "now = datetime.now(UTC)\n"),
    (rules.docstrings, CODE, "api/x.py", '"""A module."""\n\ndef f(): ...\n'),
    (rules.docstrings, CODE, "api/x.py", "x = 1\n"),
]


@pytest.mark.parametrize(
    ("rule", "folders"),
    {(rule, folders) for rule, folders, *_ in RULES},
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_every_file_keeps(rule: Rule, folders: tuple[str, ...]) -> None:
    """The docstring of the rule says what is asked for."""
    broken = [line for path, source in files(*folders) for line in rule(path, source)]
    assert not broken, f"{rule.__doc__}\n" + "\n".join(broken)


@pytest.mark.parametrize(("rule", "path", "source"), [(rule, path, source) for rule, _, path, source in RULES])
def test_the_rule_can_fail(rule: Rule, path: str, source: str) -> None:
    assert list(rule(path, source))


def test_the_machine_of_the_agent_is_pure() -> None:
    sources = [*files("agent")]
    machine = [(path, source) for path, source in sources if path == "agent/machine.py"]
    assert machine, "agent/machine.py is gone, and with it this rule"
    assert [line for path, source in machine for line in rules.purity(path, source)] == []


@pytest.mark.parametrize(
    ("rule", "source"),
    [
        (rules.sleeps, "async def f():\n    await asyncio.sleep(0)\n"),
        (rules.tasks, "async with asyncio.TaskGroup() as tasks:\n    tasks.create_task(f())\n"),
        (rules.docstrings, ""),
        (rules.purity, "from datetime import datetime\nx = datetime(2026, 1, 1)\n"),
    ],
)
def test_what_is_allowed_is_not_reported(rule: Rule, source: str) -> None:
    assert list(rule("api/x.py", f'"""A module."""\n{source}' if source else "")) == []
