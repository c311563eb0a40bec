import io
import json

import pytest
from rich.console import Console

from benchmarks.figures import Figure, as_json, as_table


def test_a_figure_is_met_when_its_median_keeps_to_the_goal() -> None:
    assert Figure("create", "ms", [100.0, 300.0, 90.0], 100.0).is_met is True
    assert Figure("create", "ms", [101.0, 300.0, 90.0], 100.0).is_met is False


def test_one_slow_sample_does_not_miss_a_goal() -> None:
    assert Figure("exec", "ms", [10.0, 10.0, 9000.0], 20.0).is_met is True


def test_a_figure_without_a_goal_is_neither_met_nor_missed() -> None:
    assert Figure("floor", "ms", [1.0]).is_met is None


def test_the_json_has_just_the_agreed_fields() -> None:
    figures = [Figure("create", "ms", [3.0, 1.004, 2.0], 2.5), Figure("floor", "ms", [1.0])]

    result = json.loads(json.dumps(as_json({"cpu": "a", "cores": 2}, figures)))

    assert result == {
        "machine": {"cpu": "a", "cores": 2},
        "figures": [
            {"name": "create", "unit": "ms", "min": 1.0, "median": 2.0, "max": 3.0, "goal": 2.5, "met": True},
            {"name": "floor", "unit": "ms", "min": 1.0, "median": 1.0, "max": 1.0, "goal": None, "met": None},
        ],
    }


@pytest.mark.parametrize(("median", "verdict"), [(2.0, "yes"), (3.0, "no")])
def test_the_table_says_whether_a_goal_is_met(median: float, verdict: str) -> None:
    text = io.StringIO()
    Console(file=text, width=100).print(as_table("machine", [Figure("create", "ms", [median], 2.5)]))

    row = next(line for line in text.getvalue().splitlines() if "create" in line)
    assert verdict in row
