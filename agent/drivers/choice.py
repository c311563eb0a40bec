"""Which driver runs the machines of this host."""

from collections.abc import Callable

from agent.drivers.driver import Driver
from agent.drivers.simulated import POINTS, Faults, SimulatedDriver
from agent.errors import AgentError, Code
from agent.settings import Settings

BASE = "base"
"""The template that every host has."""

Progress = Callable[[str], None]
"""Called with a sentence now and then."""


def make_driver(settings: Settings, progress: Progress) -> Driver:
    """The driver, not yet open. `progress` hears of the steps of building the base image."""
    if settings.driver == "simulated":
        latency_seconds = dict.fromkeys(POINTS, settings.simulated_latency_ms / 1000)
        return SimulatedDriver(settings.data_dir / "simulated", Faults(latency_seconds))
    # Only where it is wanted: a host of simulated machines needs neither QEMU's library nor its start-up time.
    from agent.drivers.qemu import DiskRate, QemuDriver, QemuSettings  # noqa: PLC0415
    from agent.images import BaseImage, BuildError, Resolver, UnknownTemplate  # noqa: PLC0415

    resolver = Resolver(settings.cache_dir, settings.data_dir, progress)

    async def image(name: str) -> BaseImage:
        try:
            return await resolver(name)
        except UnknownTemplate as error:
            raise AgentError(Code.UNKNOWN_TEMPLATE, str(error)) from error
        except BuildError as error:
            raise AgentError(Code.INTERNAL, str(error), detail=error.detail) from error

    return QemuDriver(
        QemuSettings(
            data_dir=settings.data_dir,
            cache_dir=settings.cache_dir,
            pool_max=settings.pool_max,
            disk_rate=DiskRate(settings.disk_mb_per_second << 20, settings.disk_operations_per_second),
        ),
        image,
    )
