"""The jail around each QEMU: a user id of its own, namespaces, no capabilities, a view of next to nothing."""

import os
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

QEMU_DATA = (Path("/usr/share/qemu"), Path("/usr/share/seabios"))


@dataclass(frozen=True, slots=True)
class View:
    """What a jailed QEMU may see, at the same paths as outside, besides its own program files."""

    read_only: tuple[Path, ...] = ()
    writable: tuple[Path, ...] = ()
    devices: tuple[Path, ...] = ()


@dataclass(frozen=True, slots=True)
class Jail:
    """How machines are jailed on this host; made once."""

    qemu: Path
    prlimit: Path
    bwrap: Path
    setpriv: Path | None
    libraries: tuple[Path, ...]
    links: tuple[tuple[str, str], ...]

    @property
    def changes_user(self) -> bool:
        """Whether each machine can have a user id of its own, which takes root."""
        return self.setpriv is not None

    def command(
        self, qemu_arguments: Sequence[str], *, uid: int | None, gid: int | None, view: View, info_fd: int
    ) -> list[str]:
        """The command line that ends in QEMU, as process 1 of its own namespace.

        bubblewrap writes QEMU's pid as JSON to `info_fd`. There is no --die-with-parent: QEMU outlives the agent.
        """
        words = [str(self.prlimit), "--core=0:0", "--"]
        if uid is not None and self.setpriv is not None:
            words += [str(self.setpriv), f"--reuid={uid}", f"--regid={gid if gid is not None else uid}"]
            words += ["--clear-groups", "--no-new-privs", "--"]
        words += [str(self.bwrap), "--unshare-all", "--as-pid-1", "--info-fd", str(info_fd), "--cap-drop", "ALL"]
        words += ["--new-session", "--clearenv"]
        for path in self.libraries:
            words += ["--ro-bind", str(path), str(path)]
        for target, name in self.links:
            words += ["--symlink", target, name]
        words += ["--proc", "/proc", "--dev", "/dev"]
        for path in view.devices:
            words += ["--dev-bind", str(path), str(path)]
        for path in view.read_only:
            words += ["--ro-bind", str(path), str(path)]
        for path in view.writable:
            words += ["--bind", str(path), str(path)]
        # What is left writable of the view would be memory of the host's.
        words += ["--remount-ro", "/dev", "--remount-ro", "/", "--chdir", "/", "--", str(self.qemu), *qemu_arguments]
        return words


def find_jail(qemu: str) -> Jail:
    """The jail that this host can give. Raises: FileNotFoundError naming a missing program."""
    program = Path(_program(qemu)).resolve()
    libraries = [program]
    links: list[tuple[str, str]] = []
    for name in ("lib", "lib64"):
        top = Path("/", name)
        if top.is_symlink():  # merged /usr: /lib is a link to usr/lib
            links.append((str(top.readlink()), str(top)))
        elif top.is_dir():
            libraries.append(top)
    # Debian and Ubuntu keep all of QEMU's libraries in the architecture's folder, apart from other programs' files.
    multiarch = Path("/usr/lib/x86_64-linux-gnu")
    libraries += [multiarch] if multiarch.is_dir() else [Path("/usr/lib")]
    libraries += [path for path in (Path("/usr/lib64"), *QEMU_DATA) if path.is_dir()]
    root = os.geteuid() == 0
    setpriv = Path(_program("setpriv")) if root else None
    return Jail(program, Path(_program("prlimit")), Path(_program("bwrap")), setpriv, tuple(libraries), tuple(links))


def _program(name: str) -> str:
    path = shutil.which(name)
    if path is None:
        raise FileNotFoundError(name)
    return path
