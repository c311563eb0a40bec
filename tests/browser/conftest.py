"""A real platform with real microVMs, and Debian's Chromium in front of it."""

import os
import shutil
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio
from playwright.async_api import Browser, BrowserContext, ConsoleMessage, Page, async_playwright, expect

from nestbox.demo.platform import Platform, own_platform
from tests.browser.api import Api

LOOK_DEADLINE_MS = 30_000
"""How long anything may take to be seen: a slow computer starts a machine within this."""
_FLAGS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)


class Complaints(list[str]):
    """What a page wrote to its console as an error, and what it did not catch: refusals of the
    Content-Security-Policy are among them. A test asserts that it is empty."""

    def watch(self, page: Page) -> None:
        """Collects from now on."""
        page.on("console", self._heard)
        page.on("pageerror", lambda error: self.append(str(error)))
        page.on("dialog", lambda dialog: self.append(f"a dialog: {dialog.message}"))

    def _heard(self, message: ConsoleMessage) -> None:
        if message.type == "error":
            self.append(message.text)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def platform() -> AsyncIterator[Platform]:
    """`nestbox up` on an empty data directory, as a user has it."""
    async with own_platform(os.environ, progress=lambda _: None) as started:
        yield started


@pytest_asyncio.fixture(loop_scope="module")
async def api(platform: Platform) -> AsyncIterator[Api]:
    """Another client of the same team. Deletes at the end what a test left behind."""
    async with Api.connect(platform.url, platform.key) as client:
        yield client
        await client.delete_all()


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def browser() -> AsyncIterator[Browser]:
    """Chromium without a window."""
    program = shutil.which("chromium")
    assert program is not None, "Chromium is missing: `make test` installs it"
    async with async_playwright() as playwright:
        running = await playwright.chromium.launch(executable_path=program, args=_FLAGS)
        yield running
        await running.close()


@pytest.fixture
def complaints() -> Complaints:
    """What the pages of this test complained about."""
    return Complaints()


@pytest_asyncio.fixture(loop_scope="module")
async def context(browser: Browser, platform: Platform) -> AsyncIterator[BrowserContext]:
    """A profile of its own per test, at the platform's address."""
    expect.set_options(timeout=LOOK_DEADLINE_MS)
    profile = await browser.new_context(
        base_url=platform.url, viewport={"width": 1360, "height": 860}, color_scheme="light"
    )
    profile.set_default_timeout(LOOK_DEADLINE_MS)
    yield profile
    await profile.close()


@pytest_asyncio.fixture(loop_scope="module")
async def page(context: BrowserContext, complaints: Complaints) -> Page:
    """An empty page; the test goes where it wants."""
    tab = await context.new_page()
    complaints.watch(tab)
    return tab
