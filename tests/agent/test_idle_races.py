"""A new timeout, and all other activity, against an expiry at the same moment: both ways, at every step."""

import asyncio
import contextlib
import tempfile
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio
from hypothesis import given, settings
from hypothesis import strategies as st

from agent.drivers.simulated import Fail, Hang
from agent.drivers.simulated.faults import STAGES
from agent.errors import AgentError, Code
from agent.idle import IdleTimer
from tests.agent.serving import Clock, Served, cause_of, new_sandbox, refused, serving, state_of, uuid_of
from tests.agent.test_idle import settled, until
from tests.waiting import eventually

Step = tuple[str, float]
STEPS = st.tuples(st.sampled_from(["wait", "touch", "begin_use", "end_use", "failed"]), st.floats(0, 100))


@given(st.lists(STEPS, max_size=30), st.integers(0, 100))
def test_a_timer_expires_exactly_when_nothing_happened_for_the_timeout(steps: list[Step], timeout_sec: int) -> None:
    moment = last = not_before = 1000.0
    uses = []
    timer = IdleTimer(lambda: moment)
    failures = 0
    for step, seconds in steps:
        match step:
            case "wait":
                moment += seconds
            case "touch":
                timer.touch()
                last = moment
            case "begin_use":
                use = timer.use()
                use.__enter__()
                uses.append(use)
            case "end_use" if uses:
                uses.pop().__exit__(None, None, None)
                last = moment
            case "failed":
                timer.failed()
                not_before = moment + min(30.0 * 2**failures, 600.0)
                failures += 1
        never = timeout_sec == 0 or bool(uses)
        assert timer.expired(timeout_sec) == (not never and moment >= max(last + timeout_sec, not_before))
        remaining = timer.remaining(timeout_sec)
        assert remaining is None if never else remaining == max(last + timeout_sec, not_before, moment) - moment


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest_asyncio.fixture
async def agent(tmp_path: Path, clock: Clock) -> AsyncIterator[Served]:
    async with serving(tmp_path, clock=clock) as served:
        yield served


@given(st.integers(0, 60) | st.integers(0, 3000), st.sampled_from(["set_timeout", "ping", "use"]))
@settings(max_examples=60, deadline=None)
def test_whatever_the_order_a_new_timeout_wins_and_a_use_is_whole(turns: int, activity: str) -> None:
    """Something comes that many turns of the event loop after the idle pause began: into each of its moments."""

    async def race() -> None:
        clock = Clock()
        with tempfile.TemporaryDirectory() as folder:
            async with serving(Path(folder), clock=clock) as agent:
                sandbox_id = new_sandbox()
                await agent.create(sandbox_id, timeout_sec=60)
                keeper = agent.host._keepers[uuid_of(sandbox_id)]
                clock.ahead = 61
                assert keeper.pause_if_idle()
                for _ in range(turns):
                    await asyncio.sleep(0)
                match activity:
                    case "set_timeout":
                        before = keeper.lifecycle.record.known().state.value
                        machine = await agent.host.set_timeout(uuid_of(sandbox_id), 120, None)
                        assert machine.timeout_sec == 120
                        assert machine.state.value == ("paused" if before == "paused" else "running")
                    case "ping":
                        await agent.host.ping(uuid_of(sandbox_id))
                    case "use":
                        # What began to use it before the pause had begun is not cut off.
                        with contextlib.suppress(AgentError), agent.host.use(uuid_of(sandbox_id)):
                            await settled(agent)
                            assert await agent.state(sandbox_id) == "running"
                await settled(agent)
                assert await agent.state(sandbox_id) in {"running", "paused"}

    asyncio.run(race())


@pytest.mark.parametrize("stage", STAGES["pause"])
async def test_a_new_timeout_beats_a_pause_that_has_come_to(stage: str, agent: Served, clock: Clock) -> None:
    hang = Hang()
    sandbox_id = new_sandbox()
    created = await agent.create(sandbox_id, timeout_sec=60)
    await agent.write(sandbox_id, "/root/file", b"kept")
    agent.driver.faults.inject(f"pause.{stage}", hang)
    clock.ahead = 61
    await agent.host.reaper.sweep()
    await hang.reached.wait()
    async with asyncio.TaskGroup() as group:
        setting = group.create_task(agent.set_timeout(sandbox_id, 120))
        await eventually(lambda: len(agent.host._keepers[uuid_of(sandbox_id)].outcomes()) == 2)
        hang.released.set()
    machine = setting.result()
    assert (state_of(machine), cause_of(machine), machine.timeout_sec) == ("running", "auto_resume", 120)
    assert (machine.generation, machine.incarnation != created.incarnation) == (1, True)
    assert await agent.read(sandbox_id, "/root/file") == b"kept"
    await agent.host.reaper.sweep()
    await settled(agent)
    assert await agent.state(sandbox_id) == "running"


async def test_a_pause_that_has_not_come_to_the_machine_is_given_up(agent: Served, clock: Clock) -> None:
    sandbox_id = new_sandbox()
    created = await agent.create(sandbox_id, timeout_sec=60)
    keeper = agent.host._keepers[uuid_of(sandbox_id)]
    clock.ahead = 61
    assert keeper.pause_if_idle()
    machine = await agent.host.set_timeout(uuid_of(sandbox_id), 120, None)
    assert (machine.state.value, str(machine.incarnation)) == ("running", created.incarnation)


async def test_a_machine_that_was_paused_before_stays_so(agent: Served, clock: Clock) -> None:
    sandbox_id = new_sandbox()
    await agent.create(sandbox_id, timeout_sec=60)
    clock.ahead = 61
    await agent.host.reaper.sweep()
    await until(agent, sandbox_id, "paused")
    machine = await agent.set_timeout(sandbox_id, 120)
    assert (state_of(machine), cause_of(machine), machine.timeout_sec) == ("paused", "idle_timeout", 120)


async def test_a_pause_that_was_asked_for_is_not_beaten(agent: Served) -> None:
    hang = Hang()
    sandbox_id = new_sandbox()
    await agent.create(sandbox_id, timeout_sec=60)
    agent.driver.faults.inject("pause.save", hang)
    async with asyncio.TaskGroup() as group:
        group.create_task(agent.pause(sandbox_id, 2))
        await hang.reached.wait()
        setting = group.create_task(agent.set_timeout(sandbox_id, 120))
        await eventually(lambda: len(agent.host._keepers[uuid_of(sandbox_id)].outcomes()) == 2)
        hang.released.set()
    assert (state_of(setting.result()), setting.result().timeout_sec) == ("paused", 120)


async def test_if_it_cannot_be_resumed_the_caller_hears_of_it_and_nothing_is_lost(agent: Served, clock: Clock) -> None:
    hang = Hang()
    sandbox_id = new_sandbox()
    await agent.create(sandbox_id, timeout_sec=60)
    agent.driver.faults.inject("pause.save", hang)
    agent.driver.faults.inject("resume.spawn", Fail(AgentError(Code.START_FAILED, "No.")))
    clock.ahead = 61
    await agent.host.reaper.sweep()
    await hang.reached.wait()
    async with asyncio.TaskGroup() as group:
        setting = group.create_task(_refused(agent, sandbox_id))
        await eventually(lambda: len(agent.host._keepers[uuid_of(sandbox_id)].outcomes()) == 2)
        hang.released.set()
    await setting
    machine = (await agent.inventory())[sandbox_id]
    assert (state_of(machine), cause_of(machine), machine.timeout_sec) == ("paused", "idle_timeout", 120)
    assert state_of(await agent.resume(sandbox_id, 2, timeout_sec=120)) == "running"


async def _refused(agent: Served, sandbox_id: str) -> None:
    with refused(Code.START_FAILED):
        await agent.set_timeout(sandbox_id, 120)
