"""What can be found out without the agent: system, memory, disk, packages, set-up, ports."""

import os
import platform
import shutil
import sys
from collections.abc import Callable
from pathlib import Path

from nestbox.doctor.finding import Finding, Verdict
from nestbox.errors import Problem
from nestbox.platform.ports import check_port
from nestbox.settings import PROJECT_ROOT, Settings
from nestbox.setup import computer, debian
from nestbox.setup.environment import Environment
from nestbox.setup.frontend import Frontend

# One sandbox of the default shape with what QEMU needs beside it, PostgreSQL, the API and the agent.
MEMORY_NEEDED_MIB = 1024
DISK_NEEDED_GB = 2.0
SETUP = "make setup"


def examine_computer(settings: Settings) -> list[Finding]:
    """All of it, in the order in which it is best read."""
    return [
        _tried("system", lambda: computer.check_debian(_os_release())),
        _tried("processor", _processor),
        _tried("python", lambda: computer.check_python(sys.version_info[:2])),
        _account(),
        _memory(),
        _disk("data", settings.data_dir),
        _disk("image cache", settings.cache_dir),
        _packages(),
        _environment(),
        _dashboard(),
        *_ports(settings),
    ]


def _tried(topic: str, check: Callable[[], str]) -> Finding:
    try:
        return Finding(topic, Verdict.GOOD, check())
    except Problem as problem:
        return Finding(topic, Verdict.BAD, problem.message, problem.mend)


def _os_release() -> str:
    return computer.OS_RELEASE.read_text() if computer.OS_RELEASE.exists() else ""


def _processor() -> str:
    computer.check_architecture(platform.machine())
    return f"{platform.machine()}, {os.cpu_count()} CPUs"


def _account() -> Finding:
    if os.geteuid() == 0:
        return Finding("account", Verdict.GOOD, "root: each machine gets a user id and a cgroup of its own")
    return Finding(
        "account",
        Verdict.NOTE,
        "not root: machines share your user id and have no limits by cgroup",
        "run `nestbox up` as root to have both",
    )


def _memory() -> Finding:
    facts = dict(line.split(":", 1) for line in Path("/proc/meminfo").read_text().splitlines())
    total, free = (int(facts[name].split()[0]) // 1024 for name in ("MemTotal", "MemAvailable"))
    text = f"{free} MiB of {total} MiB available"
    if free < MEMORY_NEEDED_MIB:
        return Finding("memory", Verdict.BAD, text, f"have {MEMORY_NEEDED_MIB} MiB: one sandbox and the platform")
    return Finding("memory", Verdict.GOOD, text)


def _disk(topic: str, folder: Path) -> Finding:
    place = folder
    while not place.exists():
        place = place.parent
    usage = shutil.disk_usage(place)
    text = f"{usage.free / 1e9:.0f} GB of {usage.total / 1e9:.0f} GB free at {folder}"
    if usage.free / 1e9 < DISK_NEEDED_GB:
        return Finding(topic, Verdict.BAD, text, f"free {DISK_NEEDED_GB:.0f} GB there, or choose another place")
    return Finding(topic, Verdict.GOOD, text)


def _packages() -> Finding:
    try:
        missing = debian.missing(debian.needed(development=False))
    except Problem as problem:
        return Finding("packages", Verdict.BAD, problem.message, problem.mend)
    if missing:
        mend = f"{SETUP}, or: apt-get install --no-install-recommends {' '.join(missing)}"
        return Finding("packages", Verdict.BAD, f"missing: {', '.join(missing)}", mend)
    return Finding("packages", Verdict.GOOD, "all Debian packages are there")


def _environment() -> Finding:
    environment = Environment(PROJECT_ROOT)
    if not environment.python.exists():
        return Finding("environment", Verdict.BAD, "there is no .venv", SETUP)
    if not environment.is_ready(development=False):
        return Finding("environment", Verdict.NOTE, ".venv is not what the lock file says", SETUP)
    return Finding("environment", Verdict.GOOD, ".venv is what the lock file says")


def _dashboard() -> Finding:
    frontend = Frontend(Environment(PROJECT_ROOT))
    if not (frontend.folder / "dist/index.html").exists():
        return Finding("dashboard", Verdict.NOTE, "not built; the API works without it", SETUP)
    return Finding("dashboard", Verdict.GOOD, "built")


def _ports(settings: Settings) -> list[Finding]:
    agent_host, _, agent_port = settings.agent_address.rpartition(":")
    wanted = [
        ("the API", settings.api_host, settings.api_port, "--api-port"),
        ("the agent", agent_host, int(agent_port), "--agent-port"),
    ]
    findings = []
    for purpose, host, port, option in wanted:
        try:
            check_port(host, port, purpose, option)
            findings.append(Finding(f"port {port}", Verdict.GOOD, f"free for {purpose}"))
        except Problem as problem:
            mend = f"if that is not Nestbox itself: {problem.mend}"
            findings.append(Finding(f"port {port}", Verdict.NOTE, problem.message, mend))
    return findings
