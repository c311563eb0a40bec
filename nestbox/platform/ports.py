"""Ports: whether they are free, and if not, who has them."""

import errno
import socket
from pathlib import Path

from nestbox.errors import Problem

_LISTEN = "0A"


def check_port(host: str, port: int, purpose: str, option: str) -> None:
    """Raises: Problem, saying who listens there, when `host:port` cannot be had. `option` is what changes the port."""
    try:
        address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        with socket.socket(address[0], address[1]) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(address[4])
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            holder = port_holder(port) or "another program"
            raise Problem(
                f"Port {port} for {purpose} is taken by {holder}.", f"Stop that, or choose another port with {option}."
            ) from error
        raise Problem(f"{purpose} cannot listen on {host}:{port}: {error.strerror}.", f"See {option}.") from error


def port_holder(port: int) -> str | None:
    """`name (process id)` of a program that listens on a TCP port; None when it cannot be found out."""
    inodes = _listening_inodes(port)
    if not inodes:
        return None
    for process in Path("/proc").iterdir():
        if not process.name.isdecimal():
            continue
        try:
            descriptors = list((process / "fd").iterdir())
        except OSError:
            continue
        if any(_target(descriptor) in inodes for descriptor in descriptors):
            return f"{_name(process)} (process {process.name})"
    return None


def _listening_inodes(port: int) -> set[str]:
    found = set[str]()
    for table in (Path("/proc/net/tcp"), Path("/proc/net/tcp6")):
        try:
            lines = table.read_text().splitlines()[1:]
        except OSError:
            continue
        for line in lines:
            fields = line.split()
            if fields[3] == _LISTEN and int(fields[1].rpartition(":")[2], 16) == port:
                found.add(f"socket:[{fields[9]}]")
    return found


def _target(link: Path) -> str:
    try:
        return str(link.readlink())
    except OSError:
        return ""


def _name(process: Path) -> str:
    try:
        return (process / "comm").read_text().strip()
    except OSError:
        return "a program"
