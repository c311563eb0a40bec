"""The errors that the control plane raises on purpose, chosen by what the reader can do about them.

Foreign exceptions become one of these only in `api/db` and `api/hosts`; everything else that escapes is a bug
and reaches a client as `INTERNAL`, without its text.
"""

from typing import ClassVar


class NestboxError(Exception):
    """An answer that is not the one asked for.

    `code` is stable and for programs, `message` is a sentence for the user, `detail` is for the log and never
    leaves the server, `path` names the part of the input that is wrong, `retryable` says whether the same request
    can succeed later without the user changing anything.
    """

    default_code: ClassVar[str] = "INTERNAL"
    retryable: ClassVar[bool] = False

    def __init__(
        self,
        message: str,
        *,
        code: str | None = None,
        detail: str = "",
        path: tuple[str, ...] = (),
    ) -> None:
        super().__init__(message)
        self.code = code or self.default_code
        self.message = message
        self.detail = detail
        self.path = path


class Invalid(NestboxError):
    """The input can never be accepted: the caller has to change it."""

    default_code = "INVALID"


class Unauthenticated(NestboxError):
    """Nobody knows who is asking."""

    default_code = "UNAUTHENTICATED"


class Forbidden(NestboxError):
    """The caller may see the thing, but not do this with it."""

    default_code = "FORBIDDEN"


class MissingScope(Forbidden):
    """The caller may not do this kind of thing at all, whatever it is done to."""

    default_code = "MISSING_SCOPE"


class NotFound(NestboxError):
    """There is no such thing, or it is another team's: the two look the same."""

    default_code = "NOT_FOUND"


class Conflict(NestboxError):
    """The thing is not in a state for this: the caller has to look at it again."""

    default_code = "CONFLICT"


class NoCapacity(NestboxError):
    """There is no room now: hosts are full, or a quota is used up."""

    default_code = "NO_CAPACITY"
    retryable = True


class TooMany(NestboxError):
    """Too much was tried in too short a time: the caller has to wait, so long at the most."""

    default_code = "THROTTLED"
    retryable = True

    def __init__(
        self,
        message: str,
        *,
        code: str | None = None,
        detail: str = "",
        path: tuple[str, ...] = (),
        retry_after_seconds: int = 60,
    ) -> None:
        super().__init__(message, code=code, detail=detail, path=path)
        self.retry_after_seconds = retry_after_seconds


class Unavailable(NestboxError):
    """Something that is needed does not answer now: the database, a host."""

    default_code = "UNAVAILABLE"
    retryable = True


class Internal(NestboxError):
    """A bug, or a component that broke its contract."""

    default_code = "INTERNAL"
