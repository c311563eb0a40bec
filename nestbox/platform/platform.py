"""Starts the platform, watches it, and stops it in order."""

import asyncio
import os
from collections.abc import Callable, Coroutine
from contextlib import AsyncExitStack, suppress
from dataclasses import dataclass
from functools import partial
from typing import Any

import asyncpg
import httpx

from nestbox.agent_calls import AgentCalls, PausedMachines, connect, wait_for_host
from nestbox.database import NAME, check_given, start_embedded, wait_for_sequences
from nestbox.errors import Problem
from nestbox.logs import bound, keep_bounded
from nestbox.platform.keys import create_key, migrate
from nestbox.platform.layout import Layout
from nestbox.platform.program import Program
from nestbox.platform.race import first_of, run_until
from nestbox.platform.speaker import Speaker
from nestbox.platform.users import ADMIN_EMAIL, create_user, list_users, reset_password
from nestbox.postgres import Postgres
from nestbox.setup.stamp import Stamp, digest

AGENT_DEADLINE_SECONDS = 300  # when `make setup` was left out, it builds the base image first
API_DEADLINE_SECONDS = 60
PAUSE_DEADLINE_SECONDS = 120
RECORD_DEADLINE_SECONDS = 15
STOP_DEADLINE_SECONDS = 20
HURRIED_DEADLINE_SECONDS = 3
READY_POLL_SECONDS = 0.05
SILENCE_SECONDS = 10.0


@dataclass(frozen=True, slots=True)
class FirstSecrets:
    """What the first start makes, and shows once."""

    key: str
    email: str
    password: str


class Platform:
    """PostgreSQL, the agent and the API. `start`, then `wait_for_trouble`, and always `stop`."""

    def __init__(self, layout: Layout, speaker: Speaker) -> None:
        self._layout = layout
        self._speaker = speaker
        self._resources = AsyncExitStack()
        self._postgres: Postgres | None = None
        self._agent: Program | None = None
        self._api: Program | None = None
        self._calls: AgentCalls | None = None
        self._database_url = layout.settings.database_url or ""
        self._agent_ready = False

    async def start(self, admin_email: str = ADMIN_EMAIL) -> FirstSecrets | None:
        """Starts everything and waits until it is ready; returns the first key and password when they were made.

        Raises: Problem when a program does not come up. May be cancelled. What was started is left to `stop`.
        """
        if self._database_url:
            await check_given(self._layout.settings)
        self._layout.ensure_token()
        self._agent = Program(
            "agent",
            self._layout.agent_command(),
            self._layout.agent_environment(),
            self._layout.log("agent"),
            self._layout.root,
        )
        self._calls = await self._resources.enter_async_context(
            connect(self._layout.settings.agent_address, self._layout.token_file)
        )
        try:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self._await_agent(self._agent, self._calls))
                starting = tasks.create_task(self._start_api())
        except BaseExceptionGroup as group:
            raise first_of(group) from None
        api = starting.result()
        await self._await_ready(api, self._api_answers(), API_DEADLINE_SECONDS)
        self._speaker.did("API", f"ready on {self._layout.api_url}")
        if self._layout.first_key_marker.exists():
            return None
        return await self._first_secrets(admin_email)

    async def _first_secrets(self, email: str) -> FirstSecrets:
        key = await create_key(self._layout, self._database_url, "first", admin=True)
        if any(user.email == email for user in await list_users(self._layout, self._database_url)):
            # a start that was ended before it could show them: nobody knows the password
            return FirstSecrets(key, email, await reset_password(self._layout, self._database_url, email))
        return FirstSecrets(key, email, await create_user(self._layout, self._database_url, email, "", admin=True))

    async def _start_api(self) -> Program:
        owner_url = self._layout.settings.database_owner_url or ""
        if not self._database_url:
            self._postgres = start_embedded(self._layout.settings.data_dir)
            self._database_url, owner_url = self._postgres.url(NAME), self._postgres.owner_url(NAME)
            self._speaker.did("PostgreSQL", f"ready on port {self._postgres.port}")
        # A second start saves starting Python once more. Not for a database of the user's own: others may use it.
        stamp, made_from = Stamp(self._layout.migrated_marker), digest(self._layout.root, ["alembic", "api"])
        if self._postgres is None or not stamp.says("database", made_from):
            await migrate(self._layout, self._database_url, owner_url)
            stamp.set(database=made_from)
            self._speaker.did("database", "migrated")
        self._api = Program(
            "API",
            self._layout.api_command(),
            self._layout.api_environment(self._database_url),
            self._layout.log("api"),
            self._layout.root,
        )
        return self._api

    async def _await_agent(self, agent: Program, calls: AgentCalls) -> None:
        await self._await_ready(agent, wait_for_host(calls), AGENT_DEADLINE_SECONDS)
        self._agent_ready = True
        facts = await wait_for_host(calls)
        self._speaker.did(
            "agent",
            f"ready on {self._layout.settings.agent_address} "
            f"(driver {facts.driver}, accelerator {facts.accelerator}, isolation {facts.isolation})",
        )
        for shortcoming in facts.shortcomings:
            self._speaker.did("note", f"{_shortened(shortcoming)} (`nestbox doctor` says more)")

    async def _api_answers(self) -> None:
        async with httpx.AsyncClient(base_url=self._layout.api_url, timeout=5, trust_env=False) as client:
            while True:
                with suppress(httpx.HTTPError):
                    if (await client.get("/readyz")).status_code == httpx.codes.OK:
                        return
                await asyncio.sleep(READY_POLL_SECONDS)

    async def _await_ready(
        self, program: Program, answers: Coroutine[Any, Any, object], deadline_seconds: float
    ) -> None:
        """Waits until `answers` is done, but not longer than the program lives. Says now and then that it waits."""
        try:
            async with asyncio.timeout(deadline_seconds):
                await run_until(program.wait(), run_until(answers, self._say_what_it_does(program)))
        except TimeoutError:
            raise Problem(
                f"The {program.name} is not ready after {deadline_seconds:.0f} s.\n{_quoted(program)}"
            ) from None
        if program.returncode is not None:
            raise Problem(end_of(program))

    async def _say_what_it_does(self, program: Program) -> None:
        while True:
            await asyncio.sleep(SILENCE_SECONDS)
            self._speaker.did(program.name, f"… {(program.last_lines(1) or ['starting'])[0][:100]}")

    async def wait_for_trouble(self) -> str:
        """Returns when one of the programs has ended by itself: which one, how, and its last lines."""
        agent, api = self._agent, self._api
        if agent is None or api is None:
            raise AssertionError("wait_for_trouble comes after start")
        bounds: list[Callable[[], object]] = [agent.bound_log, api.bound_log]
        if self._postgres is not None:
            bounds.append(partial(bound, self._postgres.log))
        await run_until(
            keep_bounded(bounds), run_until(_wait_for_server(self._postgres), run_until(agent.wait(), api.wait()))
        )
        for program in (agent, api):
            if program.returncode is not None:
                return end_of(program)
        return f"PostgreSQL ended by itself. See {self._layout.settings.data_dir / 'postgres/server.log'}."

    async def pause_everything(self) -> None:
        """Pauses all machines and waits until the database knows. Says what happened; raises nothing."""
        agent, calls = self._agent, self._calls
        if agent is None or calls is None or not self._agent_ready or agent.returncode is not None:
            return
        try:
            paused = await calls.pause_all(PAUSE_DEADLINE_SECONDS)
        except Problem as problem:
            self._speaker.problem(f"{problem} What still runs is taken over by the next start.")
            return
        if paused.paused:
            self._speaker.did("agent", f"paused on disk: {_count(paused.paused)}")
        if paused.running:
            self._speaker.problem(f"Still running: {_count(paused.running)}. The next start takes over.")
        await self._wait_until_recorded(paused)

    async def _wait_until_recorded(self, paused: PausedMachines) -> None:
        api = self._api
        if not paused.sequences or api is None or api.returncode is not None:
            return
        try:
            known = await wait_for_sequences(self._database_url, paused.sequences, RECORD_DEADLINE_SECONDS)
        except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
            self._speaker.problem(f"The database does not answer: {error}")
            return
        if not known:
            self._speaker.problem("The database does not know of every pause yet; the next start records them.")

    async def stop(self, *, hurried: bool = False) -> None:
        """Stops the API, the agent and PostgreSQL, in this order. Repeating it is harmless."""
        deadline = HURRIED_DEADLINE_SECONDS if hurried else STOP_DEADLINE_SECONDS
        for program in (self._api, self._agent):
            if program is not None and program.returncode is None:
                in_time = await program.stop(deadline)
                self._speaker.did(program.name, "stopped" if in_time else f"killed: it did not stop in {deadline} s")
        await self._resources.aclose()
        if self._postgres is not None and self._postgres.returncode() is None:
            await asyncio.to_thread(self._postgres.stop, deadline)
            self._speaker.did("PostgreSQL", "stopped")


def end_of(program: Program) -> str:
    """How a program ended, with its last lines."""
    status = program.returncode
    how = f"was killed by signal {-status}" if status is not None and status < 0 else f"ended with status {status}"
    return f"The {program.name} {how}.\n{_quoted(program)}"


def _quoted(program: Program) -> str:
    lines = "".join(f"    {line}\n" for line in program.last_lines())
    return f"{lines}  (all of it: {program.log})"


def _shortened(sentence: str, length: int = 90) -> str:
    first = sentence.split(" (", maxsplit=1)[0].rstrip(".")
    return first if len(first) <= length else f"{first[:length]}…"


def _count(number: int) -> str:
    return f"{number} sandbox" if number == 1 else f"{number} sandboxes"


async def _wait_for_server(server: Postgres | None) -> None:
    if server is None:
        await asyncio.Event().wait()
        return
    ended = asyncio.Event()
    loop = asyncio.get_running_loop()
    pidfd = os.pidfd_open(server.pid)
    loop.add_reader(pidfd, ended.set)
    try:
        await ended.wait()
    finally:
        loop.remove_reader(pidfd)
        os.close(pidfd)
