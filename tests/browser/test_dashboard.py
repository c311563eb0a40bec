"""The first live page, driven in a browser against the real platform."""

import json

import pytest
from playwright.async_api import Page, WebSocketRoute, expect

from nestbox.demo.platform import Platform
from tests.browser.api import Api
from tests.browser.conftest import Complaints
from tests.browser.dashboard import Dashboard

pytestmark = [
    pytest.mark.vm,
    pytest.mark.system,
    pytest.mark.slow,
    pytest.mark.timeout(600),  # the first one of a computer builds the base image
    pytest.mark.asyncio(loop_scope="module"),
]

HOSTILE = "<img src=x onerror=alert(1)><script>alert(2)</script>"
REFUSED = "Failed to load resource: the server responded with a status of 401 (Unauthorized)"
STORED = "JSON.stringify(Object.values(sessionStorage)) + JSON.stringify(Object.values(localStorage)) + document.cookie"


async def test_a_wrong_key_is_refused_and_kept_nowhere(page: Page, complaints: Complaints) -> None:
    dashboard = Dashboard(page)
    await page.goto("/")
    await dashboard.sign_in("")
    await expect(page.get_by_role("alert")).to_have_text("Enter an API key first.")
    await dashboard.sign_in("nb_wrong_key")
    await expect(page.get_by_role("alert")).to_contain_text("API key")
    await expect(page.get_by_label("API key")).to_have_attribute("aria-invalid", "true")
    await dashboard.screenshot("sign-in-refused")
    assert "nb_wrong_key" not in page.url + await page.evaluate(STORED)
    # Chromium itself says that a request was refused; the page adds nothing
    assert complaints == [REFUSED]


async def test_a_person_lives_with_a_sandbox(page: Page, platform: Platform, api: Api, complaints: Complaints) -> None:
    dashboard = Dashboard(page)
    answer = await page.goto("/")
    assert answer is not None
    assert "unsafe" not in (await answer.header_value("content-security-policy") or "unsafe")
    await dashboard.sign_in(platform.key)
    await dashboard.is_live()
    await expect(page.get_by_text("No sandboxes yet")).to_be_visible()
    await expect(page.get_by_label("curl command").first).to_contain_text(f"curl {platform.url}/graphql")
    await dashboard.screenshot("empty")
    await page.evaluate("window.neverReloaded = true")

    await dashboard.create("n" * 101)
    await expect(page.get_by_role("dialog").get_by_role("alert").first).to_contain_text("too long")
    await dashboard.screenshot("create-refused")
    await page.get_by_role("button", name="Cancel").click()

    await dashboard.create("scratch", "team=web, tier=2")
    await dashboard.has_state("scratch", "Running")
    await expect(dashboard.panel("scratch")).to_contain_text("teamweb")

    hostile = await api.create(HOSTILE)
    await dashboard.has_state(HOSTILE, "Running")
    await expect(dashboard.row(HOSTILE)).to_contain_text(hostile)

    run = await dashboard.run("scratch", "echo '<b>bold</b>' | tee /dev/shm/kept; echo oops >&2; exit 3")
    await expect(run.get_by_label("stdout")).to_have_text("<b>bold</b>")
    await expect(run.get_by_label("stderr")).to_have_text("oops")
    await expect(run).to_contain_text("exit 3")
    await dashboard.run("scratch", "uname -a; python3 --version")
    await expect(dashboard.panel("scratch")).to_contain_text("exit 0")
    await dashboard.screenshot("running-light")

    await _pause_and_resume(dashboard)
    run = await dashboard.run("scratch", "cat /dev/shm/kept")
    await expect(run.get_by_label("stdout")).to_have_text("<b>bold</b>")
    await _look_at_it(dashboard)

    await api.delete(hostile)
    await expect(dashboard.row(HOSTILE)).to_have_count(0)
    await dashboard.action("scratch", "Delete").click()
    await expect(page.get_by_role("dialog")).to_contain_text("scratch")
    await page.get_by_role("button", name="Keep it").click()
    await dashboard.has_state("scratch", "Running")
    await dashboard.action("scratch", "Delete").click()
    await page.get_by_role("dialog").get_by_role("button", name="Delete", exact=True).click()
    await expect(page.get_by_text("No sandboxes yet")).to_be_visible()

    assert await page.evaluate("window.neverReloaded")
    assert platform.key not in page.url
    await page.get_by_role("button", name="Sign out").click()
    await expect(page.get_by_label("Password")).to_be_visible()
    assert platform.key not in await page.evaluate(STORED)
    assert complaints == []


async def _pause_and_resume(dashboard: Dashboard) -> None:
    """What cannot be done says why, in the words of the API."""
    resume = dashboard.action("scratch", "Resume")
    await expect(resume).to_be_disabled()
    await expect(resume).to_have_accessible_description("The sandbox is running.")
    await dashboard.action("scratch", "Pause").click()
    await dashboard.has_state("scratch", "Paused")
    await expect(dashboard.panel("scratch").get_by_role("button", name="Run")).to_be_disabled()
    await expect(dashboard.action("scratch", "Pause")).to_be_disabled()
    await dashboard.action("scratch", "Pause").hover()
    await expect(dashboard.row("scratch").get_by_role("tooltip").first).to_be_visible()
    await dashboard.screenshot("paused")
    await resume.click()
    await dashboard.has_state("scratch", "Running")


async def _look_at_it(dashboard: Dashboard) -> None:
    """Pictures for people, and the one thing that a machine can judge: nothing is wider than a telephone."""
    page = dashboard.page
    await page.emulate_media(color_scheme="dark")
    await dashboard.screenshot("running-dark")
    await page.set_viewport_size({"width": 1200, "height": 680})
    assert await _overhang(dashboard, "scratch") < 0, "the command box runs out of its card"
    await page.set_viewport_size({"width": 390, "height": 844})
    await dashboard.screenshot("panel-390-dark")
    await page.get_by_role("link", name="Close scratch").click()
    await expect(dashboard.panel("scratch")).to_have_count(0)
    await dashboard.screenshot("list-390-dark")
    await page.emulate_media(color_scheme="light")
    await dashboard.screenshot("list-390-light")
    assert await page.evaluate("document.documentElement.scrollWidth") <= 390
    await page.set_viewport_size({"width": 1360, "height": 860})


async def _overhang(dashboard: Dashboard, name: str) -> float:
    """By how many pixels the command box ends below the card that it is in."""
    card = await dashboard.panel(name).bounding_box()
    box = await dashboard.panel(name).get_by_role("region", name="Commands").bounding_box()
    assert card is not None
    assert box is not None
    return box["y"] + box["height"] - card["y"] - card["height"]


async def test_a_lost_connection_goes_on_where_it_was(
    page: Page, platform: Platform, api: Api, complaints: Complaints
) -> None:
    connections: list[WebSocketRoute] = []
    subscribed_after: list[str | None] = []

    def between(browser_side: WebSocketRoute) -> None:
        server_side = browser_side.connect_to_server()
        connections.append(browser_side)

        def sent(message: str | bytes) -> None:
            decoded = json.loads(message)
            if decoded["type"] == "subscribe":
                subscribed_after.append(decoded["payload"]["variables"]["after"])
            server_side.send(message)

        browser_side.on_message(sent)

    await page.route_web_socket("**/graphql", between)
    dashboard = Dashboard(page)
    await page.goto("/")
    await dashboard.sign_in(platform.key)
    await dashboard.is_live()
    await api.create("before")
    await dashboard.has_state("before", "Running")

    connection = page.get_by_role("banner").get_by_role("status")
    await connections[-1].close(code=1012, reason="restarting")
    await expect(connection).to_have_text("Reconnecting…")
    await expect(dashboard.row("before")).to_be_visible()
    await dashboard.is_live()
    await api.create("after")
    await dashboard.has_state("after", "Running")
    # (while it develops, React starts every effect twice; what is built does not)
    assert subscribed_after[0] is None
    assert subscribed_after[-1] is not None
    assert complaints == []


async def test_the_explorer_runs_queries_and_subscriptions(
    page: Page, platform: Platform, complaints: Complaints
) -> None:
    dashboard = Dashboard(page)
    await page.goto("/explorer")
    await dashboard.sign_in(platform.key)
    result = page.get_by_role("region", name="Result Window")
    execute = page.get_by_role("button", name="Execute")
    # it has read the operations, and offers them
    await expect(execute).to_have_attribute("aria-haspopup", "menu")
    await execute.click()
    await page.get_by_role("menuitem", name="Sandboxes").click()
    await expect(result).to_contain_text('"totalCount": 0')
    await execute.click()
    await page.get_by_role("menuitem", name="Watch").click()
    await expect(result).to_contain_text("SandboxesReset")
    await dashboard.screenshot("explorer")
    await page.get_by_role("button", name="Stop").click()
    # menus and dialogs bring styles of their own, which the policy would refuse if they came as elements
    await page.get_by_role("button", name="settings").click()
    await expect(page.get_by_role("dialog")).to_be_visible()
    await dashboard.screenshot("explorer-settings")
    assert platform.key not in page.url
    assert complaints == []
