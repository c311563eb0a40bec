"""Rights are not handed on by whoever has just lost them: what another replica took away a moment ago this one still
believes, and asks again in the transaction of the change."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from pathlib import Path

import asyncpg
import pytest

from api.domain.principal import ALL_SCOPES, Principal, Role
from api.errors import Forbidden
from api.hosts.authority import Authority
from api.services.services import Services
from tests.api.people import Person, a_person
from tests.api.running import Running, principal_of, services_running
from tests.waiting import eventually

Change = Callable[[Services, Principal, Person], Awaitable[object]]

PLATFORM: dict[str, Change] = {
    "deactivate": lambda services, by, who: services.users.deactivate(by, who.id),
    "activate": lambda services, by, who: services.users.activate(by, who.id),
    "make an admin": lambda services, by, who: services.users.set_platform_admin(by, who.id, is_platform_admin=True),
    "set limits": lambda services, by, who: services.quotas.set_limits(by, who.principal.team_id, {"sandboxes": 1}),
    "let a host join": lambda services, by, _: services.registrations.create_token(by),
}
TEAM: dict[str, Change] = {
    "invite": lambda services, by, _: services.invitations.create(by, "x@example.org", Role.MEMBER),
    "make a key": lambda services, by, _: services.api_keys.create(by, "k", ALL_SCOPES, None),
    "give a role": lambda services, by, who: services.memberships.change_role(by, who.id, Role.ADMIN),
    "remove": lambda services, by, who: services.memberships.remove(by, who.id),
}
RIGHTS = """SELECT (SELECT array_agg(u.* ORDER BY u.id)::text FROM users u),
    (SELECT array_agg(m.* ORDER BY m.id)::text FROM memberships m), (SELECT count(*) FROM api_keys),
    (SELECT count(*) FROM invitations), (SELECT count(*) FROM host_tokens), (SELECT count(*) FROM team_quotas)"""


async def _lose(running: Running, principal: Principal) -> None:
    """Takes somebody's rights away as another replica would: this one has not heard of it."""
    if principal.session_id is None:
        await running.database.execute("UPDATE api_keys SET revoked_at = now() WHERE id = $1", principal.id)
    else:
        await running.database.execute("UPDATE users SET is_platform_admin = false WHERE id = $1", principal.id)
        await running.database.execute("UPDATE memberships SET role = 'member' WHERE user_id = $1", principal.id)


async def _refused(running: Running, change: Change, principal: Principal, who: Person) -> None:
    before = await running.database.fetchrow(RIGHTS)
    with pytest.raises(Forbidden):
        await change(running.services, principal, who)
    assert await running.database.fetchrow(RIGHTS) == before


@pytest.mark.parametrize("what", PLATFORM)
async def test_a_former_platform_admin_hands_nothing_on(database_url: str, tmp_path: Path, what: str) -> None:
    authority = Authority.create(tmp_path / "authority", datetime.now(UTC))
    async with services_running(database_url, reconcile=False, authority=authority) as running:
        who = await a_person(running.services)
        await a_person(running.services, admin=True)
        person, key = await a_person(running.services, admin=True), await principal_of(running.services, admin=True)
        for principal in (person.principal, key):
            await PLATFORM[what](running.services, principal, who)
            await running.database.execute("UPDATE users SET is_platform_admin = false WHERE id = $1", who.id)
            await _lose(running, principal)
            await _refused(running, PLATFORM[what], principal, who)


@pytest.mark.parametrize("what", TEAM)
async def test_a_former_admin_of_a_team_hands_nothing_on(lonely: Running, what: str) -> None:
    person, key = await a_person(lonely.services, Role.ADMIN), await principal_of(lonely.services)
    for principal in (person.principal, key):
        await TEAM[what](lonely.services, principal, await a_person(lonely.services))
        await _lose(lonely, principal)
        await _refused(lonely, TEAM[what], principal, await a_person(lonely.services))


async def test_a_deactivated_admin_hands_nothing_on(lonely: Running) -> None:
    admin, who = await a_person(lonely.services, Role.ADMIN), await a_person(lonely.services)
    await lonely.database.execute("UPDATE users SET deactivated_at = now() WHERE id = $1", admin.id)
    await _refused(lonely, TEAM["give a role"], admin.principal, who)


async def test_a_former_platform_admin_makes_no_more_teams_than_others(database_url: str) -> None:
    async with services_running(database_url, reconcile=False, teams_per_user=0) as running:
        admin = await a_person(running.services, admin=True)
        await running.services.teams.create(admin.principal, "of an admin")
        await _lose(running, admin.principal)
        with pytest.raises(Forbidden):
            await running.services.teams.create(admin.principal, "of nobody")


async def test_a_key_is_revoked_after_what_it_is_doing_or_before(lonely: Running, database_url: str) -> None:
    key = await principal_of(lonely.services)
    holder = await asyncpg.connect(database_url)
    try:
        async with asyncio.TaskGroup() as group, holder.transaction():
            # it holds up the insertion of the invitation: the key was asked for before
            await holder.execute("LOCK TABLE invitations IN EXCLUSIVE MODE")
            invite = group.create_task(lonely.services.invitations.create(key, "x@example.org", Role.MEMBER))
            await eventually(lambda: _waiting(lonely, 1))
            revoke = group.create_task(lonely.services.api_keys.end(f"key-{key.id}"))
            await eventually(lambda: _waiting(lonely, 2))
            assert not revoke.done()
    finally:
        await holder.close()
    assert invite.result().invitation.email == "x@example.org"
    assert revoke.result() == key.id


async def _waiting(running: Running, count: int) -> bool:
    return bool(
        count
        == await running.database.fetchval(
            "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()"
        )
    )


async def test_letting_somebody_in_again_waits_for_what_other_admins_do(lonely: Running, database_url: str) -> None:
    admin, who = await a_person(lonely.services, admin=True), await a_person(lonely.services)
    await lonely.services.users.deactivate(admin.principal, who.id)
    other = await asyncpg.connect(database_url)
    try:
        async with asyncio.TaskGroup() as group, other.transaction():
            await other.execute("UPDATE users SET is_platform_admin = false WHERE id = $1", admin.id)
            activate = group.create_task(_code(lonely.services.users.activate(admin.principal, who.id)))
            await eventually(lambda: _waiting(lonely, 1))
    finally:
        await other.close()
    assert activate.result() == "FORBIDDEN"


async def _code(change: Awaitable[object]) -> str:
    with pytest.raises(Forbidden) as refusal:
        await change
    return refusal.value.code
