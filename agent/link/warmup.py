"""What a template does before its memory is kept, so that every clone of it finds it done."""

import time
from collections.abc import AsyncIterator

from agent.drivers.driver import Command
from agent.errors import AgentError
from agent.link.link import GuestLink, Identity

ROUNDS = 12
"""Of each kind of request. Python 3.11 specialises code that ran eight times, and what it made of it lies in the
guest's memory."""
_FILE = "/tmp/.nestbox-warm-up"  # noqa: S108 (in the guest, where /tmp is memory)
PROGRAMS = (
    ("sh", "-c", "cat /proc/uptime | head -n 1; ls -la / > /dev/null"),
    ("bash", "-c", "echo $HOME"),
    ("python3", "-c", "import json, os, re, subprocess, sys, threading, time, urllib.request"),
    ("rm", "-f", _FILE),
)
"""Programs whose pages are to lie in memory, and the modules that most programs import."""


async def warm_up(link: GuestLink) -> None:
    """Runs each kind of request often enough, and the programs that sandboxes run first. What fails is skipped: a
    machine that is not warm is slower, not wrong. Raises: AgentError when the connection is over."""
    for number in range(ROUNDS):
        # each time another, as for a machine that is cloned from this one
        name = f"sb-template-{number}"
        await link.identify(Identity(name, "sandbox", "0" * 32, {"PLACEHOLDER": "x"}, bytes(64), time.time_ns()))
        await _run(link, ("true",))
        await link.write_file(_FILE, 0, _content())
        reader = await link.read_file(_FILE)
        async for _piece in reader.content:
            pass
        await link.ping()
    for program in PROGRAMS:
        await _run(link, program)


async def _run(link: GuestLink, argv: tuple[str, ...]) -> None:
    process = await link.exec(Command(argv))
    try:
        await process.close_stdin()
        async for _event in process:
            pass
    except AgentError:
        if link.is_lost:
            raise
    finally:
        await process.close()


async def _content() -> AsyncIterator[bytes]:
    yield b"x" * 100
