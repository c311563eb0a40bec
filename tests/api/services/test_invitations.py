"""Invitations: a link, once, for one address."""

import asyncio
from datetime import timedelta

import pytest

from api.db.login_attempts import PERIOD
from api.domain.invitation import INVITATION_LIFE
from api.domain.page import PageRequest
from api.domain.principal import Role
from api.errors import Conflict, Forbidden, Invalid, MissingScope, NestboxError, NotFound, Unauthenticated
from api.ids import new_id
from api.services import invitations
from api.services.invitations import NewInvitation
from api.services.throttle import SUCCESSES_MAX, TRIES_MAX
from tests.api.people import ADDRESS, Person, a_person, now
from tests.api.running import Running, other_team, principal_of

PASSWORD = "a long password"


async def _accept(
    running: Running, token: str, password: str | None = PASSWORD, person: Person | None = None, name: str = "New"
) -> str:
    session = None if person is None else await running.services.sessions.authenticate(person.token)
    try:
        await running.services.invitations.accept(token, session=session, password=password, name=name, address=ADDRESS)
    except NestboxError as error:
        return error.code
    return "ok"


async def _invite(
    running: Running, owner: Person, email: str = "new@example.org", role: Role = Role.MEMBER
) -> NewInvitation:
    return await running.services.invitations.create(owner.principal, email, role)


async def test_somebody_new_becomes_a_member(lonely: Running) -> None:
    owner = await a_person(lonely.services, Role.OWNER)
    invited = await _invite(lonely, owner, "New@Example.org", Role.ADMIN)
    seen = await lonely.services.invitations.look(invited.token)
    assert (seen.email, seen.role, seen.team_name, seen.invited_by) == (
        "new@example.org",
        Role.ADMIN,
        "default",
        owner.email,
    )
    assert await _accept(lonely, invited.token) == "ok"
    user = (await lonely.services.users.prove("new@example.org", PASSWORD, ADDRESS)).user
    member = await lonely.services.memberships.get(owner.principal, user.id)
    assert member is not None
    assert (member.role, member.name) == (Role.ADMIN, "New")
    assert await _accept(lonely, invited.token) == "NOT_FOUND"


async def test_an_invitation_used_twice_at_once_is_used_once(lonely: Running) -> None:
    owner = await a_person(lonely.services, Role.OWNER)
    for number in range(3):
        invited = await _invite(lonely, owner, f"new-{number}@example.org")
        codes = await asyncio.gather(*(_accept(lonely, invited.token) for _ in range(4)))
        assert codes.count("ok") == 1, codes
        assert set(codes) <= {"ok", "NOT_FOUND", "WRONG_CREDENTIALS", "EMAIL_TAKEN"}
        count = await lonely.database.fetchval(
            "SELECT count(*) FROM memberships m JOIN users u ON u.id = m.user_id WHERE u.email = $1",
            f"new-{number}@example.org",
        )
        assert count == 1


async def test_a_link_that_cannot_be_accepted_makes_no_work_without_end(
    lonely: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    invited = await _invite(lonely, await a_person(lonely.services, Role.OWNER))
    # what is refused for itself costs nothing, and does not count
    for _ in range(SUCCESSES_MAX + TRIES_MAX):
        assert await _accept(lonely, invited.token, name="a\nb") == "INVALID"
        assert await _accept(lonely, invited.token, "short") == "INVALID"
    with monkeypatch.context() as patch:
        patch.setattr(invitations, "MEMBERS_PER_TEAM_MAX", 1)
        codes = [await _accept(lonely, invited.token) for _ in range(SUCCESSES_MAX + TRIES_MAX + 1)]
    assert codes == ["LIMIT_REACHED"] * SUCCESSES_MAX + ["THROTTLED"] * (TRIES_MAX + 1)
    lonely.clock.offset += PERIOD
    assert await _accept(lonely, invited.token) == "ok"


async def test_who_has_an_account_proves_it(lonely: Running) -> None:
    team_id = await other_team(lonely.database)
    owner = await a_person(lonely.services, Role.OWNER, team_id=team_id)
    person = await a_person(lonely.services)
    invited = await _invite(lonely, owner, person.email)
    assert await _accept(lonely, invited.token) == "WRONG_CREDENTIALS"
    assert await _accept(lonely, invited.token, None) == "INVALID"
    assert await _accept(lonely, invited.token, person.password) == "ok"
    assert len(await lonely.services.teams.of_caller(person.principal)) == 2


async def test_who_is_signed_in_needs_no_password_but_the_right_address(lonely: Running) -> None:
    team_id = await other_team(lonely.database)
    owner = await a_person(lonely.services, Role.OWNER, team_id=team_id)
    person, other = await a_person(lonely.services), await a_person(lonely.services)
    invited = await _invite(lonely, owner, person.email)
    assert await _accept(lonely, invited.token, None, other) == "FORBIDDEN"
    assert await _accept(lonely, invited.token, None, person) == "ok"
    assert len(await lonely.services.teams.of_caller(person.principal)) == 2


async def test_an_invitation_ends_by_time_by_revocation_and_by_another_one(lonely: Running) -> None:
    owner = await a_person(lonely.services, Role.OWNER)
    first = await _invite(lonely, owner)
    second = await _invite(lonely, owner)
    assert await _accept(lonely, first.token) == "NOT_FOUND"
    page = await lonely.services.invitations.list(owner.principal, PageRequest(10))
    assert [each.id for each in page.items] == [second.invitation.id]
    await lonely.services.invitations.revoke(owner.principal, second.invitation.id)
    assert await _accept(lonely, second.token) == "NOT_FOUND"
    with pytest.raises(NotFound):
        await lonely.services.invitations.revoke(owner.principal, second.invitation.id)
    third = await _invite(lonely, owner)
    lonely.clock.offset += INVITATION_LIFE + timedelta(seconds=1)
    assert await _accept(lonely, third.token) == "NOT_FOUND"


async def test_only_admins_of_the_team_invite_and_only_owners_invite_owners(lonely: Running) -> None:
    owner, admin = await a_person(lonely.services, Role.OWNER), await a_person(lonely.services, Role.ADMIN)
    member = await a_person(lonely.services)
    with pytest.raises(MissingScope):
        await _invite(lonely, member)
    with pytest.raises(Forbidden):
        await _invite(lonely, admin, role=Role.OWNER)
    await _invite(lonely, owner, role=Role.OWNER)
    by_key = await lonely.services.invitations.create(await principal_of(lonely.services), "k@example.org", Role.MEMBER)
    assert by_key.invitation.invited_by == ""
    with pytest.raises(Conflict) as refused:
        await _invite(lonely, admin, member.email.upper())
    assert refused.value.code == "ALREADY_MEMBER"
    for email in ("", "x", "a@b\0", "\ud800@x.y"):
        with pytest.raises(Invalid):
            await _invite(lonely, owner, email)


async def test_a_foreign_invitation_looks_like_none(lonely: Running) -> None:
    owner = await a_person(lonely.services, Role.OWNER)
    stranger = await a_person(lonely.services, Role.OWNER, team_id=await other_team(lonely.database))
    foreign = await _invite(lonely, stranger)
    messages = set()
    for invitation_id in (foreign.invitation.id, new_id()):
        with pytest.raises(NotFound) as refused:
            await lonely.services.invitations.revoke(owner.principal, invitation_id)
        messages.add(refused.value.message)
    assert len(messages) == 1
    for token in ("", "\0", foreign.token[:-1] + ("a" if foreign.token[-1] != "a" else "b")):
        with pytest.raises(NotFound):
            await lonely.services.invitations.look(token)


async def test_a_deactivated_person_cannot_come_back_by_an_invitation(lonely: Running) -> None:
    owner, person = await a_person(lonely.services, Role.OWNER), await a_person(lonely.services)
    team = await lonely.services.teams.create(owner.principal, "other")
    await lonely.services.sessions.switch_team(owner.principal, team.id)
    invited = await lonely.services.invitations.create(await now(lonely.services, owner), person.email, Role.ADMIN)
    await lonely.database.execute("UPDATE users SET deactivated_at = now() WHERE id = $1", person.id)
    assert await _accept(lonely, invited.token, person.password) == "WRONG_CREDENTIALS"
    lonely.services.sessions.forget()
    with pytest.raises(Unauthenticated):
        await now(lonely.services, person)
