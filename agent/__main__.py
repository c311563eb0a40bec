"""`python -m agent [serve | join URL | build-image | probe [--json]]`; settings come from the environment:
`agent/settings.py`."""

import argparse
import asyncio
import contextlib
import fcntl
import platform
import signal
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from importlib.metadata import version
from pathlib import Path

import structlog
from pydantic import ValidationError

from agent.authentication import read_token
from agent.certificates import CertificateError, Certificates
from agent.computer import memory_available_mb
from agent.drivers.choice import Progress, make_driver
from agent.errors import AgentError
from agent.faults import NO_FAULTS, ArmedFaults
from agent.host import DEFAULT_SHAPE, open_host
from agent.joining import CannotJoin, join
from agent.logs import configure_logs
from agent.probe import find_out
from agent.secure_link import SecureLink
from agent.server import CannotListen, serve
from agent.settings import Settings

_log = structlog.get_logger("agent")

EXIT_CANNOT = 1
EXIT_USAGE = 2
EXIT_IN_USE = 3


class CannotStart(Exception):
    """Why the agent cannot do what it was asked for: a sentence for whoever asked."""

    status = EXIT_CANNOT


class DataDirInUse(CannotStart):
    """Another agent has the data directory. The set-up tells it from failures by the exit status."""

    status = EXIT_IN_USE


def main() -> int:
    """Returns the exit status: 0, 1 if it could not do it (standard error says why), 2 for wrong settings, 3 if another
    agent uses the data directory."""
    parser = argparse.ArgumentParser(prog="python -m agent", description="The agent of one Nestbox host.")
    commands = parser.add_subparsers(dest="command")
    commands.add_parser("serve", help="run this host (the default); SIGTERM leaves its machines running")
    joining = commands.add_parser("join", help="get a certificate with a one-time token, read from standard input")
    joining.add_argument("url", help="where the control plane is: https://nestbox.example.org")
    joining.add_argument("--address", help="where it reaches this host, if not at NESTBOX_AGENT_ADDRESS: host:port")
    commands.add_parser("build-image", help="make the base image and the memory image of the default shape")
    probe = commands.add_parser("probe", help="say what this host can do")
    probe.add_argument("--json", action="store_true", help="as JSON")
    arguments = parser.parse_args()
    try:
        settings = Settings()
    except ValidationError as error:
        reasons = "; ".join(f"{'.'.join(map(str, item['loc']))}: {item['msg']}" for item in error.errors())
        print(f"agent: wrong settings: {reasons}", file=sys.stderr)  # noqa: T201 - for whoever started it
        return EXIT_USAGE
    configure_logs(settings.log_format)
    try:
        match arguments.command:
            case "join":
                _join(settings, arguments.url, arguments.address or settings.address)
            case "build-image":
                asyncio.run(_build_image(settings))
            case "probe":
                print(asyncio.run(find_out(settings, as_json=arguments.json)))  # noqa: T201 - this is what was asked for
            case _:
                asyncio.run(_serve(settings))
    except (CannotStart, AgentError) as error:
        print(f"agent: {error}", file=sys.stderr)  # noqa: T201 - for whoever started it
        return error.status if isinstance(error, CannotStart) else EXIT_CANNOT
    except KeyboardInterrupt:
        return EXIT_CANNOT
    return 0


async def _serve(settings: Settings) -> None:
    stopped = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stopped.set)
    with _locked(settings.data_dir):
        try:
            token = read_token(settings.token_path)
        except (OSError, ValueError) as error:
            raise CannotStart(f"The token cannot be read: {error}") from error
        driver = make_driver(settings, lambda line: _log.info("base image", step=line))
        available_mb = None if settings.driver == "simulated" else memory_available_mb
        link = _secure_link(settings)
        name = settings.host_name or platform.node()
        faults = ArmedFaults(settings.faults) if settings.faults else NO_FAULTS
        try:
            async with (
                open_host(
                    settings.data_dir,
                    driver,
                    available_mb,
                    garbage_kept=timedelta(seconds=settings.garbage_kept_seconds),
                    faults=faults,
                ) as host,
                serve(
                    host, address=settings.address, token=token, name=name, version=version("nestbox"), link=link
                ) as port,
            ):
                _log.info("agent serves", address=settings.address, port=port, driver=settings.driver, tls=bool(link))
                await stopped.wait()
                _log.info("agent stops; its machines run on")
        except CannotListen as error:
            raise CannotStart(str(error)) from error


def _secure_link(settings: Settings) -> SecureLink | None:
    certificates = Certificates(settings.tls_dir)
    if not certificates.is_there:
        return None
    try:
        return SecureLink(certificates)
    except CertificateError as error:
        raise CannotStart(str(error)) from error


def _join(settings: Settings, url: str, address: str) -> None:
    if sys.stdin.isatty():
        print("Token (from `nestbox host token`): ", end="", file=sys.stderr, flush=True)  # noqa: T201
    token = sys.stdin.readline(1024).strip()
    settings.data_dir.mkdir(mode=0o711, parents=True, exist_ok=True)
    name = settings.host_name or platform.node()
    try:
        expires_at = join(settings.data_dir, url, token, address, name, datetime.now(UTC))
    except CannotJoin as error:
        raise CannotStart(str(error)) from error
    print(f"Joined. The certificate is valid until {expires_at:%Y-%m-%d} and is renewed before. Now start the agent.")  # noqa: T201


async def _build_image(settings: Settings) -> None:
    """On standard output, for whoever waits: a line for each step."""
    say: Progress = lambda line: print(line, flush=True)  # noqa: E731, T201
    with _locked(settings.data_dir):
        driver = make_driver(settings, say)
        await driver.open()
        try:
            template, vcpus, memory_mb = DEFAULT_SHAPE
            say(f"making the memory image of {template}: {vcpus} vCPU, {memory_mb} MiB")
            image = await driver.prepare(template, vcpus, memory_mb)
            say(f"ready: {image.content_id}")
        finally:
            await driver.close()


@contextlib.contextmanager
def _locked(data_dir: Path) -> Iterator[None]:
    """Makes the data directory and keeps other agents out of it: two on one ledger would start two machines for one
    sandbox. Raises: CannotStart."""
    try:
        # Unprivileged users must reach what lies in it: each machine's QEMU is one.
        data_dir.mkdir(mode=0o711, parents=True, exist_ok=True)
        file = (data_dir / "lock").open("a")
    except OSError as error:
        raise CannotStart(f"The data directory {data_dir} cannot be used: {error.strerror}.") from error
    with file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise DataDirInUse(f"Another agent uses the data directory {data_dir}.") from error
        yield


if __name__ == "__main__":
    sys.exit(main())
