"""What tests of drivers share: a laboratory for real machines, and both drivers in turn."""

import contextlib
import tempfile
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
import pytest_asyncio

from agent.drivers.driver import Driver
from agent.drivers.simulated import SimulatedDriver
from agent.errors import AgentError
from tests.agent.drivers.bench import Bench
from tests.agent.drivers.qemu.laboratory import Laboratory


@pytest.fixture(scope="session")
def laboratory(cache_dir: Path, memory_images: Path) -> Iterator[Laboratory]:
    """A data directory that the tests of drivers share."""
    made = Laboratory(cache_dir, memory_images)
    yield made
    made.remove()


@pytest_asyncio.fixture(
    scope="module", loop_scope="module", params=["simulated", pytest.param("qemu", marks=pytest.mark.vm)]
)
async def bench(request: pytest.FixtureRequest) -> AsyncIterator[Bench]:
    async with contextlib.AsyncExitStack() as stack:
        if request.param == "simulated":
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))

            def make() -> Driver:
                return SimulatedDriver(folder / "simulated")
        else:
            laboratory: Laboratory = request.getfixturevalue("laboratory")
            make = laboratory.second
            # after the driver is closed
            stack.callback(laboratory.tidy)
        bench = Bench(request.param, make, make())
        try:
            await bench.driver.open()
        except AgentError as error:
            pytest.fail(f"This computer cannot run the driver {request.param}, so it cannot be tested: {error.message}")
        await bench.driver.prepare("base", 1, 512)
        yield bench
        for sandbox_id in await bench.driver.leftovers():
            await bench.driver.remove(sandbox_id)
        await bench.driver.close()
