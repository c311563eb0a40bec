"""Files over HTTP: streamed both ways, whole or not at all."""

import asyncio
import hashlib
import os
from collections.abc import AsyncIterator
from typing import Any

import httpx
import psutil
import pytest

from tests.api.client import Client
from tests.api.conftest import Platform, revoke

TWENTY_MB = 20 * 1024 * 1024


def _address(sandbox: dict[str, Any]) -> str:
    return f"/sandboxes/{sandbox['id']}/files"


def _error(response: httpx.Response, status: int, code: str) -> None:
    assert (response.status_code, response.json()["error"]["code"]) == (status, code)
    assert response.json()["error"]["requestId"] == response.headers["x-request-id"]


async def test_20_megabytes_go_up_and_down_in_bounded_memory(client: Client) -> None:
    sandbox = await client.create()
    block = os.urandom(1024 * 1024)
    process = psutil.Process()

    async def content() -> AsyncIterator[bytes]:
        for _ in range(20):
            yield block

    await client.http.put(_address(sandbox), params={"path": "/root/warm"}, content=block)
    before = process.memory_info().rss
    peak = before
    response = await client.http.put(_address(sandbox), params={"path": "/root/big"}, content=content())
    peak = max(peak, process.memory_info().rss)
    assert (response.status_code, response.json()) == (200, {"path": "/root/big", "sizeBytes": TWENTY_MB})

    digest = hashlib.sha256()
    async with client.http.stream("GET", _address(sandbox), params={"path": "/root/big"}) as download:
        assert download.status_code == 200
        assert download.headers["content-length"] == str(TWENTY_MB)
        async for chunk in download.aiter_bytes():
            digest.update(chunk)
            peak = max(peak, process.memory_info().rss)
    assert digest.digest() == hashlib.sha256(block * 20).digest()
    # client and server are both in this process; held whole, the file would take 20 MB in each
    assert peak - before < 16 * 1024 * 1024


async def test_downloads_are_never_shown_by_a_browser(client: Client) -> None:
    sandbox = await client.create()
    await client.http.put(_address(sandbox), params={"path": '/root/ü".html'}, content=b"<script>alert(1)</script>")

    response = await client.http.get(_address(sandbox), params={"path": '/root/ü".html'})

    assert response.content == b"<script>alert(1)</script>"
    assert response.headers["content-type"] == "application/octet-stream"
    assert response.headers["content-disposition"] == "attachment; filename*=UTF-8''%C3%BC%22.html"
    assert response.headers["x-content-type-options"] == "nosniff"
    assert "sandbox" in response.headers["content-security-policy"]


async def test_the_mode_is_octal(client: Client) -> None:
    sandbox = await client.create()
    await client.http.put(_address(sandbox), params={"path": "/root/a", "mode": "0755"}, content=b"x")

    assert (await client.http.get(_address(sandbox), params={"path": "/root/a"})).headers["x-file-mode"] == "0755"
    empty = await client.http.put(_address(sandbox), params={"path": "/root/empty"}, content=b"")
    assert empty.json() == {"path": "/root/empty", "sizeBytes": 0}
    assert (await client.http.get(_address(sandbox), params={"path": "/root/empty"})).content == b""


async def test_a_form_writes_each_of_its_files(client: Client) -> None:
    sandbox = await client.create()
    big = os.urandom(3 * 1024 * 1024)
    files = [("file", ("a.txt", b"one")), ("file", ("ü b.bin", big)), ("file", ("empty", b""))]

    response = await client.http.post(
        _address(sandbox), params={"path": "/root/"}, files=files, data={"field": "skipped"}
    )

    assert response.status_code == 200
    assert response.json() == {
        "files": [
            {"path": "/root/a.txt", "sizeBytes": 3},
            {"path": "/root/ü b.bin", "sizeBytes": len(big)},
            {"path": "/root/empty", "sizeBytes": 0},
        ]
    }
    assert (await client.http.get(_address(sandbox), params={"path": "/root/ü b.bin"})).content == big


@pytest.mark.parametrize(
    ("content_type", "body", "status", "code"),
    [
        ("text/plain", b"x", 400, "UNSUPPORTED_MEDIA_TYPE"),
        ("multipart/form-data", b"x", 400, "UNSUPPORTED_MEDIA_TYPE"),
        ("multipart/form-data; boundary=b", b"", 400, "MALFORMED_FORM"),
        ("multipart/form-data; boundary=b", b"nonsense", 400, "MALFORMED_FORM"),
        ("multipart/form-data; boundary=" + "b" * 1000, b"x", 400, "MALFORMED_FORM"),
        ("multipart/form-data; boundary=b", b"--b--\r\n", 400, "MALFORMED_FORM"),
        (
            "multipart/form-data; boundary=b",
            b'--b\r\nContent-Disposition: form-data; name="f"; filename="cut"\r\n\r\nhalf',
            400,
            "MALFORMED_FORM",
        ),
        (
            "multipart/form-data; boundary=b",
            b'--b\r\nContent-Disposition: form-data; name="f"; filename="../up"\r\n\r\nx\r\n--b--\r\n',
            400,
            "INVALID",
        ),
        (
            "multipart/form-data; boundary=b",
            b'--b\r\nContent-Disposition: form-data; name="f"; filename=".."\r\n\r\nx\r\n--b--\r\n',
            400,
            "INVALID",
        ),
        ("multipart/form-data; boundary=b", b"--b\r\nX: " + b"x" * 100_000, 400, "MALFORMED_FORM"),
    ],
)
async def test_forms_that_make_no_sense_are_refused(
    client: Client, content_type: str, body: bytes, status: int, code: str
) -> None:
    sandbox = await client.create()

    response = await client.http.post(
        _address(sandbox), params={"path": "/root"}, content=body, headers={"content-type": content_type}
    )

    _error(response, status, code)
    missing = await client.http.get(_address(sandbox), params={"path": "/root/cut"})
    _error(missing, 404, "NO_SUCH_FILE")


@pytest.mark.parametrize(
    ("query", "status", "code"),
    [
        ("path=/missing", 404, "NO_SUCH_FILE"),
        ("path=/root", 400, "NOT_A_FILE"),
        ("path=/a%00b", 400, "INVALID"),
        ("path=relative", 400, "INVALID"),
        ("path=", 400, "INVALID"),
        ("", 400, "INVALID"),
        ("path=/a&path=/b", 400, "INVALID"),
        ("path=/%ff", 400, "BAD_REQUEST"),
        ("path=/" + "x" * 5_000, 400, "INVALID"),
    ],
)
async def test_paths_that_cannot_be_are_refused(client: Client, query: str, status: int, code: str) -> None:
    sandbox = await client.create()

    _error(await client.http.get(f"{_address(sandbox)}?{query}"), status, code)
    if code != "NO_SUCH_FILE":
        _error(await client.http.put(f"{_address(sandbox)}?{query}", content=b""), status, code)


async def test_a_large_upload_that_is_refused_early_says_why_each_time(client: Client) -> None:
    sandbox = await client.create()
    block = os.urandom(64 * 1024)

    async def content() -> AsyncIterator[bytes]:
        for _ in range(80):
            yield block

    for _ in range(20):
        response = await client.http.put(_address(sandbox), params={"path": "/root"}, content=content())
        _error(response, 400, "NOT_A_FILE")
    for _ in range(20):
        error = await client.refusal(
            "exec", sandboxId=sandbox["id"], argv=["no-such-program"], stdin="x" * (512 * 1024)
        )
        assert error["code"] == "COMMAND_NOT_FOUND"


@pytest.mark.parametrize("mode", ["9", "rwx", "-1", "7777", ""])
async def test_modes_that_cannot_be_are_refused(client: Client, mode: str) -> None:
    sandbox = await client.create()

    _error(
        await client.http.put(_address(sandbox), params={"path": "/root/a", "mode": mode}, content=b"x"), 400, "INVALID"
    )


async def test_files_of_others_do_not_exist(client: Client, other_client: Client) -> None:
    sandbox = await other_client.create()
    await other_client.http.put(_address(sandbox), params={"path": "/root/a"}, content=b"secret")
    for address in (_address(sandbox), "/sandboxes/sb-01234567-89ab-7cde-8f01-23456789abcd/files"):
        _error(await client.http.get(address, params={"path": "/root/a"}), 404, "NOT_FOUND")
        _error(await client.http.put(address, params={"path": "/root/a"}, content=b"x"), 404, "NOT_FOUND")
    _error(await client.http.get("/sandboxes/nonsense/files", params={"path": "/a"}), 400, "MALFORMED_ID")
    _error(await client.http.delete(_address(sandbox)), 405, "METHOD_NOT_ALLOWED")


async def test_a_paused_sandbox_has_no_files_to_give(client: Client) -> None:
    sandbox = await client.create()
    await client.command("pauseSandbox", "__typename", id=sandbox["id"])

    _error(await client.http.get(_address(sandbox), params={"path": "/root/a"}), 409, "WRONG_STATE")


@pytest.mark.parametrize("form", [False, True])
async def test_a_client_that_goes_away_in_the_middle_leaves_no_part_of_a_file(client: Client, form: bool) -> None:
    sandbox = await client.create()
    await client.http.put(_address(sandbox), params={"path": "/root/kept"}, content=b"as it was")
    reader, writer = await asyncio.open_connection("127.0.0.1", int(client.url.rpartition(":")[2]))
    path, start = "/root/kept", b""
    if form:
        path, start = "/root", b'--b\r\nContent-Disposition: form-data; name="f"; filename="kept"\r\n\r\n'
    head = (
        f"{'POST' if form else 'PUT'} {_address(sandbox)}?path={path} HTTP/1.1\r\nHost: x\r\n"
        f"Authorization: Bearer {client.key}\r\nContent-Type: multipart/form-data; boundary=b\r\n"
        "Content-Length: 10000000\r\n\r\n"
    )
    writer.write(head.encode() + start + b"x" * 500_000)
    await writer.drain()
    writer.transport.abort()
    del reader

    found = await client.http.get(_address(sandbox), params={"path": "/root/kept"})
    assert found.content == b"as it was"
    async with asyncio.timeout(10):
        while (await client.command("exec", "result { exitCode }", sandboxId=sandbox["id"], argv=["true"]))[
            "userErrors"
        ]:
            pass
    assert (await client.http.get(_address(sandbox), params={"path": "/root/kept"})).content == b"as it was"


async def test_an_upload_of_a_revoked_key_is_cut_off_within_five_seconds(client: Client, platform: Platform) -> None:
    sandbox = await client.create()
    viewer = await client.ask("{ viewer { keyId } }")
    # by hand, since httpx reads nothing before it has sent everything
    reader, writer = await asyncio.open_connection("127.0.0.1", platform.port)
    head = f"PUT {_address(sandbox)}?path=/root/x HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {client.key}\r\n"
    writer.write(f"{head}content-length: {TWENTY_MB}\r\n\r\nbegun".encode())
    await writer.drain()
    await revoke(platform, viewer["keyId"])
    async with asyncio.timeout(5):
        assert await reader.readline() == b"HTTP/1.1 401 Unauthorized\r\n"
    writer.close()
