"""Which control plane had a machine made."""

from collections.abc import AsyncIterator
from pathlib import Path
from uuid import uuid4

import pytest
import pytest_asyncio

from agent.errors import Code
from tests.agent.serving import Served, new_sandbox, refused, serving

CLUSTER = "0190b0a0-0000-7000-8000-00000000000a"


@pytest_asyncio.fixture
async def agent(tmp_path: Path) -> AsyncIterator[Served]:
    async with serving(tmp_path) as served:
        yield served


async def test_whose_a_machine_is_outlives_the_agent_and_all_that_is_done_with_it(tmp_path: Path) -> None:
    ours, unnamed, cluster_id = new_sandbox(), new_sandbox(), str(uuid4())
    async with serving(tmp_path / "agent") as served:
        assert (await served.create(ours, cluster_id=cluster_id)).cluster_id == cluster_id
        assert (await served.create(unnamed)).cluster_id == ""
        assert (await served.pause(ours, 2)).cluster_id == cluster_id
    async with serving(tmp_path / "agent") as served:
        inventory = await served.inventory()
        assert [inventory[name].cluster_id for name in (ours, unnamed)] == [cluster_id, ""]
        assert (await served.resume(ours, 3)).cluster_id == cluster_id
        assert (await served.destroy(ours, 4)).cluster_id == cluster_id


async def test_a_create_that_is_repeated_by_a_newer_control_plane_is_the_same_command(agent: Served) -> None:
    sandbox_id = new_sandbox()
    first = await agent.create(sandbox_id)
    again = await agent.create(sandbox_id, cluster_id=str(uuid4()))
    assert (again.incarnation, again.cluster_id) == (first.incarnation, "")


@pytest.mark.parametrize("cluster_id", ["x", "\0", f"sb-{CLUSTER}", CLUSTER.upper(), f"{CLUSTER} "])
async def test_what_is_no_id_is_refused_and_makes_nothing(agent: Served, cluster_id: str) -> None:
    with refused(Code.INVALID, "cluster_id"):
        await agent.create(new_sandbox(), cluster_id=cluster_id)
    assert await agent.inventory() == {}
