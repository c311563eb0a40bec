"""What the database says, in the words of the domain."""

from collections.abc import Iterator
from contextlib import contextmanager

import asyncpg
import structlog

from api.errors import Conflict, Internal, NestboxError, NotFound, Unavailable

_log = structlog.get_logger()

IDEMPOTENCY_KEY_CONSTRAINT = "operations_idempotency_key"

_CONSTRAINTS: dict[str, NestboxError] = {
    IDEMPOTENCY_KEY_CONSTRAINT: Conflict("This idempotency key was used already.", code="IDEMPOTENCY_CONFLICT"),
    "templates_team_name": Conflict(
        "A template of this name exists already, or is just being made.", code="TEMPLATE_NAME_TAKEN", path=("name",)
    ),
    "sandboxes_template_live": Conflict("Sandboxes stand on this template.", code="TEMPLATE_IN_USE", path=("id",)),
    "users_email": Conflict("This email address has an account already.", code="EMAIL_TAKEN", path=("email",)),
    "memberships_team_user": Conflict("This person is in the team already.", code="ALREADY_MEMBER"),
    "api_keys_team_id_fkey": NotFound("There is no such team.", path=("teamId",)),
}
"""Named constraints whose violation is an answer; that of any other is a bug."""


class KeyUsedError(Exception):
    """An idempotency key exists already; whoever wrote it has committed. Nothing was changed by this statement."""


@contextmanager
def translated() -> Iterator[None]:
    """Turns what asyncpg raises into errors of the domain.

    Raises:
        Unavailable: no connection, a lost one, or a server that shuts down or has no room. What a lost connection
            was committing is unknown. KeyUsedError, Conflict, NotFound: named constraints. Internal: everything else.
    """
    try:
        yield
    except asyncpg.UniqueViolationError as error:
        if error.constraint_name == IDEMPOTENCY_KEY_CONSTRAINT:
            raise KeyUsedError from error
        raise _violation(error) from error
    except asyncpg.IntegrityConstraintViolationError as error:
        raise _violation(error) from error
    except (
        OSError,
        TimeoutError,
        asyncpg.PostgresConnectionError,
        asyncpg.InterfaceError,
        asyncpg.OperatorInterventionError,
        asyncpg.InsufficientResourcesError,
        asyncpg.InternalClientError,
        asyncpg.CannotConnectNowError,
        asyncpg.DeadlockDetectedError,
        asyncpg.SerializationError,
    ) as error:
        _log.warning("database unavailable", error=repr(error))
        raise Unavailable("The database does not answer at the moment; try again.", detail=repr(error)) from error
    except asyncpg.PostgresError as error:
        raise Internal("An internal error occurred.", detail=repr(error)) from error


def _violation(error: asyncpg.IntegrityConstraintViolationError) -> NestboxError:
    known = _CONSTRAINTS.get(error.constraint_name or "")
    if known is None:
        return Internal("An internal error occurred.", detail=repr(error))
    # a new one each time: exceptions carry their traceback
    return type(known)(known.message, code=known.code, path=known.path, detail=repr(error))
