"""The whole platform as people start it: `nestbox up` in a process of its own, with real machines."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx

from nestbox.postgres.server import free_port
from tests import memory_images
from tests.waiting import eventually

ROOT = Path(__file__).parents[2]
START_SECONDS = 300.0  # a machine with nothing in its cache builds the base image first
STOP_SECONDS = 120.0
_KEY = re.compile(r"\bnb_\w+")


class Platform:
    """One data directory, its ports, and the platform on it, started as often as a test likes."""

    def __init__(self, folder: Path) -> None:
        self.data_dir = folder / "data"
        self.folder = folder
        self.api_port, self.agent_port = free_port(), free_port()
        self.url = f"http://127.0.0.1:{self.api_port}"
        self.key = ""
        # else machines that no sandbox asked for stand among those that tests count
        self.pool_max = 0
        self._process: subprocess.Popen[bytes] | None = None
        self._starts = 0

    @property
    def output(self) -> str:
        """What the newest start printed."""
        return self._output_file.read_text()

    @property
    def _output_file(self) -> Path:
        return self.folder / f"up-{self._starts}.log"

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    async def start(self, *options: str) -> None:
        """Returns when everything was greeted as ready. The first start's key is kept."""
        self._starts += 1
        others = ("NESTBOX_", "DATABASE_")
        environment = {name: value for name, value in os.environ.items() if not name.startswith(others)}
        environment["NESTBOX_AGENT_POOL_MAX"] = str(self.pool_max)
        command = [sys.executable, "-m", "nestbox", "up", "--data-dir", str(self.data_dir)]
        command += ["--api-port", str(self.api_port), "--agent-port", str(self.agent_port), *options]
        with self._output_file.open("wb") as output:
            # A session of its own, as a terminal would give it: Ctrl-C reaches it alone.
            self._process = subprocess.Popen(  # noqa: ASYNC220 - starting it does not wait
                command,
                cwd=ROOT,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
            )
        process = self._process

        def up_or_gone() -> bool:
            return "Ctrl-C pauses" in self.output or process.poll() is not None

        await eventually(up_or_gone, START_SECONDS)
        assert process.poll() is None, self.output
        if found := _KEY.search(self.output):
            self.key = found[0]

    def interrupt(self, number: signal.Signals = signal.SIGINT) -> None:
        """Ctrl-C, or another signal."""
        os.kill(self.pid, number)

    async def ended(self) -> int:
        """Waits for the end; returns the exit status."""
        process = self._process
        assert process is not None
        await eventually(lambda: process.poll() is not None, STOP_SECONDS)
        return int(process.returncode)

    async def graphql(self, query: str, **variables: object) -> Any:
        """The data of an answer without errors."""
        async with httpx.AsyncClient(base_url=self.url, timeout=120, trust_env=False) as client:
            answer = await client.post(
                "/graphql",
                json={"query": query, "variables": variables},
                headers={"authorization": f"Bearer {self.key}"},
            )
        content = answer.json()
        assert "errors" not in content, json.dumps(content, indent=1)
        return content["data"]

    async def command(self, name: str, input_type: str, fields: str, **values: object) -> Any:
        """A mutation that has to succeed; its payload."""
        query = (
            f"mutation($input: {input_type}!) {{ {name}(input: $input) {{ {fields} userErrors {{ code message }} }} }}"
        )
        payload = (await self.graphql(query, input=values))[name]
        assert payload["userErrors"] == [], payload
        return payload

    async def create(self) -> str:
        """The id of a new sandbox that runs."""
        payload = await self.command("createSandbox", "CreateSandboxInput", "sandbox { id state }", waitSeconds=60)
        assert payload["sandbox"]["state"] == "RUNNING"
        return str(payload["sandbox"]["id"])

    async def run(self, sandbox_id: str, shell: str) -> str:
        """What a shell line in the sandbox prints."""
        payload = await self.command(
            "exec", "ExecInput", "result { exitCode stdout stderr }", sandboxId=sandbox_id, shell=shell
        )
        assert payload["result"]["exitCode"] == 0, payload
        return str(payload["result"]["stdout"])

    async def sandbox(self, sandbox_id: str) -> Any:
        """Its state and the cause of it; None when it is gone."""
        query = "query($id: ID!) { sandbox(id: $id) { state cause } }"
        return (await self.graphql(query, id=sandbox_id))["sandbox"]

    def processes(self) -> dict[int, str]:
        """Every process that has to do with this platform: its command line or its environment names the folder."""
        found = {}
        for process in Path("/proc").iterdir():
            if not process.name.isdecimal() or int(process.name) == os.getpid():
                continue
            try:
                line = (process / "cmdline").read_bytes()
                environment = (process / "environ").read_bytes()
            except OSError:
                continue
            if os.fsencode(self.folder) in line + environment:
                found[int(process.name)] = line.replace(b"\0", b" ").decode(errors="replace").strip()
        return found

    def machines(self) -> dict[int, str]:
        """Its processes that are QEMU."""
        return {pid: line for pid, line in self.processes().items() if "qemu-system" in line.split(" ", maxsplit=1)[0]}

    def cgroups(self, sandbox_id: str) -> list[Path]:
        """Control groups that are named after a sandbox."""
        uuid = sandbox_id.removeprefix("sb-")
        return [path for path in Path("/sys/fs/cgroup").rglob(f"*{uuid}*") if path.is_dir()]

    def files(self, sandbox_id: str) -> list[Path]:
        """What the agent keeps of a sandbox on disk."""
        return [*(self.data_dir / "agent/machines").glob(f"*{sandbox_id.removeprefix('sb-')}*")]


@asynccontextmanager
async def platform(images: Path | None = None) -> AsyncIterator[Platform]:
    """A platform that is not started yet; what is left of it afterwards is ended and removed. `images`: a folder with
    memory images that it begins with."""
    # Not pytest's own folder: PostgreSQL and QEMU run as other accounts, to which that is closed.
    folder = Path(tempfile.mkdtemp(prefix="nestbox-system-"))
    folder.chmod(0o711)
    created = Platform(folder)
    if images is not None:
        memory_images.take(images, created.data_dir / "agent" / memory_images.FOLDER)
    try:
        yield created
    finally:
        for pid in created.processes():
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                continue
        await eventually(lambda: not created.processes())
        shutil.rmtree(folder, ignore_errors=True)
