"""A platform in memory, as far as the demo's story asks: it keeps files, counts, pauses, and can be told to lie."""

import asyncio
import json
import time
from collections.abc import AsyncGenerator
from typing import Any, Literal

from graphql import DocumentNode

from nestbox.demo import documents
from nestbox.demo.client import Client, Json, RefusedError

SANDBOX_ID = "sb-01234567-89ab-7cde-8f01-23456789abcd"
TEMPLATE_ID = "tpl-01234567-89ab-7cde-8f01-23456789abcd"
COUNTS_PER_SECOND = 10

Lie = Literal[
    "counts while paused",
    "another pid",
    "counts from zero",
    "runs commands while paused",
    "stays listed",
    "children begin anew",
    "children are one",
    "children do not start",
]


class PlatformFake(Client):
    """One team's platform with at most one sandbox, its copies and a template."""

    def __init__(self, lie: Lie | None = None) -> None:
        self._lie = lie
        self._events: asyncio.Queue[Json] = asyncio.Queue()
        self._files: dict[str, str] = {}
        self._awake_since: float | None = None
        self._awake_seconds = 0.0
        self._resumes = 0
        self.state = "DELETED"
        self.copies: set[str] = set()
        self.templates: set[str] = set()

    async def query(self, document: DocumentNode, **variables: Any) -> Json:
        if document is documents.VIEWER:
            return {"viewer": {"teamName": "team", "keyName": "key"}}
        listed = self.state != "DELETED" or self._lie == "stays listed"
        return {"sandboxes": {"totalCount": int(listed)}}

    async def mutate(self, document: DocumentNode, **input_fields: Any) -> Json:
        if document in {documents.WRITE_FILE, documents.READ_FILE}:
            return self._file(**input_fields)
        if document in {documents.FORK, documents.CREATE_TEMPLATE, documents.DELETE_TEMPLATE}:
            return self._make_copies(document, input_fields)
        if document is documents.CREATE and "templateName" in input_fields:
            return {"sandbox": self._copy()}
        if document is documents.CREATE:
            return self._move("STARTING", "RUNNING")
        if document is documents.PAUSE:
            return self._move("PAUSING", "PAUSED")
        if document is documents.RESUME:
            self._resumes += 1
            return self._move("RESUMING", "RUNNING")
        assert document is documents.DELETE
        if input_fields["id"] != SANDBOX_ID:
            self.copies.remove(input_fields["id"])
            return {}
        self.state = "DELETED"
        self._events.put_nowait({"__typename": "SandboxRemoved", "id": SANDBOX_ID, "reason": "DELETED"})
        return {}

    def _file(self, sandboxId: str, path: str, text: str | None = None) -> Json:  # noqa: N803 - as in GraphQL
        if text is not None:
            self._files[path] = text
            return {"file": {"path": path, "sizeBytes": len(text.encode())}}
        return {"text": self._count(sandboxId) if path == "/root/count" else self._files[path]}

    def _make_copies(self, document: DocumentNode, input_fields: Json) -> Json:
        if document is documents.FORK:
            return self._fork(input_fields["count"])
        if document is documents.CREATE_TEMPLATE:
            self.templates.add(TEMPLATE_ID)
            return {"template": {"id": TEMPLATE_ID, "name": input_fields["name"], "storedBytes": 1e6}}
        self.templates.remove(input_fields["id"])
        return {}

    async def subscribe(self, document: DocumentNode, **variables: Any) -> AsyncGenerator[Json]:
        yield {"__typename": "SandboxesReset", "sandboxes": []}
        while True:
            yield await self._events.get()

    async def run(self, sandbox_id: str, *argv: str, timeout_seconds: float = 30) -> Json:
        if self.state != "RUNNING" and self._lie != "runs commands while paused":
            raise RefusedError("WRONG_STATE", "The sandbox is paused.")
        if argv[0] == "hostname":
            return {"stdout": "one" if self._lie == "children are one" else sandbox_id}
        return {"stdout": "500000500000 by Python 3.11.2 on sb" if argv[0] == "python3" else ""}

    async def download(self, sandbox_id: str, path: str) -> bytes:
        return self._files[path].encode()

    def _move(self, on_the_way: str, state: str) -> Json:
        now = time.perf_counter()
        if self._awake_since is not None:
            self._awake_seconds += now - self._awake_since
        self._awake_since = now if state == "RUNNING" or self._lie == "counts while paused" else None
        self.state = state
        sandbox = {"id": SANDBOX_ID, "vcpus": 1, "memoryMb": 512, "template": {"name": "base"}}
        for seen in (on_the_way, state):
            self._events.put_nowait({"__typename": "SandboxChanged", "sandbox": {**sandbox, "state": seen}})
        stages = [{"name": "guest", "durationMs": 1.0}]
        return {"sandbox": {**sandbox, "state": state}, "operation": {"stages": stages}}

    def _fork(self, count: int) -> Json:
        children = [{"sandbox": self._copy()} for _ in range(count)]
        return {"children": children, "operation": {"stages": [{"name": "save", "durationMs": 1.0}]}}

    def _copy(self) -> Json:
        copy_id = f"copy-{len(self.copies)}"
        self.copies.add(copy_id)
        return {"id": copy_id, "state": "FAILED" if self._lie == "children do not start" else "RUNNING"}

    def _count(self, sandbox_id: str) -> str:
        assert self._awake_since is not None
        awake_seconds = self._awake_seconds + time.perf_counter() - self._awake_since
        begins_anew = self._lie == "children begin anew" and sandbox_id in self.copies
        start = 0 if begins_anew or (self._lie == "counts from zero" and self._resumes) else 100
        pid = 43 if self._lie == "another pid" and self._resumes else 42
        return json.dumps({"count": start + int(awake_seconds * COUNTS_PER_SECOND), "pid": pid})
