"""Whether KVM works here, which is found by running a guest under it.

A `/dev/kvm` that opens is no proof: on some nested hosts every guest hangs, on others QEMU aborts. The proof is
remembered per boot of the host, kernel and QEMU.
"""

import asyncio
import contextlib
import json
import os
import subprocess
import tempfile
from dataclasses import asdict, dataclass
from pathlib import Path

from agent.drivers.qemu.records import boot_id

FILE = "accelerator.json"
DEADLINE_SECONDS = 3.0  # a working one takes ~0.1 s
KVM = Path("/dev/kvm")
# 64 KiB of firmware that ends QEMU: at the reset vector (16 bytes below 4 GiB) `mov al, 0x2a; out 0xf4, al`, then a
# loop. isa-debug-exit turns the byte into exit status (0x2a << 1) | 1.
_FIRMWARE_BYTES = 65536
_RESET_VECTOR = 16
_PROGRAM = bytes([0xB0, 0x2A, 0xE6, 0xF4, 0xF4, 0xEB, 0xFD])
_PROOF = (0x2A << 1) | 1


@dataclass(frozen=True, slots=True)
class Verdict:
    """`accelerator` is kvm or tcg; `reason` is a sentence on why KVM is not used, empty if it is."""

    accelerator: str
    reason: str = ""


async def choose(qemu: Path, qemu_version: str, data_dir: Path) -> Verdict:
    """The remembered verdict, or a new one: takes up to `DEADLINE_SECONDS` once per boot of the host."""
    with contextlib.suppress(OSError, ValueError, TypeError, AttributeError, KeyError):
        known = json.loads((data_dir / FILE).read_bytes())
        if known.pop("key") == _key(qemu_version):
            return Verdict(**known)
    verdict = await probe(qemu)
    remember(verdict, qemu_version, data_dir)
    return verdict


def remember(verdict: Verdict, qemu_version: str, data_dir: Path) -> None:
    """Until the host boots again or has another kernel or QEMU."""
    unfinished = data_dir / f"{FILE}.new"
    unfinished.write_text(json.dumps({"key": _key(qemu_version), **asdict(verdict)}))
    unfinished.rename(data_dir / FILE)


def _key(qemu_version: str) -> str:
    return f"{boot_id()} {os.uname().release} {qemu_version} {os.geteuid()}"


async def probe(qemu: Path) -> Verdict:
    """Runs a guest under KVM."""
    if not KVM.exists():
        return Verdict("tcg", "KVM is not there: the processor's virtualisation is off or not passed on.")
    if not os.access(KVM, os.R_OK | os.W_OK):
        return Verdict("tcg", "KVM is not for this user: add the agent's user to the group kvm.")
    if os.geteuid() == 0 and not is_for_others(KVM.stat().st_mode):
        return Verdict("tcg", "KVM is root's alone, and machines are not root: chgrp kvm /dev/kvm; chmod 660 /dev/kvm.")
    problem = await run_guest(qemu, "kvm")
    if problem:
        return Verdict("tcg", f"KVM does not run guests here: {problem}.")
    return Verdict("kvm")


def is_for_others(mode: int) -> bool:
    """Whether a device with this mode can be used by who is not its owner: its group, which machines get, or all."""
    return any(mode & bits == bits for bits in (0o060, 0o006))


async def run_guest(qemu: Path, accelerator: str, deadline_seconds: float = DEADLINE_SECONDS) -> str:
    """Runs the smallest guest under that accelerator; returns what went wrong, or nothing. No process is left."""
    cpu = "host" if accelerator == "kvm" else "max"
    with tempfile.NamedTemporaryFile(prefix="nestbox-probe-") as firmware:
        firmware.write(_firmware())
        firmware.flush()
        process = await asyncio.create_subprocess_exec(
            *(str(qemu), "-M", "microvm", "-accel", accelerator, "-cpu", cpu, "-m", "16M", "-bios", firmware.name),
            *("-nodefaults", "-no-user-config", "-display", "none", "-no-reboot"),
            *("-device", "isa-debug-exit,iobase=0xf4,iosize=0x04"),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
        )
        try:
            async with asyncio.timeout(deadline_seconds):
                _, words = await process.communicate()
        except TimeoutError:
            return f"a guest hung for {deadline_seconds:g} s"
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()
    if process.returncode == _PROOF:
        return ""
    last = words.decode("utf-8", "replace").strip().splitlines()[-1:] or ["no message"]
    return f"QEMU ended with {process.returncode} ({last[0][:200]})"


def _firmware() -> bytes:
    head = bytes(_FIRMWARE_BYTES - _RESET_VECTOR)
    return head + _PROGRAM.ljust(_RESET_VECTOR, b"\x90")
