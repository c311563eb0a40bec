"""Limits of each machine on memory, processor and number of processes, by control groups of either version.

Version 1: below the agent's own group in each hierarchy. Version 2: below the agent's own group if that can be shared,
which needs delegation (systemd: `Delegate=yes`), else below the root if the agent is root.
"""

import contextlib
import errno
import os
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

CONTROLLERS = ("memory", "cpu", "pids")
_ABSENT_WITHOUT_SWAP_ACCOUNTING = frozenset({"memory.memsw.limit_in_bytes", "memory.swap.max"})
CPU_PERIOD_US = 100_000
SHARES_A_MACHINE, SHARES_MAX = 1024, 262_144  # the kernel's default of a group, and its most
WEIGHTS = {"cpu.shares": (SHARES_A_MACHINE // 10, SHARES_A_MACHINE), "cpu.weight": (10, 100)}
"""Of versions 1 and 2: in the background, and usually. With much less than a tenth nothing would ever come about there
on a host that is busy, and deadlines pass."""
QEMU_OVERHEAD_MB = 192  # program, translation buffer and device buffers, at most; the idle share is ~40 MB
# QEMU's threads beside vCPUs: up to 64 for disk requests (its thread pool's limit; one that is refused is the end of
# QEMU), the main loop, one for RCU, and some to spare.
PIDS_BESIDE_VCPUS = 80


@dataclass(frozen=True, slots=True)
class Limits:
    """Of one machine."""

    memory_mb: int
    vcpus: int
    in_background: bool = False
    """Nobody waits for it: others go first, until `Group.come_forward`."""

    @property
    def memory_bytes(self) -> int:
        """What QEMU needs itself, and twice the guest's RAM: who first touches a page that the image has none of makes
        the kernel put an empty one in the image, for all clones, and is charged for that and for its own copy. With
        less, a guest that fills its memory would take QEMU with it instead of meeting its own kernel's limit."""
        return (2 * self.memory_mb + QEMU_OVERHEAD_MB) << 20

    @property
    def pids(self) -> int:
        """Processes and threads."""
        return self.vcpus + PIDS_BESIDE_VCPUS

    def weight(self, file: str) -> int:
        """What is written to it."""
        return WEIGHTS[file][0 if self.in_background else 1]

    @property
    def cpu_quota_us(self) -> int:
        """Per period: all vCPUs at full speed, and half a processor for device work and translation."""
        return self.vcpus * CPU_PERIOD_US + CPU_PERIOD_US // 2


@dataclass(slots=True)
class Group:
    """The control group of one machine: a folder per hierarchy."""

    folders: tuple[Path, ...]
    events: Path | None  # where oom_kill is counted
    weigh: Callable[[], None] = lambda: None  # what its weight changes for all groups together

    def come_forward(self) -> None:
        """From now on somebody waits for it: it weighs as much as others. Raises: OSError."""
        for folder in self.folders:
            for file, (_, usual) in WEIGHTS.items():
                if (folder / file).exists():
                    (folder / file).write_text(str(usual))
        self.weigh()

    def add(self, pid: int) -> None:
        """Puts a process in. Each write can take ~10 ms in the kernel. Raises: OSError."""
        for folder in self.folders:
            (folder / "cgroup.procs").write_text(str(pid))

    def out_of_memory_kills(self) -> int:
        """How often the kernel ended a process of this group for want of memory."""
        if self.events is None:
            return 0
        try:
            for line in self.events.read_text().splitlines():
                name, _, value = line.partition(" ")
                if name == "oom_kill":
                    return int(value)
        except (OSError, ValueError):
            pass
        return 0

    def remove(self) -> bool:
        """Removes the folders; False if a process is still in one. May be repeated."""
        gone = True
        for folder in self.folders:
            try:
                folder.rmdir()
            except FileNotFoundError:
                continue
            except OSError:
                gone = False
        return gone


@dataclass(slots=True)
class Groups:
    """The control groups of this agent. `parents` maps each usable controller to the folder in which machines get
    theirs; under version 2 it is the same folder for all."""

    version: int
    parents: dict[str, Path]
    shortcomings: list[str] = field(default_factory=list)
    background: set[str] = field(default_factory=set)
    """Names of groups that others go before."""

    def group(self, name: str) -> Group:
        """The group of that name, made or not."""
        folders = tuple(dict.fromkeys(parent / name for parent in self.parents.values()))
        memory = self.parents.get("memory")
        counter = "memory.events" if self.version == 2 else "memory.oom_control"
        return Group(folders, memory / name / counter if memory else None)

    def group_of(self, pid: int, name: str) -> Group | None:
        """The group of that name that a process is in, wherever an earlier agent made it; None without one."""
        try:
            own = _own_groups(Path(f"/proc/{pid}"))
        except OSError:
            return None
        root = Path("/sys/fs/cgroup")
        if self.version == 2:
            folders = {"memory": root / own.get("", "").lstrip("/")}
        else:
            folders = {key: root / key / path.lstrip("/") for key, path in own.items() if key in CONTROLLERS}
        found = {key: folder for key, folder in folders.items() if folder.name == name}
        if not found:
            return None
        counter = "memory.events" if self.version == 2 else "memory.oom_control"
        return Group(tuple(found.values()), found["memory"] / counter if "memory" in found else None)

    def make(self, name: str, limits: Limits) -> Group:
        """A group with its limits set. Raises: OSError."""
        group = self.group(name)
        for parent in set(self.parents.values()):
            parent.mkdir(exist_ok=True)
            if self.version == 2:
                _enable(parent)
        for folder in group.folders:
            folder.mkdir(exist_ok=True)
        if limits.in_background:
            self.background.add(name)
            group.weigh = lambda: self._come_forward(name)
        self._weigh()
        values = _values_v2 if self.version == 2 else _values_v1
        for controller, parent in self.parents.items():
            for file, value in values(limits)[controller].items():
                try:
                    (parent / name / file).write_text(str(value))
                except FileNotFoundError:
                    if file not in _ABSENT_WITHOUT_SWAP_ACCOUNTING:
                        raise
        return group

    def _come_forward(self, name: str) -> None:
        self.background.discard(name)
        self._weigh()

    def _weigh(self) -> None:
        """Under version 1 a group weighs as much as one process beside it, whatever is in it: all machines together
        would get what one busy process gets. So their common group weighs as much as its machines. Under version 2
        the neighbours are whole services: machines get up to four times the weight of one. Those in the background
        add nothing: without others, the agent itself goes before them."""
        parent = self.parents.get("cpu")
        if parent is None:
            return
        names = {entry.name for entry in parent.iterdir() if entry.is_dir()}
        self.background &= names
        count = len(names - self.background)
        if self.version == 2:
            least, usual = WEIGHTS["cpu.weight"]
            (parent / "cpu.weight").write_text(str(max(usual, min(50 * count, 400)) if count else least))
        else:
            least, usual = WEIGHTS["cpu.shares"]
            (parent / "cpu.shares").write_text(str(max(least, min(usual * count, SHARES_MAX))))

    def close(self) -> None:
        """Removes the parents if no machine is left."""
        for parent in set(self.parents.values()):
            with contextlib.suppress(OSError):
                parent.rmdir()

    def sweep(self) -> None:
        """Removes the groups of machines that are gone; one with a process in it cannot be removed. Not while machines
        start: theirs are empty for a moment."""
        for parent in set(self.parents.values()):
            for folder in parent.iterdir() if parent.is_dir() else ():
                if folder.is_dir():
                    with contextlib.suppress(OSError):
                        folder.rmdir()


def _values_v1(limits: Limits) -> dict[str, dict[str, int | str]]:
    return {
        "memory": {
            "memory.limit_in_bytes": limits.memory_bytes,
            "memory.memsw.limit_in_bytes": limits.memory_bytes,
        },
        "cpu": {
            "cpu.cfs_period_us": CPU_PERIOD_US,
            "cpu.cfs_quota_us": limits.cpu_quota_us,
            "cpu.shares": limits.weight("cpu.shares"),
        },
        "pids": {"pids.max": limits.pids},
    }


def _values_v2(limits: Limits) -> dict[str, dict[str, int | str]]:
    return {
        "memory": {"memory.max": limits.memory_bytes, "memory.swap.max": 0, "memory.oom.group": 1},
        "cpu": {"cpu.max": f"{limits.cpu_quota_us} {CPU_PERIOD_US}", "cpu.weight": limits.weight("cpu.weight")},
        "pids": {"pids.max": limits.pids},
    }


def find_groups(folder: str, root: Path = Path("/sys/fs/cgroup"), process: Path = Path("/proc/self")) -> Groups:
    """What this host offers, for machines in groups below `folder`, which is made when the first one needs it.

    Version 2 if it has the controllers, else version 1; what is missing is in `shortcomings`.
    """
    own = _own_groups(process)
    if _controllers(root) >= set(CONTROLLERS):
        return _find_v2(folder, root, own.get("", "/"))
    parents: dict[str, Path] = {}
    shortcomings = []
    for controller in CONTROLLERS:
        if controller in own and (root / controller).is_dir():
            above = root / controller / own[controller].lstrip("/")
            if os.access(above, os.W_OK):
                parents[controller] = above / folder
            else:
                shortcomings.append(_shortcoming(controller, f"{above} cannot be written; run the agent as root"))
        else:
            shortcomings.append(_shortcoming(controller, "the kernel offers no such control group"))
    return Groups(1, parents, shortcomings)


def _find_v2(folder: str, root: Path, own: str) -> Groups:
    candidates = [root / own.lstrip("/")]
    if os.geteuid() == 0:
        candidates.append(root)
    problem = ""
    for candidate in candidates:
        try:
            _enable(candidate)
        except OSError as error:
            problem = f"{error.filename or candidate}: {error.strerror}"
            continue
        if os.access(candidate, os.W_OK):
            return Groups(2, dict.fromkeys(CONTROLLERS, candidate / folder))
        problem = f"{candidate} cannot be written"
    mend = f"{problem}; run the agent as root or in a service with Delegate=yes"
    return Groups(2, {}, [_shortcoming(controller, mend) for controller in CONTROLLERS])


def _enable(folder: Path) -> None:
    """Lets groups below have the controllers. A group with processes of its own cannot, but for the root: raises
    OSError EBUSY then."""
    missing = set(CONTROLLERS) - set((folder / "cgroup.subtree_control").read_text().split())
    if missing:
        if missing - _controllers(folder):
            raise OSError(errno.ENOENT, "not delegated: " + ", ".join(sorted(missing)), str(folder))
        (folder / "cgroup.subtree_control").write_text(" ".join(f"+{name}" for name in sorted(missing)))


def _controllers(folder: Path) -> set[str]:
    try:
        return set((folder / "cgroup.controllers").read_text().split())
    except OSError:
        return set()


def _own_groups(process: Path) -> dict[str, str]:
    """Controller (empty for version 2) to the path of the process's group."""
    own: dict[str, str] = {}
    for line in (process / "cgroup").read_text().splitlines():
        _, controllers, path = line.split(":", 2)
        for controller in controllers.split(","):
            own[controller] = path
    return own


def _shortcoming(controller: str, reason: str) -> str:
    return f"Machines have no limit on {controller}: {reason}."
