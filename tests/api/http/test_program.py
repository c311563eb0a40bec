"""`python -m api` from start to end."""

import asyncio
import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import httpx
import psutil
import pytest
import structlog
from pydantic import SecretStr, ValidationError

from api.__main__ import UNREAD_MS_MAX
from api.app import build_app
from api.ids import new_id
from api.settings import Settings
from tests.api.client import Client
from tests.api.conftest import Agent, NewKey, Platform, free_port, serving
from tests.waiting import eventually

ROOT = Path(__file__).parents[3]


def _run(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "api", *arguments],
        env=os.environ | environment,
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_export_schema_prints_what_is_committed() -> None:
    assert _run("export-schema").stdout == (ROOT / "schema.graphql").read_text()


async def test_create_key_prints_a_key_that_opens_the_api(platform: Platform) -> None:
    found = _run("create-key", "--name", "made by hand", "--admin", DATABASE_URL=platform.database_url)

    assert found.returncode == 0, found.stderr
    async with Client(platform.url, found.stdout.strip()) as client:
        viewer = await client.ask("{ viewer { keyName isPlatformAdmin } }")
    assert viewer == {"keyName": "made by hand", "isPlatformAdmin": True}


async def test_a_key_is_listed_and_revoked_by_another_process(platform: Platform) -> None:
    key = _run("create-key", "--name", "short-lived", DATABASE_URL=platform.database_url).stdout.strip()
    async with Client(platform.url, key) as client:
        viewer = await client.ask("{ viewer { keyId } }")
        listed = _run("list-keys", DATABASE_URL=platform.database_url)
        (found,) = [row for row in json.loads(listed.stdout) if row["id"] == viewer["keyId"]]
        assert (found["name"], found["team"], found["is_platform_admin"]) == ("short-lived", "default", False)
        assert found["last_used_at"] is not None
        assert (found["expires_at"], found["revoked_at"]) == (None, None)

        revoked = _run("revoke-key", viewer["keyId"], DATABASE_URL=platform.database_url)
        assert revoked.stdout.strip() == viewer["keyId"], revoked.stderr

        async def refused() -> bool:
            return (await client.http.post("/graphql", json={"query": "{ viewer { keyId } }"})).status_code == 401

        await eventually(refused, 5)
    again = _run("revoke-key", viewer["keyId"], DATABASE_URL=platform.database_url)
    assert (again.returncode, "revoked before" in again.stderr) == (1, True)


def test_without_a_database_it_says_so_and_ends() -> None:
    found = _run("create-key", "--name", "x", DATABASE_URL=f"postgresql://127.0.0.1:{free_port()}/none")

    assert found.returncode == 1
    assert found.stderr.strip()
    assert "Traceback" not in found.stderr


def test_wrong_settings_are_named_without_their_values(platform: Platform) -> None:
    url = "postgresql://user:hunter2@127.0.0.1/none"
    for variable, value in (("NESTBOX_API_PORT", "x"), ("NESTBOX_AGENT_TOKEN_FILE", "/missing")):
        found = _run(**{"DATABASE_URL": url, variable: value})
        assert found.returncode == 1
        assert found.stderr.startswith("api: ")
        assert "Traceback" not in found.stderr
        assert "hunter2" not in found.stderr
    taken = _run(DATABASE_URL=platform.database_url, NESTBOX_API_PORT=str(platform.port))
    assert (taken.returncode, "in use" in taken.stderr) == (1, True)


def test_a_server_whose_reconciler_fails_says_so_and_ends(platform: Platform) -> None:
    """A bug is put into it: the real one has none that a test could reach."""
    program = """
from api import __main__
from api.reconciler.reconciler import Reconciler
async def run(self):
    raise RuntimeError("put there by a test")
Reconciler.run = run
__main__.main()
"""
    environment = {"DATABASE_URL": platform.database_url, "NESTBOX_API_PORT": str(free_port())}
    found = subprocess.run(
        [sys.executable, "-c", program],
        env=os.environ | environment,
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )

    assert found.returncode == 1
    assert "put there by a test" in found.stdout + found.stderr
    assert "task failed that must not" in found.stdout + found.stderr


async def test_a_server_that_could_change_its_audit_log_says_so(
    database_url: str, owner_url: str, platform: Platform
) -> None:
    said = {}
    for url in (database_url, owner_url):
        app = build_app(Settings(DATABASE_URL=SecretStr(url), hosts=(), dashboard_dir=platform.dashboard_dir))
        with structlog.testing.capture_logs() as logs:
            async with app.router.lifespan_context(app):
                pass
        said[url] = [(line["database_role"], line["weakness"]) for line in logs if "audit log" in line["event"]]
    assert said == {database_url: [], owner_url: [("nestbox", "is a superuser")]}


async def test_unread_data_drops_a_connection_in_the_end(platform: Platform) -> None:
    """Only the socket itself can say: the listener's option has to reach what it accepts."""
    reader, writer = await asyncio.open_connection("127.0.0.1", platform.port)
    try:
        writer.write(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")
        await reader.readline()
        ours = writer.get_extra_info("sockname")
        (accepted,) = (
            found.fd
            for found in psutil.Process().net_connections("tcp")
            if found.raddr and tuple(found.raddr) == ours and found.laddr.port == platform.port
        )
        with socket.socket(fileno=os.dup(accepted)) as server_side:
            assert server_side.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT) == UNREAD_MS_MAX
    finally:
        writer.close()


async def test_sockets_are_told_when_the_server_ends(
    platform: Platform, simulated_agent: Agent, new_key: NewKey
) -> None:
    port = free_port()
    settings = Settings(
        api_port=port,
        DATABASE_URL=SecretStr(platform.database_url),
        hosts=(simulated_agent.address,),
        agent_token_file=simulated_agent.token_file,
        dashboard_dir=platform.dashboard_dir,
    )
    with serving(settings) as server:
        client = Client(f"http://127.0.0.1:{port}", await new_key())
        async with client, client.socket() as told:
            await told.subscribe("subscription { sandboxes { __typename } }")
            assert (await told.receive())["type"] == "next"
            server.should_exit = True
            assert (await told.closed())[0] == 1012


async def test_without_a_host_it_lives_but_is_not_ready(platform: Platform) -> None:
    port = free_port()
    settings = Settings(
        api_port=port,
        DATABASE_URL=SecretStr(platform.database_url.rpartition("/")[0] + "/postgres"),
        dashboard_dir=platform.dashboard_dir,
        hosts=(),
    )
    with serving(settings, until_status=503):
        async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", trust_env=False) as http:
            assert (await http.get("/healthz")).status_code == 200
            ready = await http.get("/readyz")
    assert ready.status_code == 503
    assert ready.json()["status"] == "not ready"
    assert any(not check["ok"] for check in ready.json()["checks"])


def test_an_agent_that_is_not_on_this_computer_is_not_called_with_the_token() -> None:
    database_url, near = SecretStr("postgresql://x"), ("127.0.0.1:7301", "127.8.9.1:1", "[::1]:7301", "localhost:7301")
    assert Settings(DATABASE_URL=database_url, hosts=near).hosts == near
    for far in ("192.0.2.1:7301", "host.example:7301", "[::]:7301", "::1:7301", "127.0.0.1", "dns:127.0.0.1:7301"):
        with pytest.raises(ValidationError, match="nestbox host token"):
            Settings(DATABASE_URL=database_url, hosts=(*near, far))


def test_a_token_for_a_host_that_is_not_there_is_refused(platform: Platform, tmp_path: Path) -> None:
    given = {"DATABASE_URL": platform.database_url, "NESTBOX_AUTHORITY_DIR": str(tmp_path / "authority")}
    assert _run("create-host-token", **given).stdout.startswith("nbh_")
    for again, words in ((f"host-{new_id()}", "no such host"), ("--admin", "not the id of a host")):
        refused = _run("create-host-token", f"--again={again}", **given)
        assert refused.returncode == 1
        assert words in refused.stderr


async def test_a_base_template_that_another_process_adds_is_there_at_once(platform: Platform) -> None:
    added = _run("add-base-template", "mine", "--disk-size-mb", "5120", DATABASE_URL=platform.database_url)
    assert added.stdout == "added\n", added.stderr
    key = _run("create-key", "--name", "reader", DATABASE_URL=platform.database_url).stdout.strip()
    async with Client(platform.url, key) as client:
        found = await client.ask('{ template(name: "mine") { id type diskSizeMb isPlatform } }')
    assert (found["type"], found["isPlatform"]) == ("BASE", True)
    listed = json.loads(_run("list-base-templates", DATABASE_URL=platform.database_url).stdout)
    assert [(row["name"], row["sandboxes"]) for row in listed if row["id"] == found["id"]] == [("mine", 0)]
    again = _run("add-base-template", "mine", "--disk-size-mb", "5120", DATABASE_URL=platform.database_url)
    assert again.stdout == "there\n"
    assert _run("remove-base-template", "mine", DATABASE_URL=platform.database_url).stdout == "mine\n"
    gone = _run("remove-base-template", "mine", DATABASE_URL=platform.database_url)
    assert (gone.returncode, gone.stdout, "no base template" in gone.stderr) == (1, "", True)
