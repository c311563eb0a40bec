"""Whoever signs in while their account is changed is too late, however the two meet."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace

import asyncpg
import pytest
from argon2 import PasswordHasher
from argon2.profiles import CHEAPEST

from api.errors import Forbidden, Unauthenticated
from api.services.passwords import Passwords
from tests.api.people import ADDRESS, Person, a_person
from tests.api.running import Running
from tests.waiting import eventually

LIVE = "SELECT count(*) FROM sessions WHERE user_id = $1 AND revoked_at IS NULL"


class Gate:
    """Holds up everybody who makes a hash."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.held_up, self.opened = 0, asyncio.Event()
        make = Passwords.hash

        async def held(passwords: Passwords, password: str) -> str:
            self.held_up += 1
            await self.opened.wait()
            return await make(passwords, password)

        monkeypatch.setattr(Passwords, "hash", held)


async def _refused(running: Running, person: Person) -> None:
    with pytest.raises(Unauthenticated) as refusal:
        await running.services.sessions.begin(person.account)
    assert refusal.value.code == "WRONG_CREDENTIALS"


async def _changed(running: Running, person: Person) -> None:
    await running.services.users.change_password(person.principal, person.password, "a new password", ADDRESS)


async def _reset(running: Running, person: Person) -> None:
    await running.services.users.reset_password(person.email)


async def _bound(running: Running, person: Person) -> None:
    await running.services.users.recognise("subject", person.email, "", new_users=False)


@pytest.mark.parametrize("change", [_changed, _reset, _bound])
async def test_an_old_password_begins_no_session_after_the_change(
    lonely: Running, change: Callable[[Running, Person], Awaitable[None]]
) -> None:
    # they proved who they are before it, and have no session yet
    person = await a_person(lonely.services)
    await change(lonely, person)
    before = await lonely.database.fetchval(LIVE, person.id)
    await _refused(lonely, person)
    assert await lonely.database.fetchval(LIVE, person.id) == before


async def test_who_signed_in_by_oidc_before_a_change_begins_no_session_after_it(lonely: Running) -> None:
    person = await a_person(lonely.services)
    proved = await lonely.services.users.recognise("subject", person.email, "", new_users=False)
    await lonely.services.sessions.begin(proved)
    await lonely.services.users.reset_password(person.email)
    with pytest.raises(Unauthenticated):
        await lonely.services.sessions.begin(proved)
    assert await lonely.database.fetchval(LIVE, person.id) == 0


async def test_a_session_waits_for_a_change_that_is_under_way(lonely: Running, database_url: str) -> None:
    person = await a_person(lonely.services)
    changer = await asyncpg.connect(database_url)
    try:
        async with asyncio.TaskGroup() as group, changer.transaction():
            await changer.execute("UPDATE users SET password_hash = 'another' WHERE id = $1", person.id)
            await changer.execute("UPDATE sessions SET revoked_at = now() WHERE user_id = $1", person.id)
            group.create_task(_refused(lonely, person))
            await eventually(lambda: _waits(lonely))
    finally:
        await changer.close()
    assert await lonely.database.fetchval(LIVE, person.id) == 0


async def _waits(running: Running) -> bool:
    return bool(
        await running.database.fetchval(
            "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()"
        )
    )


async def test_a_password_that_was_replaced_meanwhile_cannot_be_changed(
    lonely: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    person = await a_person(lonely.services)
    gate = Gate(monkeypatch)
    async with asyncio.TaskGroup() as group:
        change = group.create_task(_wrong_password(lonely, person))
        await eventually(lambda: gate.held_up == 1)
        await lonely.database.execute("UPDATE users SET password_hash = 'of the owner' WHERE id = $1", person.id)
        gate.opened.set()
    assert change.result() == "WRONG_PASSWORD"
    kept = await lonely.database.fetchval("SELECT password_hash FROM users WHERE id = $1", person.id)
    assert kept == "of the owner"


async def _wrong_password(running: Running, person: Person) -> str:
    with pytest.raises(Forbidden) as refusal:
        await _changed(running, person)
    return refusal.value.code


async def _outdated(running: Running, person: Person) -> None:
    """The hash of somebody's password becomes one of weaker parameters, as those of long ago."""
    weaker = PasswordHasher.from_parameters(replace(CHEAPEST, hash_len=16)).hash(person.password)
    await running.database.execute("UPDATE users SET password_hash = $2 WHERE id = $1", person.id, weaker)


async def test_an_old_hash_is_made_again_for_all_who_sign_in_by_it_at_once(
    lonely: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    person = await a_person(lonely.services)
    await _outdated(lonely, person)
    gate = Gate(monkeypatch)
    prove = lonely.services.users.prove
    async with asyncio.TaskGroup() as group:
        signing_in = [group.create_task(prove(person.email, person.password, ADDRESS)) for _ in range(3)]
        await eventually(lambda: gate.held_up == 3)
        gate.opened.set()
    for task in signing_in:
        await lonely.services.sessions.begin(task.result())


async def test_making_a_hash_again_overwrites_no_other_password(
    lonely: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    person = await a_person(lonely.services)
    await _outdated(lonely, person)
    gate = Gate(monkeypatch)
    async with asyncio.TaskGroup() as group:
        signing_in = group.create_task(_proved(lonely, person))
        await eventually(lambda: gate.held_up == 1)
        await lonely.database.execute("UPDATE users SET password_hash = 'of the owner' WHERE id = $1", person.id)
        gate.opened.set()
    assert signing_in.result() == "WRONG_CREDENTIALS"
    kept = await lonely.database.fetchval("SELECT password_hash FROM users WHERE id = $1", person.id)
    assert kept == "of the owner"


async def _proved(running: Running, person: Person) -> str:
    with pytest.raises(Unauthenticated) as refusal:
        await running.services.users.prove(person.email, person.password, ADDRESS)
    return refusal.value.code
