from benchmarks.figures import Figure
from benchmarks.product import Idle, Timed
from benchmarks.rounds import Samples, figures, stage_lines


def _samples() -> Samples:
    samples = Samples()
    for name, value in {"create": 200, "exec": 30, "dirty": 10, "pause": 30, "sync": 20, "resume": 180}.items():
        samples.floor[name] += [value, value + 2, value + 1]
    for name, value in {"exec": 35, "dirty": 10, "notice": 5}.items():
        samples.product[name].append(value)
    for name, value in {"create": 330, "pause": 90, "resume": 300}.items():
        samples.keep(name, Timed(value, {"spawn": value / 2, "guest": value / 4}))
    samples.idle.append(Idle(cpu_percent=0.4, pss_mebibytes=61))
    samples.idle_together += [55.0, 54.0]
    return samples


def _named(start: str) -> Figure:
    return next(figure for figure in figures(_samples()) if figure.name.startswith(start))


def test_goals_follow_the_floor_of_the_same_run() -> None:
    assert _named("createSandbox").goal == 1.5 * 201 + 30
    assert _named("exec of true").goal == 31 + 10
    assert _named("resumeSandbox").goal == 1.5 * 181 + 20


def test_a_goal_that_the_floor_sets_can_be_missed() -> None:
    assert _named("createSandbox").is_met is True
    assert _named("resumeSandbox").is_met is False


def test_the_floor_itself_has_no_goal() -> None:
    assert {figure.goal for figure in figures(_samples()) if figure.name.startswith("floor")} == {None}


def test_stages_are_told_by_command() -> None:
    assert stage_lines(_samples())[0] == "create: spawn 165.0, guest 82.5 ms"
