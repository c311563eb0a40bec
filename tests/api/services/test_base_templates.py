"""The platform's base templates: every team's at once, and nobody's to remove while a sandbox stands on them."""

import asyncio

import pytest

from api.domain.page import page_request
from api.domain.sandbox import CreateSandbox
from api.domain.template import TemplateFilter, TemplateType
from api.errors import Conflict, Invalid, NotFound
from api.ids import BASE_TEMPLATE_ID, PLATFORM_TEAM_ID, new_id
from tests.api.running import Running, other_team, principal_of

SIZE_MB = 5120


async def test_one_that_is_added_is_every_teams_at_once(lonely: Running) -> None:
    services = lonely.services
    assert await services.base_templates.add("node", "Debian 12 with Node.js.", SIZE_MB)
    stranger = await principal_of(services, await other_team(lonely.database))
    for principal in (lonely.principal, stranger):
        found = await services.templates.get_by_name(principal, "node")
        assert found is not None
        assert (found.type, found.disk_size_mb, found.team_id) == (TemplateType.BASE, SIZE_MB, PLATFORM_TEAM_ID)
        assert (found.description, found.vcpus, found.memory_mb) == ("Debian 12 with Node.js.", None, None)
        assert await services.templates.get(principal, found.id) == found
    listed = await services.base_templates.list()
    assert [(template.name, sandboxes) for template, sandboxes in listed] == [("base", 0), ("node", 0)]


async def test_adding_it_again_changes_nothing(lonely: Running) -> None:
    templates = lonely.services.base_templates
    added = await asyncio.gather(*(templates.add("node", f"number {number}", SIZE_MB) for number in range(10)))
    assert sorted(added) == [*[False] * 9, True]
    assert [template.name for template, _ in await templates.list()] == ["base", "node"]


@pytest.mark.parametrize("name", ["", "a" * 201, "two\nlines", "nul\0"])
async def test_bad_names_are_refused(lonely: Running, name: str) -> None:
    with pytest.raises(Invalid):
        await lonely.services.base_templates.add(name, "", SIZE_MB)


async def test_the_built_in_one_can_be_neither_replaced_nor_removed(lonely: Running) -> None:
    for work in (
        lonely.services.base_templates.add("base", "", SIZE_MB),
        lonely.services.base_templates.remove("base"),
    ):
        with pytest.raises(Conflict, match="built in"):
            await work
    assert await lonely.services.templates.get(lonely.principal, BASE_TEMPLATE_ID) is not None


async def test_it_is_kept_while_a_sandbox_stands_on_it(running: Running) -> None:
    services, principal = running.services, running.principal
    await services.base_templates.add("node", "", SIZE_MB)
    one, two = await running.created(), await running.created()
    # simulated machines know the built-in template only
    await running.database.execute("UPDATE sandboxes SET template_id = (SELECT id FROM templates WHERE name = 'node')")
    await services.sandboxes.pause(principal, two.id)
    with pytest.raises(Conflict, match="in use by 2 sandboxes") as refused:
        await services.base_templates.remove("node")
    assert refused.value.code == "TEMPLATE_IN_USE"
    await services.sandboxes.delete(principal, one.id)
    with pytest.raises(Conflict, match="in use by 1 sandbox,"):
        await services.base_templates.remove("node")
    assert [sandboxes for _, sandboxes in await services.base_templates.list()] == [0, 1]
    await services.sandboxes.delete(principal, two.id)
    await services.base_templates.remove("node")
    assert await services.templates.get_by_name(principal, "node") is None
    with pytest.raises(NotFound):
        await services.sandboxes.create(principal, CreateSandbox(template_name="node"))
    with pytest.raises(NotFound):
        await services.base_templates.remove("node")
    assert await services.base_templates.add("node", "again", SIZE_MB)
    assert (await services.templates.list(principal, TemplateFilter(name="node"), page_request())).items[0].id != two.id


async def test_a_teams_own_template_of_the_name_is_not_touched(lonely: Running) -> None:
    await lonely.database.execute(
        "INSERT INTO templates (id, team_id, name, description, type, disk_size_mb, created_at) "
        "VALUES ($1, $2, 'node', 'ours', 'base', 5120, now())",
        new_id(),
        lonely.principal.team_id,
    )
    await lonely.services.base_templates.add("node", "everybody's", SIZE_MB)
    await lonely.services.base_templates.remove("node")
    found = await lonely.services.templates.get_by_name(lonely.principal, "node")
    assert found is not None
    assert found.description == "ours"
