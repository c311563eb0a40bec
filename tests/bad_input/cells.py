"""What a cell of the matrix is."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from tests.bad_input.senders import Answer, Senders

REPEATS = 200
"""Of every cell that says nothing else, in every run of the tests: some 0.2 s each on a calm computer. Where there is
time (`make long`), each is sent a thousand times."""

BUSY = "503 UNAVAILABLE"
"""The database did not answer in a second: the computer does something else. Such an answer is typed too, and says that
the same may be sent again."""

Send = Callable[[Senders], Awaitable[Answer]]


@dataclass(frozen=True, slots=True)
class Cell:
    """One bad input: where it stands in the matrix, how it is sent, and what comes of it.

    `outcomes` are status and code: `413 BODY_TOO_LARGE` over HTTP, `200 INVALID` for an error of GraphQL, `close 4429`
    for a WebSocket, `INVALID_ARGUMENT INVALID` over gRPC. There are several where a race decides. `repeats` is less
    than `REPEATS` only with a reason in `why_fewer`.
    """

    row: str
    item: str
    name: str
    outcomes: tuple[str, ...]
    send: Send
    repeats: int = REPEATS
    why_fewer: str = ""

    @property
    def id(self) -> str:
        """What pytest calls it."""
        return f"{self.row}: {self.item}: {self.name}"


@dataclass(frozen=True, slots=True)
class Covered:
    """A cell that has a test of its own elsewhere, since it needs a real guest, a browser or several at once."""

    row: str
    item: str
    tests: tuple[str, ...]
    """Node ids, without parameters."""
