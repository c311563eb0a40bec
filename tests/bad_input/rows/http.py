"""HTTP: bodies, heads and addresses that nobody means."""

import json
import zlib
from collections.abc import Callable

from tests.bad_input.cells import REPEATS, Cell
from tests.bad_input.place import Place
from tests.bad_input.requests import AUDITED, AUDITED_REPEATS, JSON, asked, encoded, got, head, posted
from tests.bad_input.senders import Answer, Senders

ROW = "HTTP"
GIB = 1024 * 1024 * 1024
BLOCK = b"x" * 65_536
CHUNK = b"10000\r\n" + BLOCK + b"\r\n"
SLOW_SENDERS = 50
LINGERS = "the server reads on for a second before it closes the connection (LINGER_SECONDS)"
PAGE = "x-nestbox-csrf: 1\r\nOrigin: http://x"
"""What a page of ours sends along; every host is called x here."""
DECLARED = f"Content-Length: {GIB}"
CHUNKED = "Transfer-Encoding: chunked"


def _simple(item: str, name: str, outcome: str, request: Callable[[Place], bytes], repeats: int = REPEATS) -> Cell:
    async def send(senders: Senders) -> Answer:
        return await senders.http(request(senders.place))

    why = AUDITED if repeats == AUDITED_REPEATS else LINGERS if repeats != REPEATS else ""
    return Cell(ROW, item, name, (outcome,), send, repeats, why)


def _flood(item: str, name: str, outcome: str, start: bytes | Callable[[Place], bytes], unit: bytes) -> Cell:
    async def send(senders: Senders) -> Answer:
        return await senders.flood(start(senders.place) if callable(start) else start, unit)

    return Cell(ROW, item, name, (outcome,), send, 20, "each has a connection of its own, and sends megabytes")


def _typed(place: Place, start: str, *lines: str, key: bool = True) -> bytes:
    return head(place, start, f"Content-Type: {JSON}", *lines, key=key) + b"\r\n"


async def _slow_senders(senders: Senders) -> Answer:
    """Half of them stop in the head, half in the body; somebody else is answered all the same."""
    held = []
    try:
        for number in range(SLOW_SENDERS):
            _, writer = await senders.dial()
            held.append(writer)
            whole = posted(senders.place, b"{" + b" " * 100)
            writer.write(whole[: 30 if number % 2 else -50])
            await writer.drain()
        return await senders.http(asked(senders.place, "{ viewer { keyName } }"))
    finally:
        for writer in held:
            writer.transport.abort()


def _bomb() -> bytes:
    """64 MiB of JSON in 64 KiB."""
    return zlib.compress(json.dumps({"query": " " * (64 << 20)}).encode(), level=1, wbits=31)


BOMB = _bomb()


def _form(place: Place, filename: bytes, *, path: str = "/root") -> bytes:
    body = b'--b\r\nContent-Disposition: form-data; name="f"; filename="' + filename + b'"\r\n\r\nx\r\n--b--\r\n'
    lines = ("Content-Type: multipart/form-data; boundary=b", f"Content-Length: {len(body)}")
    return head(place, f"POST /sandboxes/{place.running}/files?path={path}", *lines) + b"\r\n" + body


def _foreign(origin: str) -> Cell:
    lines = ("x-nestbox-csrf: 1", f"Origin: {origin}")
    return _simple(
        "foreign Origin", origin, "403 CSRF", lambda place: posted(place, b"{}", *lines, to="/auth/sign-in", key=False)
    )


BODIES: tuple[Cell, ...] = (
    _simple("empty body", "a document", "400 MALFORMED_JSON", lambda place: posted(place, b"")),
    _simple("empty body", "without a length", "400 MALFORMED_JSON", lambda place: _typed(place, "POST /graphql")),
    _simple(
        "empty body", "signing in", "400 MALFORMED_JSON", lambda place: posted(place, b"", PAGE, to="/auth/sign-in"), 20
    ),
    _simple(
        "empty body", "a host joins", "400 MALFORMED_JSON", lambda place: posted(place, b"", to="/hosts/register"), 20
    ),
    _simple("empty body", "nothing but spaces", "400 MALFORMED_JSON", lambda place: posted(place, b" " * 1000)),
    _flood(
        "1 GiB body", "a document", "413 BODY_TOO_LARGE", lambda place: _typed(place, "POST /graphql", DECLARED), BLOCK
    ),
    _flood(
        "1 GiB body",
        "without a key",
        "401 UNAUTHENTICATED",
        lambda place: _typed(place, "POST /graphql", DECLARED, key=False),
        BLOCK,
    ),
    _flood(
        "1 GiB body",
        "signing in",
        "413 BODY_TOO_LARGE",
        lambda place: _typed(place, "POST /auth/sign-in", DECLARED, PAGE, key=False),
        BLOCK,
    ),
    _flood(
        "1 GiB body",
        "a host joins",
        "413 BODY_TOO_LARGE",
        lambda place: _typed(place, "POST /hosts/register", DECLARED, key=False),
        BLOCK,
    ),
    _flood(
        "1 GiB body",
        "a file of nothing",
        "400 MALFORMED_ID",
        lambda place: _typed(place, "PUT /sandboxes/x/files?path=/x", DECLARED),
        BLOCK,
    ),
    _flood(
        "1 GiB body",
        "nobody reads it",
        "405 METHOD_NOT_ALLOWED",
        lambda place: _typed(place, "POST /healthz", DECLARED),
        BLOCK,
    ),
    _flood(
        "endless body", "a document", "413 BODY_TOO_LARGE", lambda place: _typed(place, "POST /graphql", CHUNKED), CHUNK
    ),
    _flood(
        "endless body",
        "signing in",
        "413 BODY_TOO_LARGE",
        lambda place: _typed(place, "POST /auth/sign-in", CHUNKED, PAGE, key=False),
        CHUNK,
    ),
    _flood(
        "endless body",
        "a host joins",
        "413 BODY_TOO_LARGE",
        lambda place: _typed(place, "POST /hosts/register", CHUNKED, key=False),
        CHUNK,
    ),
    _flood(
        "endless body",
        "a file of another team",
        "404 NOT_FOUND",
        lambda place: _typed(place, f"PUT /sandboxes/{place.foreign}/files?path=/x", CHUNKED),
        CHUNK,
    ),
    _flood(
        "endless body",
        "a form that never begins",
        "400 MALFORMED_FORM",
        lambda place: (
            head(
                place,
                f"POST /sandboxes/{place.running}/files?path=/x",
                "Content-Type: multipart/form-data; boundary=b",
                CHUNKED,
            )
            + b"\r\n"
        ),
        CHUNK,
    ),
    _flood(
        "endless body",
        "a field of a form",
        "413 BODY_TOO_LARGE",
        lambda place: (
            head(
                place,
                f"POST /sandboxes/{place.running}/files?path=/x",
                "Content-Type: multipart/form-data; boundary=b",
                CHUNKED,
            )
            + b'\r\n35\r\n--b\r\nContent-Disposition: form-data; name="field"\r\n\r\n\r\n'
        ),
        CHUNK,
    ),
    _flood(
        "endless body",
        "the size of a chunk",
        "431 HEAD_TOO_LARGE",
        lambda place: _typed(place, "POST /graphql", CHUNKED),
        b"0" * 65_536,
    ),
    _flood(
        "endless body",
        "the extension of a chunk",
        "431 HEAD_TOO_LARGE",
        lambda place: _typed(place, "POST /graphql", CHUNKED) + b"1;",
        BLOCK,
    ),
    _flood(
        "endless body",
        "trailers",
        "431 HEAD_TOO_LARGE",
        lambda place: _typed(place, "POST /graphql", CHUNKED) + b"1\r\nx\r\n0\r\na: ",
        BLOCK,
    ),
    Cell(
        ROW,
        "slow sender",
        "many at once delay nobody",
        ("200 OK",),
        _slow_senders,
        20,
        f"each opens {SLOW_SENDERS} connections",
    ),
    _simple(
        "gzip bomb", "a document", "400 MALFORMED_JSON", lambda place: posted(place, BOMB, "Content-Encoding: gzip"), 20
    ),
    _simple(
        "gzip bomb",
        "as it may be sent",
        "400 BAD_REQUEST",
        lambda place: _typed(place, "POST /graphql", "Transfer-Encoding: gzip") + BOMB,
        20,
    ),
    *(_foreign(origin) for origin in ("https://evil.example", "null", "http://[")),
    _simple("bad UTF-8", "in a document", "400 MALFORMED_JSON", lambda place: posted(place, b'{"query": "\xff"}')),
    _simple(
        "bad UTF-8", "as UTF-16", "400 MALFORMED_JSON", lambda place: posted(place, '{"query": "{a}"}'.encode("utf-16"))
    ),
    _simple("bad UTF-8", "in the address", "400 BAD_REQUEST", lambda place: got(place, "/graphql?query=%ff")),
    _simple("bad UTF-8", "in a path", "400 MALFORMED_ID", lambda place: got(place, "/sandboxes/%ff/files?path=/x")),
    _simple(
        "bad UTF-8",
        "in the path of a file",
        "400 BAD_REQUEST",
        lambda place: got(place, f"/sandboxes/{place.running}/files?path=/%c3"),
    ),
    _simple("bad UTF-8", "in the name of a file", "400 MALFORMED_FORM", lambda place: _form(place, b"\xff"), 20),
    _simple(
        "bad UTF-8",
        "in a key",
        "401 UNAUTHENTICATED",
        lambda place: head(place, "GET /graphql?query={a}", key=False) + b"Authorization: Bearer \xff\xfe\r\n\r\n",
    ),
    _simple(
        "bad UTF-8",
        "in a cookie",
        "200 OK",
        lambda place: head(place, "GET /auth/session", key=False) + b"Cookie: nestbox_session=\xff\xfe\r\n\r\n",
    ),
)

HEADS: tuple[Cell, ...] = (
    _flood("endless head", "the address", "431 HEAD_TOO_LARGE", b"GET /?", BLOCK),
    _flood("endless head", "the name of a header", "431 HEAD_TOO_LARGE", b"GET / HTTP/1.1\r\n", BLOCK),
    _flood("endless head", "a header", "431 HEAD_TOO_LARGE", b"GET / HTTP/1.1\r\nx: ", BLOCK),
    _flood("endless head", "headers", "431 HEAD_TOO_LARGE", b"GET / HTTP/1.1\r\n", b"a: b\r\n" * 10_000),
    _flood("endless head", "empty lines", "431 HEAD_TOO_LARGE", b"", b"\r\n" * 30_000),
    _flood("no HTTP", "TLS", "400 BAD_REQUEST", b"\x16\x03\x01\x02\x00\x01\x00", b"\0" * 1000),
    _flood(
        "no HTTP",
        "a request of HTTP/2",
        "400 BAD_REQUEST",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        b"\0" * 1000,
    ),
    _flood("no HTTP", "two lengths", "400 BAD_REQUEST", lambda place: posted(place, b"{}", "Content-Length: 3"), b"x"),
    _flood("no HTTP", "a length and chunks", "400 BAD_REQUEST", lambda place: posted(place, b"{}", CHUNKED), b"x"),
    _flood(
        "no HTTP",
        "a length below nothing",
        "400 BAD_REQUEST",
        lambda place: _typed(place, "POST /graphql", "Content-Length: -1"),
        b"x",
    ),
    _flood(
        "no HTTP",
        "a length beyond 64 bits",
        "400 BAD_REQUEST",
        lambda place: _typed(place, "POST /graphql", "Content-Length: 99999999999999999999"),
        b"x",
    ),
    _flood(
        "no HTTP",
        "a chunk of no length",
        "400 BAD_REQUEST",
        lambda place: _typed(place, "POST /graphql", CHUNKED) + b"zz\r\n",
        b"x",
    ),
    _simple(
        "no HTTP", "NUL in a header", "400 BAD_REQUEST", lambda place: head(place, "GET /", "a: \0b") + b"\r\n", 20
    ),
    _simple("addresses", "many parameters", "400 BAD_REQUEST", lambda place: got(place, "/graphql?" + "a=b&" * 1000)),
    _simple(
        "addresses", "up and up", "404 NOT_FOUND", lambda place: got(place, "/assets/" + "../" * 100 + "etc/passwd")
    ),
    _simple(
        "addresses",
        "up, in escapes",
        "404 NOT_FOUND",
        lambda place: got(place, "/assets/" + encoded("../" * 20 + "etc/passwd")),
    ),
    _simple("addresses", "NUL", "404 NOT_FOUND", lambda place: got(place, "/assets/a%00b")),
)

CELLS = BODIES + HEADS
