"""Refusals that anybody can get without end do not fill the audit log."""

from collections import Counter
from dataclasses import replace
from datetime import timedelta

import pytest

from api.domain.principal import Principal, Scope
from api.errors import Conflict, Forbidden, MissingScope, NestboxError, NotFound
from api.services import audit
from api.services.audit import REFUSAL_REPEATED_SECONDS, Deed
from tests.api.running import Running, principal_of


async def _refused(running: Running, principal: Principal, error: NestboxError, action: str = "pauseSandbox") -> None:
    with pytest.raises(type(error)):
        async with running.services.audit.doing(Deed.of(principal, action, request_id="", address="")):
            raise error


async def _told(running: Running, principal: Principal, code: str, action: str = "pauseSandbox") -> None:
    """The same of an error that is in the payload of a mutation."""
    async with running.services.audit.doing(Deed.of(principal, action, request_id="", address="")) as deed:
        deed.result = code


async def _lines(running: Running) -> Counter[tuple[str, str]]:
    """How many there are of each; those of one millisecond have no order."""
    rows = await running.database.fetch("SELECT action, result FROM audit_log")
    return Counter((row["action"], row["result"]) for row in rows)


async def test_a_refusal_for_want_of_rights_is_written_once_a_minute(lonely: Running) -> None:
    for _ in range(5):
        await _refused(lonely, lonely.principal, MissingScope("no"))
        await _told(lonely, lonely.principal, "FORBIDDEN")
    expected = Counter({("pauseSandbox", "MISSING_SCOPE"): 1, ("pauseSandbox", "FORBIDDEN"): 1})
    assert await _lines(lonely) == expected
    # another action, and another actor, are told of
    await _refused(lonely, lonely.principal, MissingScope("no"), "deleteSandbox")
    await _refused(lonely, await principal_of(lonely.services), MissingScope("no"), "deleteSandbox")
    expected["deleteSandbox", "MISSING_SCOPE"] = 2
    assert await _lines(lonely) == expected
    lonely.clock.offset += timedelta(seconds=REFUSAL_REPEATED_SECONDS)
    for _ in range(2):
        await _refused(lonely, lonely.principal, Forbidden("no"))
    expected["pauseSandbox", "FORBIDDEN"] += 1
    assert await _lines(lonely) == expected


async def test_all_else_is_written_each_time(lonely: Running) -> None:
    for _ in range(2):
        await _refused(lonely, lonely.principal, NotFound("none"))
        await _refused(lonely, lonely.principal, Conflict("not now"))
        await _told(lonely, lonely.principal, "OK")
    assert await _lines(lonely) == {("pauseSandbox", result): 2 for result in ("NOT_FOUND", "CONFLICT", "OK")}


async def test_who_may_only_read_leaves_one_line_a_minute_of_each_kind(lonely: Running) -> None:
    reader = replace(lonely.principal, scopes=frozenset({Scope.READ}))
    for _ in range(3):
        await _refused(lonely, reader, NotFound("none"))
        await _told(lonely, reader, "MALFORMED_ID")
        await _told(lonely, reader, "OK")
    found = await _lines(lonely)
    counts = [found["pauseSandbox", result] for result in ("NOT_FOUND", "MALFORMED_ID", "OK")]
    assert counts == [1, 1, 1]


async def test_only_so_many_refusals_are_remembered(lonely: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(audit, "REFUSALS_REMEMBERED_MAX", 2)
    for action in ("a", "b", "c", "c", "a"):
        await _refused(lonely, lonely.principal, Forbidden("no"), action)
    assert await _lines(lonely) == {("a", "FORBIDDEN"): 2, ("b", "FORBIDDEN"): 1, ("c", "FORBIDDEN"): 1}
