"""API keys."""

import asyncio
from contextlib import AsyncExitStack
from datetime import timedelta
from uuid import UUID

import pytest

from api.domain.principal import Principal
from api.errors import Invalid, NotFound, Unauthenticated
from api.ids import DEFAULT_TEAM_ID, Kind, new_id, wire_id
from api.services import auth
from api.services.beliefs import BELIEVED_SECONDS
from tests.api.running import Running
from tests.waiting import eventually


async def _key(running: Running, *, admin: bool = False) -> str:
    return await running.services.api_keys.make("a key", team_id=DEFAULT_TEAM_ID, is_platform_admin=admin)


async def test_a_key_says_who_is_asking(lonely: Running) -> None:
    key = await _key(lonely, admin=True)
    for given in (key, f"Bearer {key}", f"bearer  {key} "):
        principal = await lonely.services.auth.authenticate(given)
        assert (principal.team_id, principal.team_name, principal.name) == (DEFAULT_TEAM_ID, "default", "a key")
        assert principal.is_platform_admin
        await lonely.services.auth.recheck(principal)
    assert key.count("_") == 2


async def test_of_a_secret_only_its_hash_is_kept(lonely: Running) -> None:
    key = await _key(lonely)
    secret = key.rsplit("_", 1)[1]
    rows = await lonely.database.fetch("SELECT api_keys::text AS everything FROM api_keys")
    assert rows
    assert all(secret not in row["everything"] for row in rows)


async def test_wrong_keys_are_refused(lonely: Running) -> None:
    key = await _key(lonely)
    other = await _key(lonely)
    mixed = key.rsplit("_", 1)[0] + "_" + other.rsplit("_", 1)[1]
    unknown = "nb_" + "a" * 26 + "_" + "b" * 52
    for given in (
        None,
        "",
        "Bearer",
        "Bearer ",
        "Basic abc",
        key[:-1],
        key + "a",
        key.upper(),
        mixed,
        unknown,
        "nb__",
        "\0",
    ):
        with pytest.raises(Unauthenticated):
            await lonely.services.auth.authenticate(given)


async def test_a_revoked_or_expired_key_is_refused_within_seconds(lonely: Running) -> None:
    for statement in (
        "UPDATE api_keys SET revoked_at = now() WHERE id = $1",
        "UPDATE api_keys SET expires_at = now() WHERE id = $1",
    ):
        key = await _key(lonely)
        principal = await lonely.services.auth.authenticate(key)
        await lonely.database.execute(statement, principal.id)
        assert BELIEVED_SECONDS < 5

        lonely.clock.offset += timedelta(seconds=BELIEVED_SECONDS)
        with pytest.raises(Unauthenticated):
            await lonely.services.auth.authenticate(key)
        with pytest.raises(Unauthenticated):
            await lonely.services.auth.recheck(principal)


async def test_a_busy_key_writes_its_use_once_a_minute(lonely: Running) -> None:

    key = await _key(lonely)
    principal = await lonely.services.auth.authenticate(key)

    async def last_used() -> object:
        return await lonely.database.fetchval("SELECT last_used_at FROM api_keys WHERE id = $1", principal.id)

    first = await last_used()
    assert first is not None
    lonely.clock.offset += timedelta(seconds=30)
    await lonely.services.auth.authenticate(key)
    assert await last_used() == first
    lonely.clock.offset += timedelta(seconds=31)
    await lonely.services.auth.authenticate(key)
    assert await last_used() != first


async def test_keys_need_a_name_and_a_team(lonely: Running) -> None:
    for name in ("", "x" * 201, "a\nb"):
        with pytest.raises(Invalid):
            await lonely.services.api_keys.make(name, team_id=DEFAULT_TEAM_ID, is_platform_admin=False)
    with pytest.raises(NotFound):
        await lonely.services.api_keys.make("name", team_id=new_id(), is_platform_admin=False)


async def test_keys_are_listed_with_their_last_use_and_without_secrets(lonely: Running) -> None:
    key = await _key(lonely)
    mine = next(record for record in await lonely.services.api_keys.list_all() if record.last_used_at is None)
    assert (mine.name, mine.team_name, mine.is_platform_admin, mine.revoked_at) == ("a key", "default", False, None)
    principal = await lonely.services.auth.authenticate(key)
    assert principal.id == mine.id
    used = next(record for record in await lonely.services.api_keys.list_all() if record.id == mine.id)
    assert used.last_used_at is not None


async def test_a_key_is_revoked_by_its_id_and_by_itself(lonely: Running) -> None:
    for part in ("id", "key", "first part of the key"):
        key = await _key(lonely)
        principal = await lonely.services.auth.authenticate(key)
        id_ = wire_id(Kind.API_KEY, principal.id)
        name = {"id": id_, "key": key, "first part of the key": key.rsplit("_", 1)[0]}[part]
        assert await lonely.services.api_keys.end(name) == principal.id
        with pytest.raises(Unauthenticated):
            await lonely.services.auth.authenticate(key)
        with pytest.raises(NotFound):
            await lonely.services.api_keys.end(name)
    for text in ("", "nb_", "key-1", wire_id(Kind.SANDBOX, new_id())):
        with pytest.raises(Invalid, match="names no key"):
            await lonely.services.api_keys.end(text)


async def test_work_goes_on_as_long_as_the_key_is_good(lonely: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(auth, "RECHECK_SECONDS", 0.0)
    principal = await lonely.services.auth.authenticate(await _key(lonely))
    asked = _count_questions(lonely, monkeypatch)
    async with lonely.services.auth.holding(principal):
        await eventually(lambda: len(asked) > 2)
    bug = KeyError("as it was raised")
    with pytest.raises(KeyError) as raised:
        async with lonely.services.auth.holding(principal):
            raise bug
    assert raised.value is bug


async def test_nothing_begins_for_whoever_is_shut_out_already(lonely: Running) -> None:
    principal = await lonely.services.auth.authenticate(await _key(lonely))
    await lonely.database.execute("UPDATE api_keys SET revoked_at = now() WHERE id = $1", principal.id)
    lonely.clock.offset += timedelta(seconds=BELIEVED_SECONDS)
    begun = []
    with pytest.raises(Unauthenticated):
        async with lonely.services.auth.holding(principal):
            begun.append("anything")
    assert begun == []


async def test_work_of_a_revoked_key_is_cancelled_within_five_seconds(lonely: Running) -> None:
    principal = await lonely.services.auth.authenticate(await _key(lonely))
    await lonely.database.execute("UPDATE api_keys SET revoked_at = now() WHERE id = $1", principal.id)
    ended = asyncio.Event()

    async def work() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            ended.set()

    assert BELIEVED_SECONDS + auth.RECHECK_SECONDS < 5
    async with asyncio.timeout(5):
        with pytest.raises(Unauthenticated):
            async with lonely.services.auth.holding(principal):
                await work()
    assert ended.is_set()


async def test_much_work_of_one_caller_asks_the_database_no_more_than_little(
    lonely: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(auth, "RECHECK_SECONDS", 0.0)
    principal = await lonely.services.auth.authenticate(await _key(lonely))
    looked = []
    look_up = lonely.services.api_keys._look_up

    async def counted(key_id: UUID) -> object:
        looked.append(key_id)
        return await look_up(key_id)

    monkeypatch.setattr(lonely.services.api_keys._beliefs, "_look_up", counted)
    asked = _count_questions(lonely, monkeypatch)
    async with AsyncExitStack() as work:
        for _ in range(20):
            await work.enter_async_context(lonely.services.auth.holding(principal))
        await eventually(lambda: len(asked) > 200)
    # what was found out when the key was shown is still believed
    assert looked == []


def _count_questions(running: Running, monkeypatch: pytest.MonkeyPatch) -> list[Principal]:
    """Whoever is asked about from now on, once for each time."""
    asked: list[Principal] = []
    is_good = running.services.api_keys.is_good

    async def counted(principal: Principal) -> bool:
        asked.append(principal)
        return await is_good(principal)

    monkeypatch.setattr(running.services.api_keys, "is_good", counted)
    return asked
