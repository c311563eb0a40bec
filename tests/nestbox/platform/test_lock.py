import subprocess
import sys
from pathlib import Path

import pytest

from nestbox.errors import Problem
from nestbox.platform.lock import hold_lock

HOLD = """
import sys
from pathlib import Path
from nestbox.platform.lock import hold_lock
with hold_lock(Path(sys.argv[1])):
    print("held", flush=True)
    sys.stdin.read()
"""


def test_a_second_platform_is_told_who_was_first(tmp_path: Path) -> None:
    command = [sys.executable, "-c", HOLD, str(tmp_path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        with pytest.raises(Problem, match=f"process {holder.pid}"), hold_lock(tmp_path):
            pass
        holder.kill()
    with hold_lock(tmp_path):
        pass


def test_the_lock_can_be_had_again(tmp_path: Path) -> None:
    for _ in range(2):
        with hold_lock(tmp_path):
            pass
