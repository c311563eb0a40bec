"""Templates, hosts and health, as they are read."""

import pytest

from api.domain.page import page_request
from api.domain.template import TemplateFilter, TemplateType
from api.errors import Forbidden
from api.ids import BASE_TEMPLATE_ID, DEFAULT_TEAM_ID, new_id
from tests.api.running import Running, principal_of


async def test_the_platforms_template_is_everybodys(lonely: Running) -> None:
    templates = lonely.services.templates
    base = await templates.get(lonely.principal, BASE_TEMPLATE_ID)
    assert base is not None
    assert (base.name, base.type, base.disk_size_mb) == ("base", TemplateType.BASE, 5120)
    assert await templates.get_by_name(lonely.principal, "base") == base
    assert await templates.get_by_name(lonely.principal, "none") is None
    assert (await templates.list(lonely.principal, TemplateFilter(), page_request())).items == (base,)
    assert await templates.count(lonely.principal, TemplateFilter(type=TemplateType.SNAPSHOT)) == 0


async def test_a_teams_own_template_goes_before_the_platforms(lonely: Running) -> None:
    own = new_id()
    await lonely.database.execute(
        "INSERT INTO templates (id, team_id, name, description, type, disk_size_mb, created_at) "
        "VALUES ($1, $2, 'base', '', 'base', 5120, now())",
        own,
        DEFAULT_TEAM_ID,
    )
    found = await lonely.services.templates.get_by_name(lonely.principal, "base")
    assert found is not None
    assert found.id == own
    request = page_request(first=1)
    first = await lonely.services.templates.list(lonely.principal, TemplateFilter(), request)
    assert (len(first.items), first.has_next) == (1, True)


async def test_hosts_are_for_platform_admins(running: Running) -> None:
    sandbox = await running.created()
    with pytest.raises(Forbidden):
        await running.services.hosts.list(running.principal)
    admin = await principal_of(running.services, admin=True)
    (host,) = await running.services.hosts.list(admin)
    assert (host.id, host.driver, host.reachable, host.sandbox_count) == (sandbox.host_id, "simulated", True, 1)
    assert await running.services.hosts.get(admin, host.id) == host
    assert await running.services.hosts.get(admin, new_id()) is None


async def test_a_replica_without_a_host_is_not_ready(lonely: Running) -> None:
    assert [(check.name, check.ok) for check in await lonely.services.health.ready()] == [
        ("database", True),
        ("hosts", False),
    ]
