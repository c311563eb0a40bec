"""HTML and script in every field that somebody can fill, on every page that shows it to somebody else."""

import pytest
from playwright.async_api import Page, expect

from nestbox.demo.platform import Platform
from tests.browser.api import Api
from tests.browser.conftest import Complaints
from tests.browser.dashboard import Dashboard

pytestmark = [
    pytest.mark.vm,
    pytest.mark.system,
    pytest.mark.slow,
    pytest.mark.timeout(600),
    pytest.mark.asyncio(loop_scope="module"),
]

FIELDS = ("name", "key", "value", "description", "apikey")
MADE = "document.querySelectorAll('img[src=x], b.bad, [onerror], main script').length"


def hostile(field: str) -> str:
    """A text that would be seen to have become HTML, or to have run."""
    return f"<img src=x onerror=alert('{field}')><b class=bad>{field}</b><script>alert(1)</script>"


CREATE = """mutation ($name: String!, $key: String!, $value: String!) {
    createSandbox(input: {name: $name, labels: [{key: $key, value: $value}]}) {
        sandbox { id } userErrors { code message } } }"""
TEMPLATE = """mutation ($id: ID!, $description: String!) {
    createTemplate(input: {sandboxId: $id, name: "hostile", description: $description}) {
        userErrors { code message } } }"""
KEY = """mutation ($name: String!) {
    createApiKey(input: {name: $name, scopes: [READ]}) { userErrors { code message } } }"""
REMOVE = """query { templates(filter: {type: SNAPSHOT}) { nodes { id } } }"""


async def test_html_and_script_are_shown_as_text_in_every_field(
    page: Page, platform: Platform, api: Api, complaints: Complaints
) -> None:
    texts = {field: hostile(field) for field in FIELDS}
    labelled = {"name": texts["name"], "key": texts["key"][:120], "value": texts["value"]}
    created = (await api.run(CREATE, **labelled))["createSandbox"]
    assert created["userErrors"] == []
    sandbox_id = created["sandbox"]["id"]
    made = (await api.run(TEMPLATE, id=sandbox_id, description=texts["description"]))["createTemplate"]
    assert made["userErrors"] == []
    assert (await api.run(KEY, name=texts["apikey"]))["createApiKey"]["userErrors"] == []

    dashboard = Dashboard(page)
    await page.goto("/")
    await dashboard.sign_in(platform.key)
    await dashboard.is_live()
    await page.get_by_role("link", name=texts["name"], exact=True).click()
    panel = dashboard.panel(texts["name"])
    for text in labelled.values():
        await expect(panel).to_contain_text(text)
    run = await dashboard.run(texts["name"], f'echo "{texts["value"]}" >&2; printf "\\033[2J\\033]0;x\\007"')
    await expect(run.get_by_label("stderr")).to_contain_text("<b class=bad>")
    assert await page.evaluate(MADE) == 0
    for link, text in (("Templates", texts["description"]), ("Team", texts["apikey"])):
        await page.get_by_role("link", name=link, exact=True).click()
        await expect(page.get_by_role("main")).to_contain_text(text)
        assert await page.evaluate(MADE) == 0
    assert complaints == []

    await api.delete(sandbox_id)
    for template in (await api.run(REMOVE))["templates"]["nodes"]:
        await api.run("mutation ($id: ID!) { deleteTemplate(input: {id: $id}) { userErrors { code } } }", **template)
