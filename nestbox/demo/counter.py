"""A program in the guest that counts: whether memory is kept can be seen by it."""

import asyncio
import json
import time
from dataclasses import dataclass

from nestbox.demo import documents
from nestbox.demo.client import Client

COUNTS_PER_SECOND = 10
PATH = "/root/count"
PROGRAM = f"""
import os, time
count = 0
while True:
    count += 1
    with open("{PATH}.new", "w") as file:
        file.write('{{"count": %d, "pid": %d}}' % (count, os.getpid()))
    os.replace("{PATH}.new", "{PATH}")
    time.sleep(1 / {COUNTS_PER_SECOND})
"""
_GOES_ON_SECONDS = 10


@dataclass(frozen=True, slots=True)
class Count:
    """What the counter in the guest had written, and when it was asked (`time.perf_counter`)."""

    count: int
    pid: int
    asked_at: float
    answered_at: float


async def start(client: Client, sandbox_id: str) -> Count:
    """Starts it; returns when it counts. Raises: RefusedError."""
    await client.mutate(documents.WRITE_FILE, sandboxId=sandbox_id, path="/root/counter.py", text=PROGRAM)
    # a session of its own and no pipes: it is to outlive the command that starts it
    counting = "setsid python3 /root/counter.py < /dev/null > /dev/null 2>&1 &"
    await client.run(sandbox_id, "/bin/sh", "-c", f"{counting} until [ -e {PATH} ]; do sleep 0.05; done")
    return await read(client, sandbox_id)


async def read(client: Client, sandbox_id: str) -> Count:
    """How far it is. Raises: RefusedError."""
    asked_at = time.perf_counter()
    payload = await client.mutate(documents.READ_FILE, sandboxId=sandbox_id, path=PATH)
    written = json.loads(payload["text"])
    return Count(written["count"], written["pid"], asked_at, time.perf_counter())


async def goes_on(client: Client, sandbox_id: str, count: int) -> Count:
    """The first count above `count`. Raises: TimeoutError, RefusedError."""
    async with asyncio.timeout(_GOES_ON_SECONDS):
        while (later := await read(client, sandbox_id)).count <= count:
            pass
    return later
