"""Who may do what to whom in a team."""

import asyncio
from datetime import timedelta

import pytest

from api.domain.page import PageRequest
from api.domain.principal import ALL_SCOPES, Role, Scope
from api.errors import Conflict, Forbidden, MissingScope, NestboxError, NotFound, Unauthenticated
from api.ids import DEFAULT_TEAM_ID, new_id
from api.services.beliefs import BELIEVED_SECONDS
from tests.api.people import a_person, now
from tests.api.running import Running, other_team, principal_of


async def test_two_owners_who_leave_at_once_leave_one_owner(lonely: Running) -> None:
    for _ in range(5):
        team_id = await other_team(lonely.database)
        owners = [await a_person(lonely.services, Role.OWNER, team_id=team_id) for _ in range(2)]
        left = await asyncio.gather(
            *(lonely.services.memberships.leave(owner.principal, team_id) for owner in owners), return_exceptions=True
        )
        refused = [error for error in left if isinstance(error, Conflict)]
        assert [error.code for error in refused] == ["LAST_OWNER"]
        owner_count = "SELECT count(*) FROM memberships WHERE team_id = $1 AND role = 'owner'"
        assert await lonely.database.fetchval(owner_count, team_id) == 1


async def test_two_owners_who_demote_each_other_at_once_leave_one_owner(lonely: Running) -> None:
    change = lonely.services.memberships.change_role
    for _ in range(5):
        team_id = await other_team(lonely.database)
        one, two = [await a_person(lonely.services, Role.OWNER, team_id=team_id) for _ in range(2)]
        done = await asyncio.gather(
            change(one.principal, two.id, Role.MEMBER),
            change(two.principal, one.id, Role.MEMBER),
            return_exceptions=True,
        )
        # the second one is no owner any more when it is its turn
        assert sum(isinstance(each, Forbidden) for each in done) == 1, done
        owner_count = "SELECT count(*) FROM memberships WHERE team_id = $1 AND role = 'owner'"
        assert await lonely.database.fetchval(owner_count, team_id) == 1


async def test_a_deactivated_owner_is_no_owner_to_rely_on(lonely: Running) -> None:
    team_id = await other_team(lonely.database)
    one, two = [await a_person(lonely.services, Role.OWNER, team_id=team_id) for _ in range(2)]
    await lonely.database.execute("UPDATE users SET deactivated_at = now() WHERE id = $1", two.id)
    with pytest.raises(Conflict) as refused:
        await lonely.services.memberships.leave(one.principal, team_id)
    assert refused.value.code == "LAST_OWNER"


async def test_admins_administer_members_and_leave_owners_alone(lonely: Running) -> None:
    members = lonely.services.memberships
    owner = await a_person(lonely.services, Role.OWNER)
    admin = await a_person(lonely.services, Role.ADMIN)
    member = await a_person(lonely.services)
    key = await principal_of(lonely.services)
    for caller in (admin.principal, key):
        assert (await members.change_role(caller, member.id, Role.ADMIN)).role is Role.ADMIN
        assert (await members.change_role(caller, member.id, Role.MEMBER)).role is Role.MEMBER
        for refused in (
            members.change_role(caller, member.id, Role.OWNER),
            members.change_role(caller, owner.id, Role.MEMBER),
            members.remove(caller, owner.id),
            members.transfer_ownership(caller, member.id),
        ):
            with pytest.raises(Forbidden):
                await refused
    for refused in (
        members.change_role(member.principal, owner.id, Role.MEMBER),
        members.remove(member.principal, admin.id),
        members.transfer_ownership(member.principal, member.id),
    ):
        with pytest.raises(MissingScope):
            await refused
    handed = await members.transfer_ownership(owner.principal, admin.id)
    assert handed.role is Role.OWNER
    assert (await now(lonely.services, owner)).role is Role.ADMIN


async def test_people_of_other_teams_look_like_nobody(lonely: Running) -> None:
    owner = await a_person(lonely.services, Role.OWNER)
    stranger = await a_person(lonely.services, Role.OWNER, team_id=await other_team(lonely.database))
    answers = set()
    for user_id in (stranger.id, new_id()):
        for attempt in (
            lonely.services.memberships.remove(owner.principal, user_id),
            lonely.services.memberships.change_role(owner.principal, user_id, Role.ADMIN),
        ):
            with pytest.raises(NotFound) as refused:
                await attempt
            answers.add(refused.value.message)
        assert await lonely.services.memberships.get(owner.principal, user_id) is None
    assert len(answers) == 1
    page = await lonely.services.memberships.list(owner.principal, PageRequest(100))
    assert [member.user_id for member in page.items] == [owner.id]


async def test_removal_holds_at_once_and_takes_keys_and_invitations_along(lonely: Running) -> None:
    services = lonely.services
    owner, admin = await a_person(services, Role.OWNER), await a_person(services, Role.ADMIN)
    await services.teams.create(admin.principal, "another")
    made = await services.api_keys.create(admin.principal, "key", ALL_SCOPES, None)
    key = await services.auth.authenticate(made.text)
    invited = await services.invitations.create(admin.principal, "new@example.org", Role.MEMBER)
    await services.memberships.remove(owner.principal, admin.id)

    with pytest.raises(Unauthenticated):
        await services.auth.recheck(admin.principal)
    with pytest.raises(Unauthenticated):
        await services.auth.recheck(key)
    with pytest.raises(Unauthenticated):
        await services.auth.authenticate(made.text)
    with pytest.raises(NotFound):
        await services.invitations.look(invited.token)
    # the session lives on, in the other team
    elsewhere = await now(services, admin)
    assert (elsewhere.team_name, elsewhere.role) == ("another", Role.OWNER)


async def test_removal_on_another_replica_is_known_within_seconds(lonely: Running) -> None:
    person = await a_person(lonely.services)
    await lonely.services.auth.recheck(person.principal)
    await lonely.database.execute("DELETE FROM memberships WHERE user_id = $1", person.id)
    lonely.clock.offset += timedelta(seconds=BELIEVED_SECONDS)
    with pytest.raises(Unauthenticated):
        await lonely.services.auth.recheck(person.principal)


async def test_who_is_demoted_loses_what_they_gave_to_keys(lonely: Running) -> None:
    services = lonely.services
    owner, admin = await a_person(services, Role.OWNER), await a_person(services, Role.ADMIN)
    made = await services.api_keys.create(admin.principal, "key", ALL_SCOPES, None)
    key = await services.auth.authenticate(made.text)
    await services.memberships.change_role(owner.principal, admin.id, Role.MEMBER)
    with pytest.raises(Unauthenticated):
        await services.auth.recheck(key)
    assert (await services.auth.authenticate(made.text)).scopes == {Scope.READ, Scope.WRITE}
    with pytest.raises(MissingScope):
        await services.api_keys.create(await now(services, admin), "key", ALL_SCOPES, None)
    # a principal of a moment ago is no way around it
    with pytest.raises(MissingScope):
        await services.memberships.change_role(admin.principal, admin.id, Role.ADMIN)


async def test_who_is_no_owner_any_more_has_no_invitation_of_an_owner_left(lonely: Running) -> None:
    services = lonely.services
    for hand_over in (True, False):
        team_id = await other_team(lonely.database)
        one, two = [await a_person(services, Role.OWNER, team_id=team_id) for _ in range(2)]
        invited = await services.invitations.create(one.principal, "own@example.org", Role.OWNER)
        if hand_over:
            await services.memberships.transfer_ownership(one.principal, two.id)
        else:
            await services.memberships.change_role(two.principal, one.id, Role.ADMIN)
        with pytest.raises(NotFound):
            await services.invitations.look(invited.token)


async def test_an_invitation_by_a_key_ends_with_whoever_made_the_key(lonely: Running) -> None:
    services = lonely.services
    owner, admin = await a_person(services, Role.OWNER), await a_person(services, Role.ADMIN)
    made = await services.api_keys.create(admin.principal, "key", ALL_SCOPES, None)
    key = await services.auth.authenticate(made.text)
    second = await services.api_keys.create(key, "key of the key", ALL_SCOPES, None)
    invited = await services.invitations.create(key, "friend@example.org", Role.ADMIN)
    assert invited.invitation.invited_by == admin.email
    await services.memberships.remove(owner.principal, admin.id)
    with pytest.raises(NotFound):
        await services.invitations.look(invited.token)
    with pytest.raises(Unauthenticated):
        await services.auth.authenticate(second.text)


async def test_removing_and_promoting_at_once_ends_in_one_of_the_two(lonely: Running) -> None:
    services = lonely.services
    owner = await a_person(services, Role.OWNER)
    for _ in range(5):
        member = await a_person(services)
        results = await asyncio.gather(
            services.memberships.remove(owner.principal, member.id),
            services.memberships.change_role(owner.principal, member.id, Role.ADMIN),
            return_exceptions=True,
        )
        assert not isinstance(results[0], BaseException)
        assert not isinstance(results[1], BaseException) or isinstance(results[1], NestboxError)
        assert await services.memberships.get(owner.principal, member.id) is None
    assert await services.memberships.count(owner.principal) == 1
    assert owner.principal.team_id == DEFAULT_TEAM_ID
