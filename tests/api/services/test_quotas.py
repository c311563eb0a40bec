"""Limits of teams, where sandboxes and templates are made and brought back."""

import asyncio
from contextlib import aclosing
from datetime import timedelta

import asyncpg
import pytest

from api.db.locks import PLACEMENT
from api.domain.command import ExecCommand
from api.domain.feed import QuotaChanged
from api.domain.page import page_request
from api.domain.principal import Principal
from api.domain.quota import Limits, Resource
from api.domain.sandbox import CreateSandbox, ForkSandbox, SandboxFilter, State
from api.errors import Conflict, Forbidden, Invalid, NoCapacity, NotFound, TooMany
from api.ids import new_id
from tests.agent.serving import Served
from tests.api.running import Running, other_team, principal_of, services_running
from tests.waiting import eventually


async def _admin(running: Running) -> Principal:
    return await principal_of(running.services, await other_team(running.database), admin=True)


async def _key(running: Running) -> str:
    """Of a team of its own."""
    team_id = await other_team(running.database)
    return await running.services.api_keys.make("test", team_id=team_id, is_platform_admin=False)


async def _limit(running: Running, **limits: int) -> None:
    await running.services.quotas.set_limits(await _admin(running), running.principal.team_id, limits)


async def _refused(running: Running, **changes: object) -> NoCapacity:
    with pytest.raises(NoCapacity) as refusal:
        await running.services.sandboxes.create(running.principal, CreateSandbox(**changes))  # type: ignore[arg-type]
    assert refusal.value.code == "QUOTA_EXCEEDED"
    return refusal.value


async def test_a_sandbox_too_many_is_refused_and_nothing_of_it_is_left(running: Running) -> None:
    await _limit(running, sandboxes=1)
    sandbox = await running.created()
    before = await running.database.fetchval("SELECT count(*) FROM operations")
    error = await _refused(running)
    assert "2 sandboxes, 1 more than it may have" in error.message
    assert await running.services.sandboxes.count(running.principal, SandboxFilter(states=frozenset(State))) == 1
    assert await running.database.fetchval("SELECT count(*) FROM operations") == before
    await running.services.sandboxes.delete(running.principal, sandbox.id)
    await running.created()


@pytest.mark.parametrize(
    ("limits", "shape"),
    [
        ({"vcpus": 3}, {"vcpus": 2}),
        ({"memory_mb": 1500}, {"memory_mb": 800}),
        ({"disk_mb": 15_000}, {"disk_size_mb": 8000}),
    ],
)
async def test_the_shape_counts(running: Running, limits: dict[str, int], shape: dict[str, int]) -> None:
    await _limit(running, **limits)
    await running.created(**shape)
    await _refused(running, **shape)


async def test_two_that_are_made_at_the_same_moment_see_each_other(running: Running, database_url: str) -> None:
    await _limit(running, memory_mb=512)
    holder = await asyncpg.connect(database_url)
    try:
        async with asyncio.TaskGroup() as group, holder.transaction():
            # it comes before theirs, so that both have made their rows when the first one looks at the sums
            await holder.execute("SELECT FROM teams WHERE id = $1 FOR NO KEY UPDATE", running.principal.team_id)
            creates = [group.create_task(_created(running)) for _ in range(2)]
            await eventually(lambda: _waiting(running, 2))
        results = [create.result() for create in creates]
    finally:
        await holder.close()
    assert sorted(results) == ["QUOTA_EXCEEDED", "RUNNING"]
    assert await running.database.fetchval("SELECT sum(memory_mb) FROM sandboxes") == 512


async def _created(running: Running, principal: Principal | None = None) -> str:
    try:
        outcome = await running.services.sandboxes.create(principal or running.principal, CreateSandbox())
    except NoCapacity as error:
        return error.code
    return outcome.sandbox.state.name


async def _waiting(running: Running, count: int) -> bool:
    return bool(
        count
        == await running.database.fetchval(
            "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()"
        )
    )


async def test_a_crowd_of_refusals_leaves_connections_to_others(running: Running) -> None:
    await _limit(running, sandboxes=0)
    stranger = await principal_of(running.services, await other_team(running.database))
    async with asyncio.TaskGroup() as group:
        refused = [group.create_task(_created(running)) for _ in range(200)]
        for _ in range(5):
            # with a connection for each of them, this would be told that the database does not answer
            await running.services.sandboxes.list(stranger, SandboxFilter(), page_request())
    assert {task.result() for task in refused} == {"QUOTA_EXCEEDED"}
    assert await running.database.fetchval("SELECT count(*) FROM sandboxes") == 0


async def test_what_is_wrong_with_a_command_comes_before_the_quota(running: Running) -> None:
    sandbox = await running.created()
    await _limit(running, sandboxes=0, memory_mb=0, templates=0)
    with pytest.raises(NotFound):
        await running.services.sandboxes.create(running.principal, CreateSandbox(template_name="nowhere"))
    with pytest.raises(Conflict) as refusal:
        await running.services.sandboxes.resume(running.principal, sandbox.id)
    assert refusal.value.code == "WRONG_STATE"
    await running.services.sandboxes.pause(running.principal, sandbox.id)
    with pytest.raises(Conflict):
        await running.services.forks.create(running.principal, ForkSandbox(sandbox.id, count=1))


async def test_commands_under_way_are_limited_with_every_child_of_a_fork(running: Running) -> None:
    await _limit(running, operations=3)
    parent = await running.created()
    with pytest.raises(NoCapacity) as refusal:
        await running.services.forks.create(running.principal, ForkSandbox(parent.id, count=3))
    assert "4 operations under way, 1 more" in refusal.value.message
    outcome = await running.services.forks.create(running.principal, ForkSandbox(parent.id, count=2))
    assert len(outcome.children) == 2


async def test_saved_memory_counts_as_disk(running: Running) -> None:
    sandbox = await running.created()
    await running.services.sandboxes.pause(running.principal, sandbox.id)
    used = (await running.services.quotas.own(running.principal)).used
    assert (used[Resource.MEMORY_MB], used[Resource.DISK_MB]) == (0, 5120 + 512)
    await running.template("kept", sandbox.id)
    assert (await running.services.quotas.own(running.principal)).used[Resource.DISK_MB] == 2 * (5120 + 512)


async def test_limits_that_are_not_named_stay_as_they_were(running: Running) -> None:
    admin = await _admin(running)
    set_limits = running.services.quotas.set_limits
    await set_limits(admin, running.principal.team_id, {"vcpus": 3, "sandboxes": 7})
    quota = await set_limits(admin, running.principal.team_id, {"sandboxes": None, "memory_mb": 512})
    assert (quota.own.vcpus, quota.own.sandboxes, quota.own.memory_mb) == (3, None, 512)


async def test_a_paused_sandbox_gives_its_memory_back_and_needs_it_to_resume(running: Running) -> None:
    await _limit(running, memory_mb=512)
    commands = running.services.sandboxes
    first = await running.created(auto_resume=True)
    await commands.pause(running.principal, first.id)
    second = await running.created()
    with pytest.raises(NoCapacity):
        await commands.resume(running.principal, first.id)
    with pytest.raises(NoCapacity) as refusal:
        await running.services.exec.run(running.principal, first.id, ExecCommand(argv=("true",)))
    assert refusal.value.code == "QUOTA_EXCEEDED"
    assert (await running.get(first.id)).state is State.PAUSED
    await commands.pause(running.principal, second.id)
    assert (await commands.resume(running.principal, first.id)).sandbox.state is State.RUNNING


async def test_what_gives_something_back_is_never_refused(running: Running) -> None:
    first, second = await running.created(), await running.created()
    await _limit(running, sandboxes=0, vcpus=0, memory_mb=0, disk_mb=0, templates=0, operations=0)
    commands = running.services.sandboxes
    assert (await commands.pause(running.principal, first.id)).sandbox.state is State.PAUSED
    for sandbox in (first, second):
        assert (await commands.delete(running.principal, sandbox.id)).sandbox.state is State.DELETED


async def test_a_fork_is_refused_as_a_whole(running: Running) -> None:
    await _limit(running, sandboxes=3)
    parent = await running.created()
    with pytest.raises(NoCapacity) as refusal:
        await running.services.forks.create(running.principal, ForkSandbox(parent.id, count=3))
    assert "4 sandboxes" in refusal.value.message
    assert (await running.get(parent.id)).state is State.RUNNING
    assert await running.services.sandboxes.count(running.principal, SandboxFilter()) == 1
    outcome = await running.services.forks.create(running.principal, ForkSandbox(parent.id, count=2))
    assert len(outcome.children) == 2


async def test_a_template_too_many_is_refused_and_its_name_stays_free(running: Running) -> None:
    await _limit(running, templates=1)
    sandbox = await running.created()
    template = await running.template("one", sandbox.id)
    with pytest.raises(NoCapacity):
        await running.services.templates.create(running.principal, sandbox.id, "two")
    assert await running.template_names() == {"base", "one"}
    await running.services.sandboxes.delete(running.principal, sandbox.id)
    await running.services.templates.delete(running.principal, template.id)
    await running.template("two")


async def test_a_replayed_key_answers_though_the_quota_is_used_up(running: Running) -> None:
    await _limit(running, sandboxes=1)
    command = CreateSandbox(idempotency_key="once")
    first = await running.services.sandboxes.create(running.principal, command)
    again = await running.services.sandboxes.create(running.principal, command)
    assert again.sandbox.id == first.sandbox.id


async def test_the_defaults_hold_for_teams_without_limits_of_their_own(
    database_url: str, host: tuple[Served, str]
) -> None:
    async with services_running(database_url, host[1], limits=Limits(sandboxes=1)) as running:
        await running.created()
        await _refused(running)
        await _limit(running, sandboxes=2)
        await running.created()
        stranger = await principal_of(running.services, await other_team(running.database))
        await running.services.sandboxes.create(stranger, CreateSandbox())
        assert (await running.services.quotas.own(stranger)).used[Resource.SANDBOXES] == 1


async def test_only_platform_admins_set_limits(running: Running) -> None:
    with pytest.raises(Forbidden):
        await running.services.quotas.set_limits(running.principal, running.principal.team_id, {})
    admin = await _admin(running)
    with pytest.raises(NotFound):
        await running.services.quotas.set_limits(admin, new_id(), {})
    with pytest.raises(Invalid):
        await running.services.quotas.set_limits(admin, running.principal.team_id, {"vcpus": -1})


async def test_requests_beyond_the_rate_are_refused_until_time_goes_by(
    database_url: str, host: tuple[Served, str]
) -> None:
    async with services_running(database_url, host[1], limits=Limits(requests_per_minute=1)) as running:
        key = await _key(running)
        await running.services.auth.authenticate(key)
        with pytest.raises(TooMany) as refusal:
            await running.services.auth.authenticate(key)
        assert refusal.value.code == "RATE_LIMITED"
        assert 30 < refusal.value.retry_after_seconds <= 60
        await running.services.auth.authenticate(await _key(running))
        running.clock.offset += timedelta(minutes=3)
        await running.services.auth.authenticate(key)
        with pytest.raises(TooMany):
            await running.services.auth.authenticate(key)


async def test_a_burst_is_some_seconds_of_the_rate(database_url: str, host: tuple[Served, str]) -> None:
    async with services_running(database_url, host[1], limits=Limits(requests_per_minute=1200)) as running:
        key = await _key(running)
        results = await asyncio.gather(
            *(running.services.auth.authenticate(key) for _ in range(600)), return_exceptions=True
        )
        let_in = sum(not isinstance(result, TooMany) for result in results)
        assert 100 <= let_in < 600


async def test_more_mutations_than_one_count_as_requests_that_others_wait_for(
    database_url: str, host: tuple[Served, str]
) -> None:
    async with services_running(database_url, host[1], limits=Limits(requests_per_minute=20)) as running:
        key = await _key(running)
        principal = await running.services.auth.authenticate(key)
        # not refused any more, but paid for: the request is let in already
        running.services.auth.charge(principal, 40)
        with pytest.raises(TooMany) as refusal:
            await running.services.auth.authenticate(key)
        assert 60 < refusal.value.retry_after_seconds <= 63
        running.clock.offset += timedelta(seconds=63)
        await running.services.auth.authenticate(key)


async def test_another_rate_holds_soon_after_it_was_set(database_url: str, host: tuple[Served, str]) -> None:
    async with services_running(database_url, host[1], limits=Limits(requests_per_minute=1)) as running:
        team_id = await other_team(running.database)
        key = await running.services.api_keys.make("busy", team_id=team_id, is_platform_admin=False)
        await running.services.auth.authenticate(key)
        with pytest.raises(TooMany):
            await running.services.auth.authenticate(key)
        admin = await _admin(running)
        await running.services.quotas.set_limits(admin, team_id, {"requests_per_minute": 6000})
        running.clock.offset += timedelta(seconds=10)
        for _ in range(100):
            await running.services.auth.authenticate(key)


async def test_whoever_watches_a_quota_is_told_of_every_change(running: Running) -> None:
    async with aclosing(running.services.feed.quotas.watch(running.principal)) as events:
        first = await anext(events)
        assert isinstance(first, QuotaChanged)
        assert first.quota.used[Resource.SANDBOXES] == 0
        sandbox = await running.created()
        async with asyncio.timeout(10):
            await _until(events, {Resource.SANDBOXES: 1, Resource.MEMORY_MB: 512, Resource.OPERATIONS: 0})
            await _limit(running, sandboxes=7)
            event = await _until(events, {Resource.SANDBOXES: 1})
            while event.quota.limits.sandboxes != 7:
                event = await _until(events, {Resource.SANDBOXES: 1})
            await running.services.sandboxes.delete(running.principal, sandbox.id)
            await _until(events, dict.fromkeys(Resource, 0))


async def _until(events: object, used: dict[Resource, int]) -> QuotaChanged:
    async for event in events:  # type: ignore[attr-defined]
        if isinstance(event, QuotaChanged) and used.items() <= dict(event.quota.used).items():
            return event
    raise AssertionError("the stream ended")


async def test_a_create_is_explained_and_nothing_is_made(running: Running) -> None:
    explain = running.services.placing.explain
    fine = await explain(running.principal, CreateSandbox(vcpus=2))
    assert fine.blockers == ()
    assert fine.shape is not None
    assert (fine.shape.vcpus, fine.shape.memory_mb, fine.shape.disk_size_mb) == (2, 512, 5120)
    made = (await running.created(vcpus=2)).disk_size_mb
    assert made == fine.shape.disk_size_mb
    await _limit(running, sandboxes=1, memory_mb=600)
    blocked = await explain(running.principal, CreateSandbox())
    assert [error.code for error in blocked.blockers] == ["QUOTA_EXCEEDED"]
    assert "2 sandboxes" in blocked.blockers[0].message
    assert "1,024 MiB of memory, 424 more" in blocked.blockers[0].message
    unknown = await explain(running.principal, CreateSandbox(template_name="nowhere"))
    assert [(error.code, error.path) for error in unknown.blockers] == [("NOT_FOUND", ("templateName",))]
    malformed = await explain(running.principal, CreateSandbox(memory_mb=1))
    assert [(error.code, error.path) for error in malformed.blockers] == [("INVALID", ("memoryMb",))]
    assert await running.services.sandboxes.count(running.principal, SandboxFilter(states=frozenset(State))) == 1


async def test_a_create_without_hosts_is_explained(lonely: Running) -> None:
    found = await lonely.services.placing.explain(lonely.principal, CreateSandbox())
    assert [error.code for error in found.blockers] == ["HOST_UNREACHABLE"]


async def _emulates(owner_url: str) -> None:
    """Its hosts say from now on that they emulate their machines, which simulated ones do not."""
    owner = await asyncpg.connect(owner_url)
    try:
        await owner.execute(
            """CREATE FUNCTION emulates() RETURNS trigger LANGUAGE plpgsql AS $$
                BEGIN NEW.isolation := 'emulated'; RETURN NEW; END $$;
            CREATE TRIGGER emulates BEFORE INSERT OR UPDATE ON hosts FOR EACH ROW EXECUTE FUNCTION emulates();
            UPDATE hosts SET isolation = ''"""
        )
    finally:
        await owner.close()


async def test_a_host_that_emulates_serves_one_team_at_a_time_if_it_is_to(
    database_url: str, owner_url: str, host: tuple[Served, str]
) -> None:
    async with services_running(database_url, host[1], shares_emulated=False) as running:
        await _emulates(owner_url)
        stranger = await principal_of(running.services, await other_team(running.database))
        mine = [await running.created(), await running.created()]
        with pytest.raises(NoCapacity) as refusal:
            await running.services.sandboxes.create(stranger, CreateSandbox())
        assert refusal.value.code == "ISOLATION_REQUIRED"
        explained = await running.services.placing.explain(stranger, CreateSandbox())
        assert [error.code for error in explained.blockers] == ["ISOLATION_REQUIRED"]
        for sandbox in mine:
            await running.services.sandboxes.delete(running.principal, sandbox.id)
        await running.services.sandboxes.create(stranger, CreateSandbox())
        with pytest.raises(NoCapacity):
            await running.created()


async def test_of_teams_that_come_at_once_one_gets_a_host_that_is_not_to_be_shared(
    database_url: str, owner_url: str, host: tuple[Served, str]
) -> None:
    async with services_running(database_url, host[1], shares_emulated=False) as running:
        await _emulates(owner_url)
        teams = [await principal_of(running.services, await other_team(running.database)) for _ in range(2)]
        holder = await asyncpg.connect(database_url)
        try:
            async with asyncio.TaskGroup() as group, holder.transaction():
                await holder.execute("SELECT pg_advisory_xact_lock($1)", PLACEMENT)
                creates = [group.create_task(_created(running, principal)) for principal in teams]
                # neither looks for a host before it is its turn
                await eventually(lambda: _waiting(running, 2))
        finally:
            await holder.close()
        assert sorted(create.result() for create in creates) == ["ISOLATION_REQUIRED", "RUNNING"]


async def test_teams_share_a_host_that_emulates_unless_they_are_not_to(running: Running, owner_url: str) -> None:
    await _emulates(owner_url)
    stranger = await principal_of(running.services, await other_team(running.database))
    await running.created()
    await running.services.sandboxes.create(stranger, CreateSandbox())
