"""A canary: no secret of a person is in what the server writes, at its most talkative, or in any row."""

import asyncio
import os
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import asyncpg
import httpx

from tests.api.browsing import Browser
from tests.api.conftest import free_port
from tests.waiting import eventually

PASSWORD = "canary-password-7c1f"
EMAIL = "canary@example.org"


@asynccontextmanager
async def _server(database_url: str, log: Path) -> AsyncIterator[str]:
    port = free_port()
    environment = os.environ | {
        "DATABASE_URL": database_url,
        "NESTBOX_API_PORT": str(port),
        "NESTBOX_HOSTS": "",
        "NESTBOX_LOG_LEVEL": "debug",
    }
    with log.open("wb") as output:
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "api", env=environment, stdout=output, stderr=output
        )
        url = f"http://127.0.0.1:{port}"
        try:
            await eventually(lambda: _answers(url))
            yield url
        finally:
            process.terminate()
            await process.wait()


async def _answers(url: str) -> bool:
    async with httpx.AsyncClient(trust_env=False) as http:
        try:
            return (await http.get(f"{url}/healthz")).is_success
        except httpx.TransportError:
            return False


async def _first_password(database_url: str) -> str:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "api", "create-user", "owner@example.org", "--admin"),
        env=os.environ | {"DATABASE_URL": database_url},
        stdout=asyncio.subprocess.PIPE,
    )
    return (await process.communicate())[0].decode().strip()


async def test_no_secret_is_in_any_log_or_row(database_url: str, tmp_path: Path) -> None:
    log = tmp_path / "log"
    first = await _first_password(database_url)
    async with _server(database_url, log) as url, Browser(url) as owner, Browser(url) as browser:
        assert (await owner.sign_in("owner@example.org", first)).status_code == 200
        link = (await owner.command("inviteMember", "link", email=EMAIL))["link"]
        token = link.partition("#")[2]
        accepted = {"token": token, "password": PASSWORD, "name": ""}
        assert (await browser.http.post("/auth/invitations/accept", json=accepted)).status_code == 200
        assert (await browser.sign_in(EMAIL, PASSWORD + "-wrong")).status_code == 401
        assert (await browser.sign_in(EMAIL, PASSWORD)).status_code == 200
        key = (await owner.command("createApiKey", "key", name="canary", scopes=["READ"]))["key"]
        changed = {"currentPassword": PASSWORD, "newPassword": PASSWORD + "-2"}
        assert (await browser.command("changePassword", "__typename", **changed))["userErrors"] == []
        assert (await browser.refusal("changePassword", **changed))["code"] == "WRONG_PASSWORD"
        async with browser.socket() as socket:
            await socket.subscribe("{ viewer { id } }")
            await socket.next()
        broken = await browser.http.post(
            "/auth/sign-in", content=f'{{"password": "{PASSWORD}"', headers={"content-type": "application/json"}
        )
        assert broken.status_code == 400
        secrets = [PASSWORD, first, token.split("_")[1], key.split("_")[2], browser.token.split("_")[1]]
    written = log.read_text()
    assert "signed_in" in written
    rows = await _all_rows(database_url)
    assert EMAIL in rows
    assert [secret for secret in secrets if secret in written + rows] == []


async def _all_rows(database_url: str) -> str:
    connection = await asyncpg.connect(database_url)
    try:
        tables = await connection.fetch("SELECT tablename FROM pg_tables WHERE schemaname = 'public'")
        rows = [
            row[0]
            for table in tables
            for row in await connection.fetch(f'SELECT t::text FROM "{table["tablename"]}" t')  # noqa: S608
        ]
        return "\n".join(rows)
    finally:
        await connection.close()
