"""Whatever clients do, and whatever dies, is cut or jumps meanwhile: afterwards everything holds.

Hypothesis chooses what happens; two replicas, PostgreSQL and two agents are real, and one agent is killed with SIGKILL.
"""

import asyncio
import itertools
import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, ClassVar
from uuid import UUID

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule, run_state_machine_as_test

from api.db.migrate import migrate
from api.domain.operation import OperationKind
from nestbox.postgres import Postgres
from tests.model.commands import Clients
from tests.model.platform import InThread, Platform
from tests.model.settings import examples, profile

pytestmark = pytest.mark.timeout(3600)

ACTS = (
    *("create", "create at once", "write", "read", "two at once", "two at once", "trespass", "delete"),
    *("pause", "pause", "pause", "resume", "resume", "resume", "settle", "machine dies", "machine dies"),
    *("start", "start", "set timeout", "use", "use when paused", "use when paused"),
    *("agent is killed", "connections are cut", "clock jumps", "wake-ups are lost"),
)
"""What can happen next, the more often the likelier."""

KINDS = st.sampled_from([OperationKind.PAUSE, OperationKind.RESUME, OperationKind.START, OperationKind.DELETE])
KEYS = st.sampled_from([None, "a", "b"])
NAMES = st.sampled_from(["one", "two"])
TEAMS = st.integers(0, 1)
WAITS = st.sampled_from([0, 10])
WHICH = st.integers(0, 5)
"""Of the sandboxes that were made so far, modulo their number."""

_runs = itertools.count()

QUICK = settings(
    max_examples=16,
    stateful_step_count=14,
    deadline=None,
    derandomize=True,
    database=None,
    phases=(Phase.explicit, Phase.generate),
    suppress_health_check=list(HealthCheck),
)
DEEP = settings(QUICK, max_examples=examples(), stateful_step_count=40, derandomize=False, print_blob=True)


class Model(RuleBasedStateMachine):
    """One run: some sandboxes of two teams, on a platform that all runs share."""

    shared: ClassVar[InThread]

    def __init__(self) -> None:
        super().__init__()
        self.clients = Clients(next(_runs))
        self.sandboxes: list[tuple[int, UUID]] = []
        self.files: dict[UUID, set[bytes]] = {}
        self.contents = itertools.count()

    @initialize()
    def begins(self) -> None:
        self._create(0, None, "first", 30)
        self._create(1, None, "second", 30)

    @rule(act=st.sampled_from(ACTS), data=st.data())
    def step(self, act: str, data: st.DataObject) -> None:
        """One rule, so that Hypothesis does not leave some of them out of a run."""
        draw = data.draw
        team, sandbox_id = self._one(draw(WHICH))
        match act:
            case "create":
                self._create(draw(TEAMS), draw(KEYS), draw(NAMES), draw(WAITS))
            case "create at once":
                self._create_at_once(draw(TEAMS), draw(NAMES))
            case "pause" | "resume" | "start" | "delete":
                self._command(OperationKind(act), team, sandbox_id, draw(WAITS))
            case "two at once":
                self._two_at_once(team, sandbox_id, draw(st.tuples(KINDS, KINDS)))
            case "trespass":
                kind = draw(KINDS)
                self.shared.do(lambda p: self.clients.trespass(p, kind, p.teams[1 - team], sandbox_id))
            case "set timeout":
                seconds = draw(st.sampled_from([0, 1, 3600]))
                self.shared.do(lambda p: self.clients.set_timeout(p, p.teams[team], sandbox_id, seconds))
            case "use" | "use when paused":
                if act == "use when paused":
                    self._command(OperationKind.PAUSE, team, sandbox_id, 10)
                self._use(team, sandbox_id, writes=draw(st.booleans()))
            case "write":
                self._write(team, sandbox_id)
            case "read":
                self._read(team, sandbox_id)
            case "settle":
                assert self.shared.do(Platform.settled) == []
            case _:
                self._disturb(act, sandbox_id, draw)

    def _disturb(self, act: str, sandbox_id: UUID, draw: Callable[..., Any]) -> None:
        match act:
            case "machine dies":
                self.shared.do(lambda p: _now(p.crash, sandbox_id))
            case "agent is killed":
                self.shared.do(Platform.kill_agent)
            case "connections are cut":
                self.shared.do(Platform.cut_connections)
            case "clock jumps":
                seconds = draw(st.sampled_from([-7200, 7200, 40]))
                self.shared.do(lambda p: _now(p.clock.jump, seconds))
            case "wake-ups are lost":
                lost = draw(st.booleans())
                self.shared.do(lambda p: _now(p.lose_wake_ups, lost))
            case _:
                raise AssertionError(act)

    def _create(self, team: int, key: str | None, name: str, wait: int) -> None:
        self._made(team, self.shared.do(lambda p: self.clients.create(p, team, key, name, wait)))

    def _create_at_once(self, team: int, name: str) -> None:
        async def race(platform: Platform) -> list[UUID | None]:
            return list(
                await asyncio.gather(*(self.clients.create(platform, team, "raced", name, 10) for _ in range(3)))
            )

        made = {sandbox_id for sandbox_id in self.shared.do(race) if sandbox_id is not None}
        assert len(made) <= 1
        for sandbox_id in made:
            self._made(team, sandbox_id)

    def _command(self, kind: OperationKind, team: int, sandbox_id: UUID, wait: int) -> None:
        self.shared.do(lambda p: self.clients.command(p, kind, p.teams[team], sandbox_id, wait))

    def _two_at_once(self, team: int, sandbox_id: UUID, kinds: tuple[OperationKind, OperationKind]) -> None:
        async def race(platform: Platform) -> None:
            principal = platform.teams[team]
            await asyncio.gather(*(self.clients.command(platform, kind, principal, sandbox_id, 10) for kind in kinds))

        self.shared.do(race)

    def _write(self, team: int, sandbox_id: UUID) -> None:
        content = f"content {next(self.contents)}".encode()
        surely = self.shared.do(lambda p: self.clients.write(p, p.teams[team], sandbox_id, content))
        self._has_written(sandbox_id, content, surely=surely)

    def _has_written(self, sandbox_id: UUID, content: bytes, *, surely: bool) -> None:
        if surely:
            self.files[sandbox_id] = {content}
        elif sandbox_id in self.files:
            self.files[sandbox_id].add(content)

    def _use(self, team: int, sandbox_id: UUID, *, writes: bool) -> None:
        """A command or a file, whatever state the sandbox is in."""
        content = f"content {next(self.contents)}".encode()

        async def use(platform: Platform) -> bool:
            principal = platform.teams[team]
            clients = self.clients
            was_used = False

            async def access() -> bool:
                nonlocal was_used
                if writes:
                    was_used = await clients.write(platform, principal, sandbox_id, content)
                else:
                    was_used = await clients.execute(platform, principal, sandbox_id)
                return was_used

            await clients.use(platform, principal, sandbox_id, access)
            return was_used

        surely = self.shared.do(use)
        if writes:
            self._has_written(sandbox_id, content, surely=surely)

    def _read(self, team: int, sandbox_id: UUID) -> None:
        if sandbox_id in self.files:
            content = self.shared.do(lambda p: self.clients.read(p, p.teams[team], sandbox_id))
            assert content is None or content in self.files[sandbox_id]

    def teardown(self) -> None:
        """The end of each run: it settles, everything is deleted, and it settles again."""
        self.shared.do(lambda p: _now(p.lose_wake_ups, False))
        assert self.shared.do(Platform.settled) == []
        for team, sandbox_id in self.sandboxes:
            self._command(OperationKind.DELETE, team, sandbox_id, 0)
        assert self.shared.do(Platform.settled) == []

    def _made(self, team: int, sandbox_id: UUID | None) -> None:
        if sandbox_id is not None and (team, sandbox_id) not in self.sandboxes:
            self.sandboxes.append((team, sandbox_id))

    def _one(self, which: int) -> tuple[int, UUID]:
        return self.sandboxes[which % len(self.sandboxes)]


async def _now(act: Callable[..., None], *arguments: object) -> None:
    act(*arguments)


@pytest.fixture
def shared(postgres: Postgres) -> Iterator[InThread]:
    postgres.ensure_database("model")
    asyncio.run(migrate(postgres.url("model"), postgres.owner_url("model")))
    folder = Path(tempfile.mkdtemp(prefix="nestbox-model-"))
    try:
        with InThread(postgres.url("model"), folder) as platform:
            yield platform
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def test_nothing_is_lost_whatever_happens(shared: InThread) -> None:
    class Shared(Model):
        pass

    Shared.shared = shared
    run_state_machine_as_test(Shared, settings=DEEP if profile() == "deep" else QUICK)
