"""Signing in by password, teams, invitations and keys, driven in two browsers against the real platform."""

import re

import pytest
import pytest_asyncio
from playwright.async_api import Browser, BrowserContext, Page, expect

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

PASSWORD = "correct horse battery"
STORED = "JSON.stringify(Object.values(sessionStorage)) + JSON.stringify(Object.values(localStorage)) + document.cookie"
REFUSED = re.compile("the server responded with a status of (401|404)")


@pytest_asyncio.fixture(loop_scope="module")
async def other_page(browser: Browser, platform: Platform, complaints: Complaints) -> Page:
    """A page of another person's browser."""
    profile = await browser.new_context(base_url=platform.url, viewport={"width": 1360, "height": 860})
    page = await profile.new_page()
    complaints.watch(page)
    return page


async def _invite(page: Page, email: str, role: str) -> str:
    """Makes an invitation on the page of the team; its link."""
    await page.get_by_role("button", name="Invite somebody").click()
    dialog = page.get_by_role("dialog")
    await dialog.get_by_label("Email").fill(email)
    await dialog.get_by_label("Role").select_option(role)
    await dialog.get_by_role("button", name="Make a link").click()
    link = await page.get_by_label("invitation link", exact=True).inner_text()
    await Dashboard(page).screenshot("invitation-link")
    await page.get_by_role("button", name="Done").click()
    return link


async def test_people_join_a_team_act_in_it_and_are_removed(
    page: Page, other_page: Page, context: BrowserContext, platform: Platform, api: Api, complaints: Complaints
) -> None:
    admin_email = "admin@example.org"
    first = await api.invite(admin_email, "ADMIN")
    await _join(page, platform.url + first, "Ada Admin")
    assert PASSWORD not in await page.evaluate(STORED)
    assert await page.evaluate("document.cookie") == ""
    await Dashboard(page).is_live()

    await page.get_by_role("link", name="Team", exact=True).click()
    await expect(page.get_by_role("region", name="Members")).to_contain_text("Ada Admin")
    await expect(page.get_by_role("region", name="Quota")).to_contain_text(re.compile(r"Sandboxes\d"))
    link = await _invite(page, "member@example.org", "MEMBER")
    await expect(page.get_by_role("region", name="Invitations")).to_contain_text("member@example.org")
    await _join(other_page, link, "<b>Max</b>")
    other = Dashboard(other_page)
    await other.is_live()
    await api.create("seen by both")
    await other.has_state("seen by both", "Running")

    await other_page.get_by_role("link", name="Team", exact=True).click()
    await expect(other_page.get_by_role("region", name="Members")).to_contain_text("<b>Max</b>")
    await expect(other_page.get_by_role("region", name="API keys")).to_have_count(0)
    await other_page.get_by_role("link", name="Sandboxes", exact=True).click()
    await other.is_live()

    await _make_and_revoke_a_key(page)
    await page.reload()
    await page.get_by_label("Role of <b>Max</b>").select_option("ADMIN")
    await page.get_by_role("button", name="Remove <b>Max</b>").click()
    await page.get_by_role("dialog").get_by_role("button", name="Remove", exact=True).click()
    await expect(page.get_by_role("region", name="Members")).not_to_contain_text("Max")
    # what was open closes, and says where they stand
    await expect(other_page.get_by_role("heading", name="You are in no team")).to_be_visible(timeout=15_000)
    await other.screenshot("no-team")
    assert [complaint for complaint in complaints if not REFUSED.search(complaint)] == []


async def _join(page: Page, link: str, name: str) -> None:
    await page.goto(link)
    await expect(page.get_by_role("heading")).to_have_text(re.compile("^Join"))
    assert "#" not in page.url
    await page.get_by_label("Password").fill(PASSWORD)
    await page.get_by_label("Name").fill(name)
    await Dashboard(page).screenshot("join")
    await page.get_by_role("button", name="Join").click()
    await expect(page.get_by_role("button", name="Sign out")).to_be_visible()


async def _make_and_revoke_a_key(page: Page) -> None:
    keys = page.get_by_role("region", name="API keys")
    await keys.get_by_role("button", name="New key").click()
    dialog = page.get_by_role("dialog")
    await dialog.get_by_label("Name").fill("from the page")
    await dialog.get_by_role("button", name="Make the key").click()
    key = await page.get_by_label("API key", exact=True).inner_text()
    assert key.startswith("nb_")
    await expect(page.get_by_role("button", name="Copy API key")).to_be_visible()
    await Dashboard(page).screenshot("key-once")
    await page.get_by_role("button", name="Done").click()
    assert key not in await page.content()
    await Dashboard(page).screenshot("team-light")
    await keys.get_by_role("button", name="Revoke from the page").click()
    await page.get_by_role("dialog").get_by_role("button", name="Revoke", exact=True).click()
    await expect(keys.get_by_role("listitem").filter(has_text="from the page")).to_contain_text("revoked")
    await page.emulate_media(color_scheme="dark")
    await page.set_viewport_size({"width": 390, "height": 844})
    await Dashboard(page).screenshot("team-390-dark")
    assert await page.evaluate("document.documentElement.scrollWidth") <= 390
    await page.emulate_media(color_scheme="light")
    await page.set_viewport_size({"width": 1360, "height": 860})


async def test_a_person_signs_in_switches_teams_and_out(
    page: Page, platform: Platform, api: Api, complaints: Complaints
) -> None:
    email = "switcher@example.org"
    await _join(page, platform.url + await api.invite(email, "MEMBER"), "Sam Switch")
    await page.get_by_role("button", name="Sign out").click()
    dashboard = Dashboard(page)
    await dashboard.sign_in_with_password(email, "not the password")
    await expect(page.get_by_role("alert")).to_have_text("The email address or the password is wrong.")
    await dashboard.screenshot("sign-in-password-refused")
    await dashboard.sign_in_with_password(email, PASSWORD)
    await dashboard.is_live()
    await api.create("of the first team")
    await expect(dashboard.row("of the first team")).to_be_visible()

    await page.get_by_role("link", name="Team", exact=True).click()
    await page.get_by_label("A new team").fill("Second team")
    await page.get_by_role("button", name="Make the team").click()
    await expect(page.get_by_role("heading", level=1)).to_have_text("Second team")
    await page.get_by_role("link", name="Sandboxes", exact=True).click()
    await expect(page.get_by_text("No sandboxes yet")).to_be_visible()
    tab = await page.context.new_page()
    await tab.goto("/")
    await expect(tab.get_by_text("No sandboxes yet")).to_be_visible()
    await page.get_by_role("combobox", name="Team").select_option("default")
    await expect(dashboard.row("of the first team")).to_be_visible()
    # the other tab has the same session, and follows
    await expect(Dashboard(tab).row("of the first team")).to_be_visible()
    await page.reload()
    await dashboard.is_live()
    await dashboard.screenshot("two-teams")
    await page.set_viewport_size({"width": 390, "height": 844})
    await dashboard.screenshot("two-teams-390")
    assert await page.evaluate("document.documentElement.scrollWidth") <= 390
    await page.set_viewport_size({"width": 1360, "height": 860})

    await page.get_by_role("link", name="Explorer", exact=True).click()
    await expect(page.get_by_role("button", name="Execute")).to_have_attribute("aria-haspopup", "menu")
    await page.get_by_role("button", name="Sign out").click()
    await expect(page.get_by_label("Password")).to_be_visible()
    await expect(tab.get_by_label("Password")).to_be_visible()
    await page.goto("/")
    await expect(page.get_by_label("Password")).to_be_visible()
    assert [complaint for complaint in complaints if not REFUSED.search(complaint)] == []
