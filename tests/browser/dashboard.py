"""The page as a person uses it: what is on it has names, and no test knows how it is built."""

import re
from pathlib import Path

from playwright.async_api import Locator, Page, expect

SCREENSHOTS = Path(__file__).parent.parent / "screenshots"


class Dashboard:
    """One tab with the dashboard."""

    def __init__(self, page: Page) -> None:
        self.page = page

    async def sign_in(self, key: str) -> None:
        """Types a key and sends it; does not wait for what comes of it."""
        by_key = self.page.get_by_role("button", name="Use a key instead")
        await by_key.or_(self.page.get_by_label("API key")).first.wait_for()
        if await by_key.is_visible():
            await by_key.click()
        await self.page.get_by_label("API key").fill(key)
        await self.page.get_by_role("button", name="Sign in", exact=True).click()

    async def sign_in_with_password(self, email: str, password: str) -> None:
        """Types an address and a password and sends them; does not wait for what comes of it."""
        await self.page.get_by_label("Email").fill(email)
        await self.page.get_by_label("Password").fill(password)
        await self.page.get_by_role("button", name="Sign in", exact=True).click()

    async def is_live(self) -> None:
        """Waits until the list follows what happens."""
        await expect(self.page.get_by_role("banner").get_by_role("status")).to_have_text("Live")

    async def create(self, name: str, labels: str = "") -> None:
        """Fills the form for a new sandbox and sends it."""
        await self.page.get_by_role("button", name="New sandbox").click()
        await self.page.get_by_label("Name").fill(name)
        await self.page.get_by_label("Labels").fill(labels)
        await self.page.get_by_role("button", name="Create", exact=True).click()

    def row(self, name: str) -> Locator:
        """The row of a sandbox."""
        link = self.page.get_by_role("link", name=name, exact=True)
        return self.page.get_by_role("table", name="Sandboxes").get_by_role("row").filter(has=link)

    def panel(self, name: str) -> Locator:
        """What is shown beside the table about the sandbox that is open."""
        return self.page.get_by_role("complementary", name=name)

    def action(self, name: str, action: str) -> Locator:
        """The button of the row that pauses, resumes or deletes."""
        return self.row(name).get_by_role("button", name=f"{action} {name}", exact=True)

    async def has_state(self, name: str, state: str) -> None:
        """Waits until the row says so."""
        await expect(self.row(name).get_by_role("cell").nth(1)).to_contain_text(re.compile(f"^{state}"))

    async def run(self, name: str, line: str) -> Locator:
        """Sends a command to the sandbox that is open; returns where it and its output appear."""
        box = self.panel(name).get_by_label(f"Command for {name}")
        await box.fill(line)
        await box.press("Enter")
        run = self.panel(name).get_by_role("log").get_by_role("listitem").last
        await expect(run).to_contain_text(line)
        return run

    async def screenshot(self, name: str) -> None:
        """Keeps what the page looks like, for people to look at."""
        SCREENSHOTS.mkdir(exist_ok=True)
        await self.page.screenshot(path=SCREENSHOTS / f"{name}.png", animations="disabled")
