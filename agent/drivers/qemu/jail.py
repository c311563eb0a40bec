"""The jail of each QEMU and qemu-img: a user id of its own, namespaces, no capabilities, a view of next to nothing."""

import os
import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

QEMU_DATA = (Path("/usr/share/qemu"), Path("/usr/share/seabios"))


@dataclass(frozen=True, slots=True)
class View:
    """What a jailed program may see, at the same paths as outside, besides its own program files."""

    read_only: tuple[Path, ...] = ()
    writable: tuple[Path, ...] = ()
    devices: tuple[Path, ...] = ()


@dataclass(frozen=True, slots=True)
class Jail:
    """How machines are jailed on this host, and the tool that reads their disks; made once."""

    qemu: Path
    qemu_img: Path
    prlimit: Path
    bwrap: Path
    setpriv: Path | None
    libraries: tuple[Path, ...]
    links: tuple[tuple[str, str], ...]
    raises_limits: bool
    """Whether what a machine may write can be made more while it runs, which takes CAP_SYS_RESOURCE: root has it, but
    not in every container."""

    @property
    def changes_user(self) -> bool:
        """Whether each machine can have a user id of its own, which takes root."""
        return self.setpriv is not None

    def command(
        self,
        qemu_arguments: Sequence[str],
        *,
        uid: int | None,
        gid: int | None,
        view: View,
        info_fd: int,
        file_bytes_max: int,
    ) -> list[str]:
        """The command line that ends in QEMU, as process 1 of its own namespace. The limit is on each file that it
        writes. Whoever starts it has SIGXFSZ ignored, which QEMU inherits: it gets an error instead of its end. (Being
        process 1 of a namespace it would outlive that signal in any case.)

        bubblewrap writes QEMU's pid as JSON to `info_fd`. There is no --die-with-parent: QEMU outlives the agent.
        """
        return [
            *(str(self.prlimit), "--core=0:0", f"--fsize={file_bytes_max}", "--"),
            *self._as_user(uid, gid),
            *self._confined(self.qemu, view, "--as-pid-1", "--info-fd", str(info_fd)),
            *qemu_arguments,
        ]

    def image_command(
        self, arguments: Sequence[str], *, uid: int | None, view: View, file_bytes_max: int, memory_bytes_max: int
    ) -> list[str]:
        """The command line that ends in qemu-img, and ends with whoever runs it. The limits are on each file that it
        writes and on its address space."""
        limits = ("--core=0:0", f"--fsize={file_bytes_max}", f"--as={memory_bytes_max}")
        return [
            *(str(self.prlimit), *limits, "--"),
            *self._as_user(uid, None),
            *self._confined(self.qemu_img, view, "--die-with-parent"),
            *arguments,
        ]

    def _as_user(self, uid: int | None, gid: int | None) -> list[str]:
        if uid is None or self.setpriv is None:
            return []
        ids = (f"--reuid={uid}", f"--regid={gid if gid is not None else uid}")
        return [str(self.setpriv), *ids, "--clear-groups", "--no-new-privs", "--"]

    def _confined(self, program: Path, view: View, *options: str) -> list[str]:
        words = [str(self.bwrap), "--unshare-all", *options, "--cap-drop", "ALL", "--new-session", "--clearenv"]
        for path in (program, *self.libraries):
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
        return [*words, "--remount-ro", "/dev", "--remount-ro", "/", "--chdir", "/", "--", str(program)]


def find_jail(qemu: str) -> Jail:
    """The jail that this host can give. Raises: FileNotFoundError naming a missing program."""
    libraries = []
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
    prlimit = Path(_program("prlimit"))
    return Jail(
        qemu=Path(_program(qemu)).resolve(),
        qemu_img=Path(_program("qemu-img")).resolve(),
        prlimit=prlimit,
        bwrap=Path(_program("bwrap")),
        setpriv=setpriv,
        libraries=tuple(libraries),
        links=tuple(links),
        raises_limits=_raises_limits(prlimit),
    )


def _raises_limits(prlimit: Path) -> bool:
    """By a process that tries it. ~10 ms."""
    words = (str(prlimit), "--fsize=1024", "--", str(prlimit), "--fsize=2048", "--", str(prlimit), "--version")
    return subprocess.run(words, check=False, capture_output=True).returncode == 0


def _program(name: str) -> str:
    path = shutil.which(name)
    if path is None:
        raise FileNotFoundError(name)
    return path
