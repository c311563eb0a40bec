"""What clients of the model do: each command is answered with an outcome or with a typed error, never with anything
else, and what it promises is written down."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass, field
from uuid import UUID

from api.domain.command import ExecCommand
from api.domain.operation import FINISHED, OperationKind, OperationState
from api.domain.principal import Principal
from api.domain.sandbox import RESUMABLE, TRANSITIONAL, CreateSandbox, Sandbox, State
from api.errors import Conflict, NestboxError, NoCapacity, NotFound, Unavailable
from api.services.outcome import Outcome
from tests.model.platform import SETTLE_SECONDS, Platform
from tests.waiting import eventually

KEPT_FILE = "/root/kept"
RESUMED_BY_USE = frozenset({"second", "two"})
"""Sandboxes of these names are made with `autoResume`."""


def require(holds: bool, what: object) -> None:
    """Fails unless it holds."""
    assert holds, what


@dataclass
class Clients:
    """What the clients of one run remember: the names of keys that they used, and for what."""

    run: int
    inputs: dict[tuple[int, str], str] = field(default_factory=dict)

    async def create(self, platform: Platform, team: int, key: str | None, name: str, wait_seconds: int) -> UUID | None:
        """The sandbox; None if the client was told that there is none, or was told nothing."""
        principal = platform.teams[team]
        whole_key = None if key is None else f"{self.run}-{key}"
        command = CreateSandbox(
            name=name, idempotency_key=whole_key, wait_seconds=wait_seconds, auto_resume=name in RESUMED_BY_USE
        )
        try:
            outcome = await platform.replica().services.sandboxes.create(principal, command)
        except Conflict as error:
            require(error.code == "IDEMPOTENCY_CONFLICT", error)
            require(key is not None, error)
            require(self.inputs.get((team, key or "")) != name, "the same command again is a conflict")
            return None
        except (Unavailable, NoCapacity) as error:
            require(error.retryable, error)
            return None
        if key is not None and whole_key is not None:
            assert self.inputs.setdefault((team, key), name) == name, "two commands share a key"
            platform.promises.answered(principal.team_id, whole_key, outcome.sandbox.id)
        platform.promises.created.add(outcome.sandbox.id)
        self._note(platform, outcome)
        return outcome.sandbox.id

    async def command(
        self, platform: Platform, kind: OperationKind, principal: Principal, sandbox_id: UUID, wait_seconds: int
    ) -> Outcome | None:
        """Pauses, resumes or deletes; None if that was refused or not answered."""
        sandboxes = platform.replica().services.sandboxes
        calls = {
            OperationKind.PAUSE: sandboxes.pause,
            OperationKind.RESUME: sandboxes.resume,
            OperationKind.START: sandboxes.start,
            OperationKind.DELETE: sandboxes.delete,
        }
        try:
            outcome = await calls[kind](principal, sandbox_id, wait_seconds=wait_seconds)
        except Conflict as error:
            require(error.code == "WRONG_STATE", error)
            require(kind is not OperationKind.DELETE, "a delete is accepted in every state")
            return None
        except Unavailable as error:
            require(error.retryable, error)
            return None
        self._note(platform, outcome)
        return outcome

    async def set_timeout(self, platform: Platform, principal: Principal, sandbox_id: UUID, seconds: int) -> None:
        """A sandbox that is used is not paused; one of a second soon is."""
        try:
            await platform.replica().services.timeouts.set(principal, sandbox_id, seconds)
        except NestboxError as error:
            require(isinstance(error, Conflict | Unavailable), error)

    async def trespass(self, platform: Platform, kind: OperationKind, principal: Principal, sandbox_id: UUID) -> None:
        """Another team's sandbox looks like none."""
        try:
            await self.command(platform, kind, principal, sandbox_id, 0)
        except NotFound:
            return
        found = await self._seen(platform, principal, sandbox_id)
        assert found is None, "a team can see another's sandbox"

    async def use(
        self, platform: Platform, principal: Principal, sandbox_id: UUID, access: Callable[[], Awaitable[bool]]
    ) -> None:
        """What resumes itself can be used when it is paused, sooner or later; what does not cannot. `access` tells
        whether it could be used."""
        before = await self._seen(platform, principal, sandbox_id)
        require(before is not None, "a sandbox cannot be seen by its own team")
        if before is None or not before.auto_resume:
            paused = before is not None and before.state is State.PAUSED
            require(not await access() or not paused, "what is paused and not to be resumed was used")
            return

        async def is_used_or_over() -> bool:
            if await access():
                return True
            found = await self._seen(platform, principal, sandbox_id)
            return found is None or found.state not in {State.RUNNING, *RESUMABLE, *TRANSITIONAL}

        await eventually(is_used_or_over, SETTLE_SECONDS, poll_seconds=0.1)

    async def execute(self, platform: Platform, principal: Principal, sandbox_id: UUID) -> bool:
        """Whether a command ran."""
        try:
            ran = await platform.replica().services.exec.run(principal, sandbox_id, ExecCommand(argv=("true",)))
        except NestboxError as error:
            require(isinstance(error, Conflict | Unavailable), error)
            return False
        require(ran.exit_code == 0 and ran.signal is None, ran)
        return True

    async def write(self, platform: Platform, principal: Principal, sandbox_id: UUID, content: bytes) -> bool:
        """Whether the file was surely written."""

        async def chunks() -> AsyncIterator[bytes]:
            yield content

        try:
            await platform.replica().services.files.write(principal, sandbox_id, KEPT_FILE, chunks())
        except NestboxError as error:
            require(isinstance(error, Conflict | Unavailable), error)
            return False
        return True

    async def read(self, platform: Platform, principal: Principal, sandbox_id: UUID) -> bytes | None:
        """The file that was written before; None if it cannot be read now."""
        try:
            file = await platform.replica().services.files.open(principal, sandbox_id, KEPT_FILE)
            return b"".join([chunk async for chunk in file.content])
        except NestboxError as error:
            require(isinstance(error, Conflict | Unavailable), error)
            return None

    async def _seen(self, platform: Platform, principal: Principal, sandbox_id: UUID) -> Sandbox | None:
        """The sandbox as it is, asked for again while the database does not answer."""
        seen: list[Sandbox | None] = []

        async def is_answered() -> bool:
            with suppress(Unavailable):
                seen.append(await platform.replica().services.sandboxes.get(principal, sandbox_id))
            return bool(seen)

        await eventually(is_answered)
        return seen[0]

    def _note(self, platform: Platform, outcome: Outcome) -> None:
        operation = outcome.operation
        if operation.state is OperationState.SUCCEEDED and operation.kind is OperationKind.DELETE:
            platform.promises.deleted.add(outcome.sandbox.id)
        if operation.state in FINISHED:
            assert (operation.error_code is None) == (operation.state is OperationState.SUCCEEDED), operation
