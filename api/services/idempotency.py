"""Idempotency keys: the same command again is answered with what became of the first."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass

from api.db import operations, sandboxes
from api.db.database import Database
from api.domain.operation import Operation
from api.domain.principal import Principal
from api.domain.text import check_text
from api.errors import Conflict, Invalid
from api.services.outcome import Outcome

KEY_BYTES_MAX = 255
WAIT_SECONDS_MAX = 60


@dataclass(frozen=True, slots=True)
class Repeatable:
    """A key, if the caller gave one, and the SHA-256 of everything that the command says."""

    key: str | None
    input_sha256: bytes

    async def first_operation(self, database: Database, principal: Principal) -> Operation | None:
        """The operation that this key led to; None if it is new.

        Raises:
            Conflict: `IDEMPOTENCY_CONFLICT`: it was used for something else.
        """
        if self.key is None:
            return None
        found = await operations.by_key(database, principal.team_id, self.key)
        if found is None:
            return None
        operation, input_sha256 = found
        if input_sha256 != self.input_sha256:
            raise _used_for_something_else()
        return operation

    async def first_result(self, database: Database, principal: Principal) -> Outcome | None:
        """The operation that this key led to, and its sandbox; None if it is new. Raises: as `first_operation`."""
        operation = await self.first_operation(database, principal)
        if operation is None:
            return None
        if operation.sandbox_id is None:
            raise _used_for_something_else()
        sandbox = await sandboxes.get(database, principal.team_id, operation.sandbox_id)
        if sandbox is None:
            raise _used_for_something_else()
        return Outcome(sandbox, operation)


def _used_for_something_else() -> Conflict:
    return Conflict(
        "This idempotency key was used already, with another input. Use a new key for a new command.",
        code="IDEMPOTENCY_CONFLICT",
        path=("idempotencyKey",),
    )


def repeatable(key: str | None, command: Mapping[str, object]) -> Repeatable:
    """A command that may be repeated under a key. Raises: Invalid if that is no usable key."""
    if key is not None:
        check_text(key, "The idempotency key", max_bytes=KEY_BYTES_MAX, min_bytes=1, path=("idempotencyKey",))
    text = json.dumps(command, sort_keys=True, default=str)
    return Repeatable(key, hashlib.sha256(text.encode()).digest())


def check_wait(seconds: int) -> int:
    """How long a caller waits for an outcome. Raises: Invalid."""
    if not 0 <= seconds <= WAIT_SECONDS_MAX:
        raise Invalid(f"waitSeconds is 0 to {WAIT_SECONDS_MAX}, not {seconds}.", path=("waitSeconds",))
    return seconds
