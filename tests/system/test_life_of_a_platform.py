"""The story that the README tells, with real processes, real machines and a real client."""

import os
import re
import signal
import subprocess
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest
import pytest_asyncio

from tests.system.platform import Platform, platform
from tests.waiting import eventually

pytestmark = [pytest.mark.system, pytest.mark.vm, pytest.mark.slow, pytest.mark.timeout(600)]


@pytest_asyncio.fixture
async def nestbox(memory_images: Path) -> AsyncIterator[Platform]:
    async with platform(memory_images) as created:
        yield created


COUNTER = """python3 -u -c '
import time
number = 0
while True:
    number += 1
    open("/tmp/count", "w").write(str(number))
    time.sleep(0.05)
'"""


async def test_memory_survives_the_end_of_the_platform(nestbox: Platform) -> None:
    await nestbox.start()
    sandbox = await nestbox.create()
    assert nestbox.machines()
    pid = (await nestbox.run(sandbox, f"setsid nohup {COUNTER} >/dev/null 2>&1 & echo $!")).strip()
    counted = f"kill -0 {pid} && cat /tmp/count"

    async def counts() -> bool:
        return (await nestbox.run(sandbox, f"{counted} || true")).strip() != ""

    await eventually(counts)

    nestbox.interrupt()
    assert await nestbox.ended() == 0
    assert "paused on disk: 1 sandbox" in nestbox.output
    assert nestbox.processes() == {}

    await nestbox.start()
    shown = await nestbox.sandbox(sandbox)
    assert shown == {"state": "PAUSED", "cause": "SHUTDOWN"}
    assert nestbox.machines() == {}
    assert nestbox.key not in nestbox.output, "a key is shown once"
    assert "with the password" not in nestbox.output, "a password is shown once"

    await nestbox.command("resumeSandbox", "ResumeSandboxInput", "sandbox { state }", id=sandbox, waitSeconds=60)
    before = int(await nestbox.run(sandbox, counted))

    async def went_on() -> bool:
        return int(await nestbox.run(sandbox, counted)) > before

    await eventually(went_on)

    await nestbox.command("deleteSandbox", "DeleteSandboxInput", "sandbox { state }", id=sandbox, waitSeconds=60)
    await eventually(lambda: nestbox.machines() == {})
    assert nestbox.files(sandbox) == []
    assert nestbox.cgroups(sandbox) == []

    nestbox.interrupt(signal.SIGTERM)
    assert await nestbox.ended() == 0
    assert nestbox.processes() == {}


async def test_a_platform_that_is_killed_loses_nothing(nestbox: Platform) -> None:
    await nestbox.start()
    sandbox = await nestbox.create()
    await nestbox.run(sandbox, "echo kept > /dev/shm/kept")
    machines = set(nestbox.machines())
    os.kill(nestbox.pid, signal.SIGKILL)
    await nestbox.ended()
    await eventually(lambda: set(nestbox.processes()) == {*machines, *nestbox.machines(), *_jails(nestbox)}, 60)

    await nestbox.start()
    assert set(nestbox.machines()) == machines, "the machine is the same: it was taken over"
    assert await nestbox.run(sandbox, "cat /dev/shm/kept") == "kept\n"

    nestbox.interrupt()
    assert await nestbox.ended() == 0
    assert nestbox.processes() == {}


def _jails(nestbox: Platform) -> list[int]:
    return [pid for pid, line in nestbox.processes().items() if "bwrap" in line.split(" ", maxsplit=1)[0]]


async def test_the_first_start_prints_a_line_that_creates_a_sandbox(nestbox: Platform) -> None:
    nestbox.pool_max = 2
    await nestbox.start()
    line = nestbox.output.split("Create a sandbox:")[1].split("Ctrl-C")[0].strip()
    assert line.startswith("curl ")
    done = subprocess.run(["sh", "-c", line], capture_output=True, text=True, timeout=120, check=True)  # noqa: ASYNC221
    assert '"state": "RUNNING"' in done.stdout.replace('":"', '": "')
    assert '"userErrors": []' in done.stdout.replace(":[", ": [")

    async with httpx.AsyncClient(base_url=nestbox.url, trust_env=False) as client:
        found = re.search(r"Sign in +(\S+) +with the password +(\S+)", nestbox.output)
        assert found is not None, nestbox.output
        headers = {"origin": nestbox.url, "x-nestbox-csrf": "1"}
        signed_in = await client.post("/auth/sign-in", json={"email": found[1], "password": found[2]}, headers=headers)
        assert signed_in.json()["user"]["email"] == "admin@nestbox.local"
        for path in ("/readyz", "/healthz", "/explorer", "/"):
            assert (await client.get(path)).status_code == httpx.codes.OK, path

    nestbox.interrupt()
    assert await nestbox.ended() == 0
    assert nestbox.processes() == {}, "machines of the pool end with the agent"


@pytest.mark.parametrize("name", ["agent", "api", "postgres"])
async def test_a_part_that_dies_ends_the_platform_and_is_named(nestbox: Platform, name: str) -> None:
    await nestbox.start("--driver", "simulated")
    os.kill(_part(nestbox, name), signal.SIGKILL)
    assert await nestbox.ended() == 1
    said = {"agent": "The agent was killed", "api": "The API was killed", "postgres": "PostgreSQL ended by itself"}
    assert said[name] in nestbox.output
    assert nestbox.processes() == {}
    assert not (nestbox.data_dir / "postgres/cluster/postmaster.pid").exists() or name == "postgres"

    await nestbox.start("--driver", "simulated")
    nestbox.interrupt()
    assert await nestbox.ended() == 0


def _part(nestbox: Platform, name: str) -> int:
    if name == "postgres":
        return int((nestbox.data_dir / "postgres/cluster/postmaster.pid").read_text().split()[0])
    return next(pid for pid, line in nestbox.processes().items() if line.endswith(f" -m {name}"))


async def test_a_second_interrupt_hurries_and_leaves_nothing_but_the_machines(nestbox: Platform) -> None:
    await nestbox.start("--driver", "simulated")
    nestbox.interrupt()
    nestbox.interrupt()
    assert await nestbox.ended() == 0
    assert nestbox.processes() == {}


async def test_secrets_are_closed_to_others_and_in_no_log(nestbox: Platform) -> None:
    await nestbox.start("--driver", "simulated")
    key = nestbox.key
    files = [nestbox.data_dir / name for name in ("postgres/password", "postgres/api-password", "agent/token")]
    secrets = [key.rsplit("_", 1)[1], *(path.read_text().strip() for path in files)]
    owners_password = secrets[1]
    for name in ("api", "agent"):
        told = Path(f"/proc/{_part(nestbox, name)}/environ").read_text()
        assert owners_password not in told, "only who migrates is told whom the tables belong to"
    command_lines = " ".join(nestbox.processes().values())
    nestbox.interrupt()
    assert await nestbox.ended() == 0
    kept = [*(nestbox.data_dir / "logs").glob("*.log"), nestbox.data_dir / "postgres/server.log"]
    texts = {str(path): path.read_text() for path in kept}
    for secret in secrets:
        assert [path for path, text in texts.items() if secret in text] == []
        assert secret not in command_lines
    for path in files:
        assert path.stat().st_mode & 0o077 == 0
    assert nestbox.data_dir.stat().st_mode & 0o777 == 0o711
    assert Path(nestbox.data_dir / "logs").stat().st_mode & 0o077 == 0
