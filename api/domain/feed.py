"""What subscribers are told. Every event carries the cursor from which a stream can be resumed."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from uuid import UUID

from api.domain.operation import Operation
from api.domain.quota import Quota
from api.domain.sandbox import Sandbox


class RemovedReason(StrEnum):
    """Why a sandbox left a live list."""

    DELETED = "deleted"
    FILTERED = "filtered"
    """It is there, but the list's filter no longer matches."""


@dataclass(frozen=True, slots=True)
class Reset:
    """The list as it is, in place of everything told before. `truncated`: there are more than a reset carries; the
    oldest are left out, though later changes of them are told. `expired`: a cursor was given that the log does not
    reach back to."""

    sandboxes: tuple[Sandbox, ...]
    cursor: str
    truncated: bool
    expired: bool = False


@dataclass(frozen=True, slots=True)
class Changed:
    """A sandbox as it is now: new in the list, or different from what was told before."""

    sandbox: Sandbox
    cursor: str


@dataclass(frozen=True, slots=True)
class Removed:
    """A sandbox is no longer in the list."""

    id: UUID
    cursor: str
    reason: RemovedReason


@dataclass(frozen=True, slots=True)
class Heartbeat:
    """Nothing happened for a while, and nothing was missed."""

    cursor: str
    at: datetime


@dataclass(frozen=True, slots=True)
class OperationChanged:
    """An operation as it is now."""

    operation: Operation
    cursor: str


@dataclass(frozen=True, slots=True)
class QuotaChanged:
    """What a team may have and has, as it is now."""

    quota: Quota
    cursor: str


FeedEvent = Reset | Changed | Removed | Heartbeat
