"""Sandboxes: what cannot be created, commands in the wrong state, commands that cannot run, files that are none."""

import json
from dataclasses import replace
from typing import Any

from tests.bad_input.cells import Cell
from tests.bad_input.place import UNKNOWN, Place
from tests.bad_input.requests import AUDITED, command_cell, encoded, got, head, mutation, posted
from tests.bad_input.senders import Answer, Senders

PIB_MIB = 2**30
"""A PiB, in MiB."""


def _create(item: str, title: str, outcome: str, /, **given: Any) -> Cell:
    return command_cell("Create", item, title, outcome, "createSandbox", **given)


def _dear(cell: Cell) -> Cell:
    return replace(cell, repeats=3, why_fewer="10,000 objects are 0.2 s of processor time before they are counted")


def _variable(name: str, value: str) -> list[dict[str, str]]:
    return [{"name": name, "value": value}]


CREATE = (
    _create("unknown template", "by id", "200 NOT_FOUND", templateId=f"tpl-{UNKNOWN}"),
    _create("unknown template", "by name", "200 NOT_FOUND", templateName="nothing"),
    _create("unknown template", "no id", "200 MALFORMED_ID", templateId="../base"),
    _create("foreign template", "by id", "200 NOT_FOUND", templateId=lambda place: place.foreign_template),
    _create("foreign template", "by name", "200 NOT_FOUND", templateName="theirs"),
    _create("half-deleted template", "by id", "200 NOT_FOUND", templateId=lambda place: place.half_deleted_template),
    _create("half-deleted template", "by name", "200 NOT_FOUND", templateName="deleting"),
    _create("half-deleted template", "half made", "200 NOT_FOUND", templateId=lambda place: place.half_made_template),
    _create("memory 0", "none", "200 INVALID", memoryMb=0),
    _create("memory 0", "less than none", "200 INVALID", memoryMb=-1),
    _create("memory 0", "no processor", "200 INVALID", vcpus=0),
    _create("memory 1 PiB", "memory", "200 INVALID", memoryMb=PIB_MIB),
    _create("memory 1 PiB", "disk", "200 INVALID", diskSizeMb=PIB_MIB),
    _create("memory 1 PiB", "processors", "200 INVALID", vcpus=PIB_MIB),
    _dear(
        _create("10,000 labels", "as many", "200 INVALID", labels=[{"key": str(n), "value": ""} for n in range(10_000)])
    ),
    _create("10,000 labels", "one of 100,000 characters", "200 INVALID", labels=[{"key": "a", "value": "x" * 100_000}]),
    _create("10,000 labels", "the same twice", "200 INVALID", labels=[{"key": "a", "value": ""}] * 2),
    _create("env with =", "in a name", "200 INVALID", environment=_variable("A=B", "")),
    _create("env with =", "no name", "200 INVALID", environment=_variable("", "x")),
    _create("env with newline", "in a name", "200 INVALID", environment=_variable("A\nB", "")),
    _create("env with newline", "behind a name", "200 INVALID", environment=_variable("A\n", "")),
    _create("env with NUL", "in a name", "200 INVALID", environment=_variable("A\0", "")),
    _create("env with NUL", "in a value", "200 INVALID", environment=_variable("A", "\0")),
    _dear(
        _create(
            "env with NUL",
            "10,000 variables",
            "200 INVALID",
            environment=[_variable(f"A{n}", "")[0] for n in range(10_000)],
        )
    ),
)


def _state(title: str, outcome: str, command: str, /, **given: Any) -> Cell:
    return command_cell("Lifecycle", "every operation in every state", title, outcome, command, **given)


def running(place: Place) -> str:
    """The id of a sandbox that runs."""
    return place.running


def paused(place: Place) -> str:
    """The id of one that is paused."""
    return place.paused


def deleted(place: Place) -> str:
    """The id of one that was deleted."""
    return place.deleted


LIFECYCLE = (
    _state("of one that runs", "200 WRONG_STATE", "resumeSandbox", id=running),
    _state("of one that runs", "200 WRONG_STATE", "startSandbox", id=running),
    _state("of one that is paused", "200 WRONG_STATE", "pauseSandbox", id=paused),
    _state("of one that is paused", "200 WRONG_STATE", "startSandbox", id=paused),
    _state("of one that is paused", "200 WRONG_STATE", "pingSandbox", id=paused),
    _state("of one that is paused", "200 WRONG_STATE", "forkSandbox", id=paused, count=2),
    _state("in one that is paused", "200 WRONG_STATE", "exec", sandboxId=paused, argv=["true"]),
    _state("in one that is paused", "200 WRONG_STATE", "readFile", sandboxId=paused, path="/x"),
    _state("in one that is paused", "200 WRONG_STATE", "writeFile", sandboxId=paused, path="/x", text=""),
    _state("of one that is deleted", "200 WRONG_STATE", "resumeSandbox", id=deleted),
    _state("of one that is deleted", "200 WRONG_STATE", "startSandbox", id=deleted),
    _state("of one that is deleted", "200 WRONG_STATE", "createTemplate", sandboxId=deleted, name="mine"),
    _state("of one that is deleted", "200 WRONG_STATE", "forkSandbox", id=deleted, count=2),
    _state("of one that is deleted", "200 WRONG_STATE", "setSandboxTimeout", id=deleted, timeoutSec=60),
    _state("of one that is deleted", "200 OK", "deleteSandbox", id=deleted),
)


def _exec(item: str, title: str, outcome: str, /, **given: Any) -> Cell:
    return command_cell("Exec", item, title, outcome, "exec", sandboxId=running, **given)


async def _two_megabytes(senders: Senders) -> Answer:
    given = {"sandboxId": senders.place.running, "argv": ["echo", "x" * 2_000_000]}
    body = json.dumps({"query": mutation("exec"), "variables": {"input": given}}).encode()
    return await senders.http(posted(senders.place, body))


LARGE = "each is two megabytes, and the server reads on for a second"
EXEC = (
    Cell("Exec", "2 MB argv", "as a request", ("413 BODY_TOO_LARGE",), _two_megabytes, 5, LARGE),
    _exec("2 MB argv", "one of 200,000 bytes", "200 INVALID", argv=["echo", "x" * 200_000]),
    _exec("2 MB argv", "10,000 of them", "200 INVALID", argv=["echo"] * 10_000),
    _exec("2 MB argv", "a shell line of 200,000 bytes", "200 INVALID", shell="x" * 200_000),
    _exec("2 MB argv", "none", "200 INVALID", argv=[]),
    _exec("2 MB argv", "NUL", "200 INVALID", argv=["a\0b"]),
    _exec("missing binary", "no such program", "200 COMMAND_NOT_FOUND", argv=["missing"]),
    _exec("missing binary", "no such folder", "200 NO_SUCH_DIRECTORY", argv=["true"], cwd="/missing"),
    _exec(
        "stdin to one that ended", "half a MB for one that reads nothing", "200 OK", argv=["true"], stdin="x" * 500_000
    ),
    _exec("stdin to one that ended", "no base64", "200 INVALID", argv=["true"], stdinBase64="é"),
)


def _path(item: str, name: str, code: str, path: str) -> tuple[Cell, ...]:
    """The same path, read and written, by GraphQL and at the endpoint for files. Only the first two are refused at
    once; a sandbox has to be asked for what is no mistake of the path."""

    def address(place: Place) -> str:
        return f"/sandboxes/{place.running}/files?path={encoded(path)}"

    async def get(senders: Senders) -> Answer:
        return await senders.http(got(senders.place, address(senders.place)))

    async def put(senders: Senders) -> Answer:
        return await senders.http(head(senders.place, f"PUT {address(senders.place)}", "Content-Length: 0") + b"\r\n")

    lingers = "the server reads on for a second; and " + AUDITED
    return (
        command_cell("Files", item, name, f"200 {code}", "readFile", sandboxId=running, path=path),
        command_cell("Files", item, name, f"200 {code}", "writeFile", sandboxId=running, path=path, text=""),
        Cell("Files", item, f"GET {name}", (f"400 {code}",), get),
        Cell("Files", item, f"PUT {name}", (f"400 {code}",), put, 5, lingers),
    )


def _named(name: str, filename: bytes, code: str = "INVALID") -> Cell:
    async def send(senders: Senders) -> Answer:
        place = senders.place
        body = b'--b\r\nContent-Disposition: form-data; name="f"; filename="' + filename + b'"\r\n\r\nx\r\n--b--\r\n'
        lines = ("Content-Type: multipart/form-data; boundary=b", f"Content-Length: {len(body)}")
        start = head(place, f"POST /sandboxes/{place.running}/files?path=/root", *lines)
        return await senders.http(start + b"\r\n" + body)

    return Cell("Files", "..", f"a form with {name}", (f"400 {code}",), send, 5, LARGE)


FILES = (
    *_path("..", "relative", "INVALID", "../etc/passwd"),
    *_path("..", "a folder", "NOT_A_FILE", "/root/../root"),
    _named("..", b".."),
    _named("a path", b"../x"),
    _named("a name of 5,000 bytes", b"x" * 5_000, "MALFORMED_FORM"),
    *_path("NUL", "in a path", "INVALID", "/root/a\0b"),
    *_path("4,096-byte name", "too long a path", "INVALID", "/" + "x" * 4_096),
    *_path("4,096-byte name", "no path", "INVALID", ""),
)

CELLS = CREATE + LIFECYCLE + EXEC + FILES
