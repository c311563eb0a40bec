"""What platform admins do with accounts."""

import asyncio

import pytest

from api.domain.page import PageRequest
from api.domain.principal import ALL_SCOPES, Role
from api.domain.sandbox import CreateSandbox, State
from api.errors import Conflict, Forbidden, NotFound, Unauthenticated
from api.ids import new_id
from tests.api.people import ADDRESS, a_person, now
from tests.api.running import Running, principal_of


async def test_two_admins_who_deactivate_each_other_at_once_leave_one(lonely: Running) -> None:
    users = lonely.services.users
    for _ in range(3):
        await lonely.database.execute("UPDATE users SET is_platform_admin = false")
        one, two = [await a_person(lonely.services, admin=True) for _ in range(2)]
        done = await asyncio.gather(
            users.deactivate(one.principal, two.id), users.deactivate(two.principal, one.id), return_exceptions=True
        )
        # whose turn comes second is no admin any more, and so the other stays one
        assert [each.code for each in done if isinstance(each, Forbidden)] == ["FORBIDDEN"]
        left = "SELECT count(*) FROM users WHERE is_platform_admin AND deactivated_at IS NULL"
        assert await lonely.database.fetchval(left) == 1


async def test_the_last_admin_stays_one_whoever_asks(lonely: Running) -> None:
    users = lonely.services.users
    admin = await a_person(lonely.services, admin=True)
    for caller in (admin.principal, await principal_of(lonely.services, admin=True)):
        for refused in (
            users.deactivate(caller, admin.id),
            users.set_platform_admin(caller, admin.id, is_platform_admin=False),
        ):
            with pytest.raises(Conflict) as error:
                await refused
            assert error.value.code == "LAST_ADMIN"
    second = await a_person(lonely.services)
    await users.set_platform_admin(admin.principal, second.id, is_platform_admin=True)
    await users.set_platform_admin(admin.principal, admin.id, is_platform_admin=False)
    with pytest.raises(Unauthenticated):
        # what an admin had opened ends
        await lonely.services.auth.recheck(admin.principal)
    with pytest.raises(Forbidden):
        await users.list(await now(lonely.services, admin), None, PageRequest(10))


async def test_nobody_else_learns_whether_somebody_exists(lonely: Running) -> None:
    person, owner = await a_person(lonely.services), await a_person(lonely.services, Role.OWNER)
    users = lonely.services.users
    for user_id in (person.id, new_id()):
        for refused in (
            users.get(owner.principal, user_id),
            users.preview_deactivation(owner.principal, user_id),
            users.deactivate(owner.principal, user_id),
            users.activate(owner.principal, user_id),
            users.set_platform_admin(owner.principal, user_id, is_platform_admin=True),
        ):
            with pytest.raises(Forbidden):
                await refused
    admin = await principal_of(lonely.services, admin=True)
    with pytest.raises(NotFound):
        await users.deactivate(admin, new_id())


async def test_deactivating_stops_what_the_preview_says(running: Running) -> None:
    services = running.services
    await a_person(services, Role.OWNER, admin=True)
    admin = await principal_of(services, admin=True)
    person = await a_person(services, Role.ADMIN)
    made = await services.api_keys.create(person.principal, "key", ALL_SCOPES, None)
    key = await services.auth.authenticate(made.text)
    invited = await services.invitations.create(person.principal, "x@example.org", Role.MEMBER)
    mine = (await services.sandboxes.create(person.principal, CreateSandbox())).sandbox
    by_key = (await services.sandboxes.create(key, CreateSandbox())).sandbox
    other = await running.created()

    preview = await services.users.preview_deactivation(admin, person.id)
    assert (preview.session_count, preview.key_count) == (1, 1)
    assert set(preview.sandbox_ids) == {mine.id, by_key.id}
    user, stopped = await services.users.deactivate(admin, person.id)
    assert user.deactivated_at is not None
    assert stopped == preview

    for shut_out in (person.principal, key):
        with pytest.raises(Unauthenticated):
            await services.auth.recheck(shut_out)
    with pytest.raises(Unauthenticated):
        await now(services, person)
    with pytest.raises(Unauthenticated):
        await services.users.prove(person.email, person.password, ADDRESS)
    with pytest.raises(NotFound):
        await services.invitations.look(invited.token)
    await running.comes_to(mine.id, State.PAUSED)
    await running.comes_to(by_key.id, State.PAUSED)
    assert (await running.get(other.id)).state is State.RUNNING

    assert (await services.users.activate(admin, person.id)).deactivated_at is None
    assert (await services.auth.authenticate(made.text)).scopes == ALL_SCOPES
    with pytest.raises(Unauthenticated):
        await now(services, person)
    assert (await services.users.prove(person.email, person.password, ADDRESS)).user.id == person.id


async def test_people_are_listed_by_pages_and_found_by_a_part_of_their_address(lonely: Running) -> None:
    admin = await principal_of(lonely.services, admin=True)
    people = [await a_person(lonely.services, email=f"p{number}@example.org") for number in range(5)]
    first = await lonely.services.users.list(admin, None, PageRequest(2))
    assert [user.id for user in first.items] == [person.id for person in people[:2]]
    assert first.has_next
    rest = await lonely.services.users.list(admin, None, PageRequest(10, after=people[1].id))
    assert [user.id for user in rest.items] == [person.id for person in people[2:]]
    found = await lonely.services.users.list(admin, "P3@", PageRequest(10))
    assert [user.id for user in found.items] == [people[3].id]
    assert await lonely.services.users.count(admin, "%") == 0
    teams = await lonely.services.teams.list(admin, PageRequest(10))
    assert [(each.team.name, each.member_count) for each in teams.items] == [("default", 5)]


async def test_a_new_password_from_the_command_line_ends_all_sessions(lonely: Running) -> None:
    person = await a_person(lonely.services)
    password = await lonely.services.users.reset_password(person.email.upper())
    lonely.services.sessions.forget()
    with pytest.raises(Unauthenticated):
        await now(lonely.services, person)
    assert (await lonely.services.users.prove(person.email, password, ADDRESS)).user.id == person.id
    with pytest.raises(NotFound):
        await lonely.services.users.reset_password("nobody@example.org")
    with pytest.raises(Conflict):
        await a_person(lonely.services, email=person.email.upper())


async def test_the_other_service_knows_people_by_their_subject_then(lonely: Running) -> None:
    recognise = lonely.services.users.recognise
    person = await a_person(lonely.services)
    for subject, email in (("s1", ""), ("s1", "nobody@example.org")):
        with pytest.raises(Unauthenticated):
            await recognise(subject, email, "", new_users=False)
    assert (await recognise("s1", person.email, "", new_users=False)).user.id == person.id
    # whoever made the account before may have been somebody else
    with pytest.raises(Unauthenticated):
        await now(lonely.services, person)
    with pytest.raises(Unauthenticated):
        await lonely.services.users.prove(person.email, person.password, ADDRESS)
    assert (await recognise("s1", "", "", new_users=False)).user.id == person.id
    with pytest.raises(Unauthenticated):
        # somebody else there who has got the same address
        await recognise("s2", person.email, "", new_users=True)
    made = (await recognise("s3", "new@example.org", "N\new", new_users=True)).user
    assert (made.email, made.name) == ("new@example.org", "N ew")
    await lonely.database.execute("UPDATE users SET deactivated_at = now() WHERE id = $1", made.id)
    with pytest.raises(Unauthenticated):
        await recognise("s3", "new@example.org", "", new_users=True)
