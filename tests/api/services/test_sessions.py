"""Signing in, sessions, and how often passwords may be tried."""

import asyncio
from datetime import timedelta

import pytest

from api.db.login_attempts import PERIOD
from api.domain.principal import ALL_SCOPES, NO_TEAM_ID, Role, Scope
from api.domain.session import SESSION_IDLE, SESSION_LIFE, SESSIONS_PER_USER_MAX
from api.errors import Conflict, Forbidden, Invalid, MissingScope, NestboxError, NotFound, TooMany, Unauthenticated
from api.ids import DEFAULT_TEAM_ID
from api.services.beliefs import BELIEVED_SECONDS
from api.services.throttle import SUCCESSES_MAX, TRIES_MAX, TRIES_PER_ACCOUNT_MAX, network_of
from tests.api.people import ADDRESS, a_person, now
from tests.api.running import Running, other_team, principal_of, services_running


async def _tried(running: Running, email: str, password: str, address: str = ADDRESS) -> str:
    try:
        await running.services.users.prove(email, password, address)
    except NestboxError as error:
        return error.code
    return "ok"


async def test_a_person_acts_for_their_team_with_the_scopes_of_their_role(lonely: Running) -> None:
    owner, member = await a_person(lonely.services, Role.OWNER), await a_person(lonely.services)
    assert (owner.principal.team_id, owner.principal.scopes) == (DEFAULT_TEAM_ID, ALL_SCOPES)
    assert member.principal.scopes == {Scope.READ, Scope.WRITE}
    assert owner.principal.actor == f"usr-{owner.id}"
    await lonely.services.auth.recheck(owner.principal)


async def test_of_passwords_and_tokens_only_hashes_are_kept(lonely: Running) -> None:
    person = await a_person(lonely.services)
    rows = await lonely.database.fetch("SELECT u::text || s::text AS everything FROM users u, sessions s")
    secret = person.token.split("_")[1]
    assert rows
    assert all(person.password not in row["everything"] and secret not in row["everything"] for row in rows)
    assert "$argon2id$" in rows[0]["everything"]


async def test_signing_in_again_makes_another_token_and_ends_the_one_that_the_browser_had(lonely: Running) -> None:
    person = await a_person(lonely.services)
    begun = await lonely.services.sessions.begin(person.account, instead_of=person.token)
    assert begun.token != person.token
    with pytest.raises(Unauthenticated):
        await now(lonely.services, person)
    # a token that somebody made up and slipped into the browser is no session, before or after
    made_up = begun.token[:-4] + "aaaa"
    begun = await lonely.services.sessions.begin(person.account, instead_of=made_up)
    assert begun.token != made_up
    for token in (made_up, "", "nonsense", "\0", begun.token + "a", begun.token.upper()):
        with pytest.raises(Unauthenticated):
            await lonely.services.auth.authenticate_session(token)


async def test_a_wrong_password_an_unknown_and_a_deactivated_account_look_the_same(lonely: Running) -> None:
    person = await a_person(lonely.services)
    gone = await a_person(lonely.services)
    await lonely.database.execute("UPDATE users SET deactivated_at = now() WHERE id = $1", gone.id)
    answers = set()
    for number, (email, password) in enumerate(
        [(person.email, "wrong password"), ("nobody@example.org", person.password), (gone.email, gone.password)]
    ):
        with pytest.raises(Unauthenticated) as refused:
            await lonely.services.users.prove(email, password, f"192.0.2.{number}")
        answers.add((refused.value.code, refused.value.message))
    assert len(answers) == 1


async def test_five_tries_a_minute_for_an_account_from_an_address(lonely: Running) -> None:
    person = await a_person(lonely.services)
    codes = await asyncio.gather(*(_tried(lonely, person.email.upper(), "wrong password") for _ in range(20)))
    assert (codes.count("WRONG_CREDENTIALS"), codes.count("THROTTLED")) == (TRIES_MAX, 20 - TRIES_MAX)
    assert await _tried(lonely, person.email, person.password) == "THROTTLED"
    # whose account it is comes from elsewhere, and is not kept out
    assert await _tried(lonely, person.email, person.password, "192.0.2.99") == "ok"
    lonely.clock.offset += PERIOD
    assert await _tried(lonely, person.email, person.password) == "ok"


async def test_tries_for_an_account_have_a_limit_from_however_many_addresses(lonely: Running) -> None:
    person = await a_person(lonely.services)
    codes = []
    for number in range(TRIES_PER_ACCOUNT_MAX // TRIES_MAX + 1):
        codes += [await _tried(lonely, person.email, "wrong password", f"192.0.2.{number}") for _ in range(TRIES_MAX)]
    assert codes == ["WRONG_CREDENTIALS"] * TRIES_PER_ACCOUNT_MAX + ["THROTTLED"] * TRIES_MAX
    assert await _tried(lonely, person.email, person.password, "192.0.2.99") == "THROTTLED"
    lonely.clock.offset += PERIOD
    assert await _tried(lonely, person.email, person.password, "192.0.2.99") == "ok"


async def test_five_tries_a_minute_from_an_address_whatever_the_account(lonely: Running) -> None:
    codes = [await _tried(lonely, f"x{number}@example.org", "wrong password") for number in range(TRIES_MAX + 1)]
    assert codes == ["WRONG_CREDENTIALS"] * TRIES_MAX + ["THROTTLED"]
    assert await _tried(lonely, "x@example.org", "wrong password", "2001:db8::1") == "WRONG_CREDENTIALS"
    # what was tried long ago is forgotten
    lonely.clock.offset += 2 * PERIOD
    await _tried(lonely, "y@example.org", "wrong password")
    assert await lonely.database.fetchval("SELECT count(*) FROM login_attempts") == 2


async def test_good_passwords_count_apart_for_an_account_and_from_an_address(lonely: Running) -> None:
    one, two, three = [await a_person(lonely.services) for _ in range(3)]
    lonely.clock.offset += PERIOD
    for _ in range(SUCCESSES_MAX):
        assert await _tried(lonely, one.email, one.password) == "ok"
    assert await _tried(lonely, one.email, one.password, "192.0.2.99") == "THROTTLED"
    assert await _tried(lonely, two.email, two.password) == "THROTTLED"
    assert await _tried(lonely, three.email, three.password, "192.0.2.99") == "ok"
    # beyond the limit a good one counts as one that failed, so that no work is done for it without end
    codes = [await _tried(lonely, one.email, "wrong password") for _ in range(TRIES_MAX)]
    assert codes == ["WRONG_CREDENTIALS"] * (TRIES_MAX - 1) + ["THROTTLED"]
    lonely.clock.offset += PERIOD
    assert await _tried(lonely, one.email, one.password) == "ok"


def test_an_address_is_a_network_where_people_have_networks() -> None:
    assert network_of("192.0.2.7") == network_of("::ffff:192.0.2.7") == "192.0.2.7"
    assert network_of("2001:db8::1") == network_of("2001:db8::ffff") != network_of("2001:db8:0:1::1")
    assert network_of("no address") == "no address"


@pytest.mark.parametrize(
    ("email", "password"),
    [
        ("", "x"),
        ("no-at", "x"),
        ("a@b@c", "x"),
        ("a b@c", "x"),
        ("a\0@b", "x"),
        ("a@b\n", "\0"),
        ("\ud800@b.c", "x"),
        ("a" * 255 + "@b", "x"),
        ("a@b.c", "x" * 10_000_000),
        ("a@b.c", "\0"),
        ("a@b.c", "\ud800"),
    ],
)
async def test_what_no_account_can_have_is_refused_before_anything_is_hashed(
    lonely: Running, email: str, password: str
) -> None:
    with pytest.raises(Invalid):
        await lonely.services.users.prove(email, password, ADDRESS)
    assert await lonely.database.fetchval("SELECT count(*) FROM login_attempts") == 0


async def test_an_address_is_found_however_it_is_typed(lonely: Running) -> None:
    person = await a_person(lonely.services, email="Zoë@Пример.example")
    for typed in ("ZOË@пример.EXAMPLE", "zoe\u0308@пример.example", " zoë@пример.example "):
        assert (await lonely.services.users.prove(typed, person.password, ADDRESS)).user.id == person.id


async def test_a_session_ends_by_itself(lonely: Running) -> None:
    idle, busy = await a_person(lonely.services), await a_person(lonely.services)
    step = SESSION_IDLE - timedelta(days=1)
    while lonely.clock.offset + step < SESSION_LIFE:
        lonely.clock.offset += step
        await now(lonely.services, busy)
    with pytest.raises(Unauthenticated):
        await now(lonely.services, idle)
    lonely.clock.offset += step
    with pytest.raises(Unauthenticated):
        await now(lonely.services, busy)


async def test_a_person_has_only_so_many_sessions(lonely: Running) -> None:
    person = await a_person(lonely.services)
    for _ in range(SESSIONS_PER_USER_MAX):
        await lonely.services.sessions.begin(person.account)
    lonely.services.sessions.forget()
    with pytest.raises(Unauthenticated):
        await now(lonely.services, person)
    live = "SELECT count(*) FROM sessions WHERE revoked_at IS NULL"
    assert await lonely.database.fetchval(live) == SESSIONS_PER_USER_MAX


async def test_a_new_password_ends_the_other_sessions(lonely: Running) -> None:
    person = await a_person(lonely.services)
    other = await lonely.services.sessions.begin(person.account)
    change = lonely.services.users.change_password
    with pytest.raises(Forbidden) as wrong:
        await change(person.principal, "not the password", "a new password", ADDRESS)
    assert wrong.value.code == "WRONG_PASSWORD"
    for new in ("short", "x" * 1025, "with a \0 in it"):
        with pytest.raises(Invalid):
            await change(person.principal, person.password, new, ADDRESS)
    await change(person.principal, person.password, "пароль пароль", ADDRESS)
    await now(lonely.services, person)
    with pytest.raises(Unauthenticated):
        await lonely.services.auth.authenticate_session(other.token)
    assert await _tried(lonely, person.email, person.password) == "WRONG_CREDENTIALS"
    assert await _tried(lonely, person.email, "пароль пароль") == "ok"
    # a stolen session guesses no faster than anybody
    for _ in range(TRIES_MAX - 2):
        with pytest.raises(Forbidden):
            await change(person.principal, "not the password", "a new password", ADDRESS)
    with pytest.raises(TooMany):
        await change(person.principal, "not the password", "a new password", ADDRESS)


async def test_a_session_acts_for_the_team_that_it_is_switched_to(lonely: Running) -> None:
    person = await a_person(lonely.services)
    made = await lonely.services.teams.create(person.principal, "mine")
    assert (await now(lonely.services, person)).team_id == DEFAULT_TEAM_ID
    await lonely.services.sessions.switch_team(person.principal, made.id)
    switched = await now(lonely.services, person)
    assert (switched.team_id, switched.team_name, switched.role) == (made.id, "mine", Role.OWNER)
    # what it had begun for the other team goes on
    await lonely.services.auth.recheck(person.principal)
    with pytest.raises(NotFound):
        await lonely.services.sessions.switch_team(switched, await other_team(lonely.database))
    with pytest.raises(Forbidden):
        await lonely.services.sessions.switch_team(await principal_of(lonely.services), made.id)


async def test_how_many_teams_people_make_can_be_limited(database_url: str) -> None:
    async with services_running(database_url, reconcile=False, teams_per_user=2) as running:
        person = await a_person(running.services)
        await running.services.teams.create(person.principal, "the second")
        with pytest.raises(Conflict) as refusal:
            await running.services.teams.create(person.principal, "the third")
        assert refusal.value.code == "LIMIT_REACHED"
    async with services_running(database_url, reconcile=False, teams_per_user=0) as running:
        with pytest.raises(Forbidden, match="admins of this platform") as forbidden:
            await running.services.teams.create(person.principal, "mine")
        assert forbidden.value.code == "FORBIDDEN"
        # also for whoever is in no team at all
        await running.services.memberships.leave(person.principal, DEFAULT_TEAM_ID)
        with pytest.raises(Forbidden):
            await running.services.teams.create(await now(running.services, person), "mine")
        admin = await a_person(running.services, admin=True)
        await running.services.teams.create(admin.principal, "of an admin")


async def test_somebody_in_no_team_can_do_nothing_but_make_one(lonely: Running) -> None:
    person = await a_person(lonely.services)
    await lonely.services.memberships.leave(person.principal, DEFAULT_TEAM_ID)
    alone = await now(lonely.services, person)
    assert (alone.team_id, alone.scopes, alone.role) == (NO_TEAM_ID, frozenset(), None)
    with pytest.raises(MissingScope, match="no team"):
        await lonely.services.teams.own(alone)
    made = await lonely.services.teams.create(alone, "mine")
    assert (await now(lonely.services, person)).team_id == made.id


async def test_a_session_ended_elsewhere_is_over_within_seconds(lonely: Running) -> None:
    person = await a_person(lonely.services)
    await lonely.database.execute("UPDATE sessions SET revoked_at = now() WHERE user_id = $1", person.id)
    lonely.clock.offset += timedelta(seconds=BELIEVED_SECONDS)
    with pytest.raises(Unauthenticated):
        await lonely.services.auth.recheck(person.principal)
    with pytest.raises(Unauthenticated):
        await now(lonely.services, person)
