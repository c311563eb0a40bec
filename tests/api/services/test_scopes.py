"""Every service looks at the scope before anything else: an id that does not exist makes no difference."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime

import pytest

from api.domain.command import ExecCommand
from api.domain.page import PageRequest
from api.domain.principal import Principal, Role, Scope, with_included
from api.domain.sandbox import CreateSandbox, ForkSandbox, SandboxFilter
from api.domain.template import TemplateFilter
from api.errors import Invalid, MissingScope, NotFound, Unavailable
from api.ids import new_id
from api.services.services import Services
from tests.api.running import Running, principal_of

Call = Callable[[Services, Principal], Awaitable[object]]
PAGE = PageRequest(1)
ID = new_id()


async def _nothing() -> AsyncIterator[bytes]:
    yield b""


CALLS: list[tuple[Scope, str, Call]] = [
    (Scope.READ, "sandbox", lambda s, p: s.sandboxes.get(p, ID)),
    (Scope.READ, "sandboxes by id", lambda s, p: s.sandboxes.get_many(p, [ID])),
    (Scope.READ, "sandboxes", lambda s, p: s.sandboxes.list(p, SandboxFilter(), PAGE)),
    (Scope.READ, "count of sandboxes", lambda s, p: s.sandboxes.count(p, SandboxFilter())),
    (Scope.READ, "operation", lambda s, p: s.operations.get(p, ID)),
    (Scope.READ, "newest operations", lambda s, p: s.operations.latest(p, [ID])),
    (Scope.READ, "parents", lambda s, p: s.sandboxes.parents(p, [ID])),
    (Scope.READ, "made templates", lambda s, p: s.templates.made(p, [ID])),
    (Scope.READ, "actions of templates", lambda s, p: s.templates.allowed_actions(p, [])),
    (Scope.READ, "template", lambda s, p: s.templates.get(p, ID)),
    (Scope.READ, "template by name", lambda s, p: s.templates.get_by_name(p, "base")),
    (Scope.READ, "templates", lambda s, p: s.templates.list(p, TemplateFilter(), PAGE)),
    (Scope.READ, "count of templates", lambda s, p: s.templates.count(p, TemplateFilter())),
    (Scope.READ, "usage", lambda s, p: s.usages.of_team(p)),
    (Scope.READ, "live sandbox", lambda s, p: anext(s.feed.sandbox(p, ID))),
    (Scope.READ, "live sandboxes", lambda s, p: anext(s.feed.sandboxes(p, SandboxFilter()))),
    (Scope.READ, "file", lambda s, p: s.files.open(p, ID, "/etc/passwd")),
    (Scope.READ, "team", lambda s, p: s.teams.own(p)),
    (Scope.READ, "members", lambda s, p: s.memberships.list(p, PAGE)),
    (Scope.READ, "member", lambda s, p: s.memberships.get(p, ID)),
    (Scope.READ, "count of members", lambda s, p: s.memberships.count(p)),
    (Scope.WRITE, "create", lambda s, p: s.sandboxes.create(p, CreateSandbox())),
    (Scope.WRITE, "pause", lambda s, p: s.sandboxes.pause(p, ID)),
    (Scope.WRITE, "resume", lambda s, p: s.sandboxes.resume(p, ID)),
    (Scope.WRITE, "start", lambda s, p: s.sandboxes.start(p, ID)),
    (Scope.WRITE, "delete", lambda s, p: s.sandboxes.delete(p, ID)),
    (Scope.WRITE, "fork", lambda s, p: s.forks.create(p, ForkSandbox(ID, 1))),
    (Scope.WRITE, "new template", lambda s, p: s.templates.create(p, ID, "mine")),
    (Scope.WRITE, "delete template", lambda s, p: s.templates.delete(p, ID)),
    (Scope.WRITE, "ping", lambda s, p: s.sandboxes.ping(p, ID)),
    (Scope.WRITE, "timeout", lambda s, p: s.timeouts.set(p, ID, 60)),
    (Scope.WRITE, "exec", lambda s, p: s.exec.run(p, ID, ExecCommand(argv=("true",)))),
    (Scope.WRITE, "write", lambda s, p: s.files.write(p, ID, "/x", _nothing())),
    (Scope.TEAM_ADMIN, "keys", lambda s, p: s.api_keys.list(p, PAGE)),
    (Scope.TEAM_ADMIN, "count of keys", lambda s, p: s.api_keys.count(p)),
    (Scope.TEAM_ADMIN, "key", lambda s, p: s.api_keys.get(p, ID)),
    (Scope.TEAM_ADMIN, "new key", lambda s, p: s.api_keys.create(p, "k", frozenset({Scope.READ}), None)),
    (Scope.TEAM_ADMIN, "revoke key", lambda s, p: s.api_keys.revoke(p, ID)),
    (Scope.TEAM_ADMIN, "invitations", lambda s, p: s.invitations.list(p, PAGE)),
    (Scope.TEAM_ADMIN, "count of invitations", lambda s, p: s.invitations.count(p)),
    (Scope.TEAM_ADMIN, "invite", lambda s, p: s.invitations.create(p, "x@example.org", Role.MEMBER)),
    (Scope.TEAM_ADMIN, "take back", lambda s, p: s.invitations.revoke(p, ID)),
    (Scope.TEAM_ADMIN, "change role", lambda s, p: s.memberships.change_role(p, ID, Role.MEMBER)),
    (Scope.TEAM_ADMIN, "remove", lambda s, p: s.memberships.remove(p, ID)),
]


@pytest.mark.parametrize(("scope", "name", "call"), CALLS, ids=[name for _, name, _ in CALLS])
async def test_a_scope_is_needed_and_enough(lonely: Running, scope: Scope, name: str, call: Call) -> None:
    principal = await principal_of(lonely.services)
    enough = with_included({scope})
    with pytest.raises(MissingScope):
        await call(lonely.services, replace(principal, scopes=enough - {scope}))
    with suppress(NotFound, Unavailable):
        await call(lonely.services, replace(principal, scopes=enough))


def test_each_scope_includes_those_before_it() -> None:
    assert with_included([]) == frozenset()
    assert with_included([Scope.READ]) == {Scope.READ}
    assert with_included([Scope.TEAM_ADMIN]) == set(Scope)


async def test_a_key_gives_no_more_than_it_has(lonely: Running) -> None:
    keys = lonely.services.api_keys
    admin = await principal_of(lonely.services)
    made = await keys.create(admin, "reader", frozenset({Scope.READ}), None)
    reader = await lonely.services.auth.authenticate(made.text)
    assert reader.scopes == {Scope.READ}
    assert not (await lonely.services.auth.authenticate(made.text)).is_platform_admin
    for bad in (
        keys.create(admin, "", frozenset(Scope), None),
        keys.create(admin, "k\0", frozenset(Scope), None),
        keys.create(admin, "k", frozenset(), None),
        keys.create(admin, "k", frozenset(Scope), datetime(2020, 1, 1, tzinfo=UTC)),
    ):
        with pytest.raises(Invalid):
            await bad


async def test_the_command_line_makes_keys_with_fewer_scopes(lonely: Running) -> None:
    made = await lonely.services.api_keys.make(
        "reader", team_id=lonely.principal.team_id, is_platform_admin=False, scopes=frozenset({Scope.WRITE})
    )
    assert (await lonely.services.auth.authenticate(made)).scopes == {Scope.READ, Scope.WRITE}
