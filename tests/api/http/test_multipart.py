"""Forms that never come to the point."""

import asyncio
from collections.abc import Iterable

import pytest
from starlette.types import Message, Receive

from api.errors import Invalid
from api.http import bodies
from api.http.bodies import UPLOAD_IDLE_SECONDS_MAX, PatientBody
from api.http.multipart import BESIDE_FILES_BYTES_MAX, FIELDS_PER_FORM_MAX, FormFiles

FIELD = b'--b\r\nContent-Disposition: form-data; name="f"\r\n\r\n'
FILE = b'--b\r\nContent-Disposition: form-data; name="f"; filename="a"\r\n\r\n'
END = b"--b--\r\n"
ALMOST = UPLOAD_IDLE_SECONDS_MAX - 1


class Clock:
    """Stands still between two chunks."""

    def __init__(self) -> None:
        self.seconds = 0.0

    def monotonic(self) -> float:
        return self.seconds


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    found = Clock()
    monkeypatch.setattr(bodies, "time", found)
    return found


def _sent(chunks: Iterable[bytes], clock: Clock | None = None) -> Receive:
    """A client that sends these; by this clock it lets almost all of the patience pass before each."""
    left = iter(chunks)

    async def receive() -> Message:
        if clock is not None:
            clock.seconds += ALMOST
        # a turn of the loop, in which a time that is over is noticed
        await asyncio.sleep(0)
        chunk = next(left, None)
        return {"type": "http.request", "body": chunk or b"", "more_body": chunk is not None}

    return receive


async def _read(receive: Receive) -> list[bytes]:
    form = FormFiles("multipart/form-data; boundary=b", PatientBody(receive))
    return [b"".join([chunk async for chunk in file.content]) async for file in form]


async def test_files_may_come_as_slowly_as_they_like(clock: Clock) -> None:
    chunks = (FILE, b"1", b"2", b"3", b"4\r\n" + FILE, b"5", b"6\r\n" + END)
    assert await _read(_sent(chunks, clock)) == [b"1234", b"56"]
    whole = [chunk async for chunk in PatientBody(_sent((b"1", b"2", b"3"), clock)).as_file()]
    assert whole == [b"1", b"2", b"3"]


@pytest.mark.parametrize(
    "chunks",
    [
        (FIELD, b"1", b"2", b"3", b"\r\n" + END),
        (FILE + b"\r\n", FIELD, b"1", b"2", b"\r\n" + END),
        (FILE + b"\r\n" + END, b"after", b"the", b"end"),
        (b"--b\r\n", b"Content-", b"Disposition", b": form-data", b"\r\n\r\n\r\n" + END),
    ],
    ids=["a field", "a field after a file", "what follows the form", "headers"],
)
async def test_what_is_no_file_does_not_renew_the_patience(clock: Clock, chunks: tuple[bytes, ...]) -> None:
    with pytest.raises(Invalid) as refused:
        await _read(_sent(chunks, clock))
    assert refused.value.code == "BODY_TOO_SLOW"


@pytest.mark.parametrize(
    ("start", "code"),
    [(FIELD, "BODY_TOO_LARGE"), (FILE + b"\r\n" + END, "BODY_TOO_LARGE")],
    ids=["a field", "what follows the form"],
)
async def test_a_form_has_so_much_beside_its_files_and_no_more(start: bytes, code: str) -> None:
    block = b"x" * 65_536
    sent = 0

    def endless() -> Iterable[bytes]:
        nonlocal sent
        yield start
        while sent < 100 * BESIDE_FILES_BYTES_MAX:
            sent += len(block)
            yield block

    with pytest.raises(Invalid) as refused:
        await _read(_sent(endless()))
    assert refused.value.code == code
    assert sent <= BESIDE_FILES_BYTES_MAX + len(block)


async def test_the_content_of_files_is_not_counted_as_anything_else() -> None:
    block = b"x" * BESIDE_FILES_BYTES_MAX
    chunks = (FILE, block, block[:-1], b"\r\n" + FIELD + b"1\r\n" + FILE + b"\r\n--c", block, b"\r\n" + END)
    first, second = await _read(_sent(chunks))
    assert (len(first), len(second)) == (2 * BESIDE_FILES_BYTES_MAX - 1, BESIDE_FILES_BYTES_MAX + 5)


async def test_a_form_has_so_many_fields_and_no_more() -> None:
    many = (FIELD + b"\r\n") * FIELDS_PER_FORM_MAX
    assert await _read(_sent((many, FILE + b"1\r\n" + END))) == [b"1"]
    with pytest.raises(Invalid, match="fields that are no files") as refused:
        await _read(_sent((many, FIELD + b"\r\n", FILE + b"1\r\n" + END)))
    assert refused.value.code == "MALFORMED_FORM"
