"""Starts the guest: `main.py` in a machine, `main.py --listen PATH --root FOLDER` on the development machine."""

# pathlib would take longer to import in an emulated machine than all of this program
# ruff: noqa: PTH123, PTH208

from __future__ import annotations

import gc
import os
import sys

from agent.guest import wire
from agent.guest.identity import Identity
from agent.guest.loop import Loop
from agent.guest.port import Port, SocketPort
from agent.guest.process import Spawner
from agent.guest.session import Session

_PORTS = "/sys/class/virtio-ports/"


def main() -> None:
    """Never returns."""
    arguments = dict(zip(sys.argv[1::2], sys.argv[2::2], strict=True))
    listen = arguments.get("--listen")
    root = os.fsencode(arguments.get("--root", ""))
    loop = Loop()
    spawner = Spawner(protected=listen is None, home=root + b"/root")
    identity = Identity(spawner, root=root, machine=listen is None)
    session = Session(loop, spawner, identity, machine=listen is None)
    port = _listen(loop, session, listen) if listen else Port(loop, session, _open_port())
    identity.recall()
    # all that is there by now stays: the collector need not look at it again
    gc.freeze()
    session.serve(port)


def _open_port() -> int:
    for name in os.listdir(_PORTS):
        with open(_PORTS + name + "/name") as file:
            if file.read().strip() == wire.PORT_NAME:
                return os.open("/dev/" + name, os.O_RDWR | os.O_CLOEXEC | os.O_NOCTTY)
    raise SystemExit(f"This machine has no virtio-serial port {wire.PORT_NAME}.")


def _listen(loop: Loop, session: Session, path: str) -> Port:
    import socket  # noqa: PLC0415 (not needed in a machine, and slow to import)

    server = socket.socket(socket.AF_UNIX)
    server.bind(path)
    server.listen(1)
    return SocketPort(loop, session, server)


if __name__ == "__main__":
    main()
