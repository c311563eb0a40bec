"""One platform of real processes on which faults are tried, one after the other."""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Self
from uuid import uuid4

import asyncpg
import httpx
from pydantic import SecretStr

from api.owner import create_key
from api.settings import Settings
from tests.api.client import Client
from tests.faults.processes import Agent, Api, Program, fired
from tests.faults.site import settled
from tests.invariants.evidence import Violation
from tests.waiting import eventually

FIRED_SECONDS = 20.0
READY_SECONDS = 30.0
IDLE_SECONDS = 1
"""The timeout of a sandbox that is to be paused by itself; a pass of the reaper comes on top."""

_GOALS = {"pause": "PAUSED", "auto_pause": "PAUSED", "delete": "DELETED", "destroy": "DELETED"}
_MUTATIONS = {"pause": "pauseSandbox", "resume": "resumeSandbox", "start": "startSandbox"}
_MUTATIONS |= {"delete": "deleteSandbox", "destroy": "deleteSandbox", "set_timeout": "setSandboxTimeout"}
_MAKES_TEMPLATE = frozenset({"create_template", "snapshot", "build_template"})
_LONG_TIMEOUT_SECONDS = 3600


@dataclass(frozen=True, slots=True)
class Cell:
    """A fault of one kind at one point: `<side>.<command>.<step>`."""

    point: str
    kind: str

    @property
    def side(self) -> str:
        return self.point.split(".")[0]

    @property
    def command(self) -> str:
        return self.point.split(".")[1]


@dataclass(frozen=True, slots=True)
class Result:
    """What became of it."""

    cell: Cell
    fired: bool
    violations: list[Violation]
    failure: str = ""

    @property
    def is_good(self) -> bool:
        return self.fired and not self.violations and not self.failure


@dataclass
class Lane:
    """Its own database, agent and replica."""

    database_url: str
    agent: Agent
    api: Api
    client: Client

    @classmethod
    @asynccontextmanager
    async def opened(cls, url: str, folder: Path, *, settable_clocks: bool = False) -> AsyncIterator[Self]:
        """Everything runs on a migrated database, and nothing is armed."""
        agent = Agent(folder / "agent", has_settable_clock=settable_clocks)
        api = Api(folder / "api", has_settable_clock=settable_clocks)
        try:
            key = await create_key(Settings(DATABASE_URL=SecretStr(url)), "faults", admin=False)
            await agent.start()
            await api.start(url, (agent.address,))
            async with Client(api.url, key) as client:
                yield cls(url, agent, api, client)
        finally:
            api.kill()
            agent.kill()

    async def try_out(self, cell: Cell) -> Result:
        """Arms the fault, makes it fire, starts again what died, and checks when all has settled."""
        struck: Program = self.agent if cell.side == "agent" else self.api
        said_before = len(struck.log)
        has_fired = False
        try:
            sandbox_id = await self._prepared(cell)
            await self._trigger(cell, sandbox_id)
            with suppress(AssertionError):
                await eventually(lambda: fired(struck.log[said_before:], cell.point), FIRED_SECONDS, poll_seconds=0.05)
            has_fired = fired(struck.log[said_before:], cell.point)
            if cell.kind == "kill" and has_fired:
                await eventually(lambda: not struck.runs)
            await self._revive()
            violations = await settled(self.database_url, self.agent)
            await self._clear()
        except (AssertionError, httpx.HTTPError) as error:
            await self._revive()
            return Result(cell, has_fired, [], f"{type(error).__name__}: {error}"[:500])
        return Result(cell, has_fired, violations)

    async def _prepared(self, cell: Cell) -> str | None:
        """The sandbox, or template, that the command is for, None for a new one. What is to fail is armed and runs."""
        if cell.command in {"create", "auto_pause"}:
            await self._arm(cell)
            return None
        sandbox_id = await self.create()
        if cell.command == "delete_template":
            made = await self._create_template(sandbox_id, wait_seconds=30)
            await self._arm(cell)
            return str(made["template"]["id"])
        if cell.command == "resume":
            await self.commanded("pause", sandbox_id, wait_seconds=30)
        if cell.command == "start":
            self.agent.kill()
            # the simulated machine is in this file only: so it ends while no agent looks
            path = self.agent.data_dir / "simulated" / sandbox_id.removeprefix("sb-") / "state.json"
            path.write_text(json.dumps({"state": "stopped"}))
            await self.agent.start()
            await self.comes_to(sandbox_id, "STOPPED")
        await self._arm(cell)
        return sandbox_id

    async def _arm(self, cell: Cell) -> None:
        faults = {cell.point: cell.kind}
        if cell.side == "agent":
            self.agent.kill()
            killed_at = datetime.now(UTC)
            await self.agent.start(faults)
            # a command that comes before this is put off for seconds, and is then found by the reconciler
            await eventually(lambda: self._has_seen_agent(killed_at), READY_SECONDS, poll_seconds=0.05)
        else:
            self.api.kill()
            await self.api.start(self.database_url, (self.agent.address,), faults)

    async def _has_seen_agent(self, since: datetime) -> bool:
        connection = await asyncpg.connect(self.database_url)
        try:
            return bool(await connection.fetchval("SELECT bool_or(last_seen_at > $1) FROM hosts", since))
        finally:
            await connection.close()

    async def _trigger(self, cell: Cell, sandbox_id: str | None) -> None:
        if cell.command == "auto_pause":
            await self.create(timeout_sec=IDLE_SECONDS)
            return
        # the replica may die of it, or answer that something went wrong inside of it
        with suppress(httpx.HTTPError, AssertionError):
            if sandbox_id is None:
                await self._accepted("createSandbox", name="struck", waitSeconds=0)
            elif cell.command in _MAKES_TEMPLATE:
                await self._create_template(sandbox_id, wait_seconds=0)
            elif cell.command == "fork":
                await self._accepted("forkSandbox", "operation { id }", id=sandbox_id, count=2, waitSeconds=0)
            elif cell.command == "delete_template":
                await self._accepted("deleteTemplate", "operation { id }", id=sandbox_id, waitSeconds=0)
            elif cell.command == "set_timeout":
                timeout = {"id": sandbox_id, "timeoutSec": _LONG_TIMEOUT_SECONDS}
                await self._accepted(_MUTATIONS[cell.command], "sandbox { id state timeoutSec }", **timeout)
            else:
                await self.commanded(cell.command, sandbox_id, wait_seconds=0)

    async def create(self, timeout_sec: int = 0) -> str:
        """The id of a sandbox that runs."""
        payload = await self._accepted("createSandbox", waitSeconds=30, timeoutSec=timeout_sec)
        assert payload["sandbox"]["state"] == "RUNNING", payload
        return str(payload["sandbox"]["id"])

    async def _create_template(self, sandbox_id: str, *, wait_seconds: int) -> Any:
        # names are free again only when a template is gone, and this one may stay until the lane is cleared
        name = f"struck-{uuid4().hex}"
        fields = "template { id } operation { id }"
        return await self._accepted("createTemplate", fields, sandboxId=sandbox_id, name=name, waitSeconds=wait_seconds)

    async def commanded(self, command: str, sandbox_id: str, *, wait_seconds: int) -> None:
        """Pauses, resumes and so on; with `wait_seconds` it has succeeded."""
        payload = await self._accepted(_MUTATIONS[command], id=sandbox_id, waitSeconds=wait_seconds)
        if wait_seconds:
            assert payload["sandbox"]["state"] == _GOALS.get(command, "RUNNING"), payload

    async def _accepted(
        self, mutation: str, fields: str = "sandbox { id state } operation { id }", /, **given: Any
    ) -> Any:
        """Asks until it is accepted: a host that has just been started again is seen a moment later."""
        answers: list[Any] = []

        async def accepted() -> bool:
            answers.append(await self.client.command(mutation, fields, **given))
            errors = answers[-1]["userErrors"]
            assert all(error["retryable"] for error in errors), errors
            return not errors

        await eventually(accepted, READY_SECONDS, poll_seconds=0.1)
        return answers[-1]

    async def comes_to(self, sandbox_id: str, state: str) -> None:
        async def is_there() -> bool:
            found = await self.client.ask("query($id: ID!) { sandbox(id: $id) { state } }", {"id": sandbox_id})
            return bool(found["state"] == state)

        await eventually(is_there, READY_SECONDS, poll_seconds=0.1)

    async def _revive(self) -> None:
        if not self.agent.runs:
            await self.agent.start()
        if not self.api.runs:
            await self.api.start(self.database_url, (self.agent.address,))

    async def _clear(self) -> None:
        """Deletes every sandbox and template, so that faults do not meet each other."""
        found = await self.client.ask("{ sandboxes(first: 100) { nodes { id } } }")
        for node in found["nodes"]:
            await self.commanded("delete", node["id"], wait_seconds=30)
        made = await self.client.ask("{ templates(first: 100, filter: { type: SNAPSHOT }) { nodes { id } } }")
        for node in made["nodes"]:
            await self._accepted("deleteTemplate", "operation { id state }", id=node["id"], waitSeconds=30)
