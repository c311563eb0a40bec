"""TCP connections of the machine that this one is a copy of. Their other ends talk to that one and will never answer
this one: so they are ended here, for programs to see an error at once instead of waiting for minutes.

Nothing of it reaches the original's connections: what the kernel sends about them leaves by this machine's network.
"""

from __future__ import annotations

import os
from struct import Struct

TYPE_CHECKING = False
if TYPE_CHECKING:
    from _socket import socket
    from collections.abc import Iterator

_COUNTS = ((2, "/proc/net/sockstat", b"TCP: inuse "), (10, "/proc/net/sockstat6", b"TCP6: inuse "))
"""Address family, and where the kernel counts its sockets: hardly anything to read, where there are none."""

# linux/netlink.h, linux/sock_diag.h, linux/inet_diag.h
_MESSAGE = Struct("=IHHII")  # length, type, flags, sequence, port
_REQUEST = Struct("=BBBBI48s")  # family, protocol, extensions, padding, states, the socket's id
_FOUND = Struct("=BBBB48s")  # family, state, timer, retransmissions, the socket's id
_SOCK_DIAG_BY_FAMILY, _SOCK_DESTROY = 20, 21
_DUMP, _ONE = 0x301, 0x005  # NLM_F_REQUEST with NLM_F_DUMP, with NLM_F_ACK
_ERROR, _DONE = 2, 3
_NETLINK_SOCK_DIAG = 4
_AF_NETLINK, _SOCK_RAW, _TCP = 16, 3, 6
_STATES = 0x1B3E  # all but closed, waiting after the end, and listening
_BYTES_MAX = 65536
_SOURCE, _DESTINATION = slice(4, 20), slice(20, 36)
_MAPPED = bytes(10) + b"\xff\xff"  # an IPv4 address in IPv6


def reset() -> None:
    """Ends every connection that leads out of this machine. Those within it, and servers that wait for some, stay."""
    for family, path, name in _COUNTS:
        if _count(path, name):
            _reset(family)


def _count(path: str, name: bytes) -> int:
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return 0  # a kernel without IPv6
    try:
        text = os.read(descriptor, 4096)
    finally:
        os.close(descriptor)
    return int(text.partition(name)[2].split(None, 1)[0])


def _reset(family: int) -> None:
    from _socket import socket  # noqa: PLC0415 (needed in few machines; `socket` itself takes long to import)

    diagnosis = socket(_AF_NETLINK, _SOCK_RAW, _NETLINK_SOCK_DIAG)
    try:
        for state, identifier in list(_connections(diagnosis, family)):
            if not _within(family, identifier):
                _ask(diagnosis, _SOCK_DESTROY, _ONE, family, 1 << state, identifier)
                diagnosis.recv(_BYTES_MAX)  # one that has just ended by itself is an error, and all the same
    finally:
        diagnosis.close()


def _connections(diagnosis: socket, family: int) -> Iterator[tuple[int, bytes]]:
    _ask(diagnosis, _SOCK_DIAG_BY_FAMILY, _DUMP, family, _STATES, bytes(48))
    while True:
        answer = diagnosis.recv(_BYTES_MAX)
        start = 0
        while start < len(answer):
            length, kind = _MESSAGE.unpack_from(answer, start)[:2]
            if kind in (_ERROR, _DONE):
                return
            _, state, _, _, identifier = _FOUND.unpack_from(answer, start + _MESSAGE.size)
            yield state, identifier
            start += (length + 3) & ~3


def _ask(diagnosis: socket, kind: int, flags: int, family: int, states: int, identifier: bytes) -> None:
    request = _REQUEST.pack(family, _TCP, 0, 0, states, identifier)
    diagnosis.send(_MESSAGE.pack(_MESSAGE.size + len(request), kind, flags, 0, 0) + request)


def _within(family: int, identifier: bytes) -> bool:
    """Whether both ends are in this machine."""
    source, destination = identifier[_SOURCE], identifier[_DESTINATION]
    if source == destination:
        return True
    if family == 2:
        return destination[0] == 127
    return destination.startswith(_MAPPED + b"\x7f")
