"""Who may call, and where the agent may listen."""

import stat
from pathlib import Path

import grpc
import grpc.aio
import pytest
from pydantic import ValidationError

from agent.authentication import read_token
from agent.drivers.simulated import SimulatedDriver
from agent.errors import Code
from agent.host import open_host
from agent.server import CannotListen, serve
from agent.settings import Settings
from proto.host.v1 import host_pb2 as pb
from tests.agent.serving import TOKEN, iter_of, new_sandbox, refused, serving

WRONG = [
    (),
    (("authorization", TOKEN),),
    (("authorization", f"Bearer {TOKEN}x"),),
    (("authorization", f"bearer {TOKEN}"),),
    (("authorization", "Bearer "),),
    (("authorization", f"Bearer {TOKEN}"), ("authorization", f"Bearer {TOKEN}")),
]


@pytest.mark.parametrize("metadata", WRONG)
async def test_nothing_is_done_without_the_token(tmp_path: Path, metadata: tuple[tuple[str, str], ...]) -> None:
    async with serving(tmp_path) as agent:
        sandbox_id = new_sandbox()
        await agent.create(sandbox_id)
        stub = agent.stub
        with refused(Code.UNAUTHENTICATED):
            await stub.GetHost(pb.GetHostRequest(), metadata=metadata)
        with refused(Code.UNAUTHENTICATED):
            await stub.DestroyMachine(pb.DestroyMachineRequest(sandbox_id=sandbox_id, generation=9), metadata=metadata)
        with refused(Code.UNAUTHENTICATED):
            await stub.WatchMachines(pb.WatchMachinesRequest(), metadata=metadata).read()
        with refused(Code.UNAUTHENTICATED):
            start = pb.WriteFileRequest(start=pb.WriteFileStart(sandbox_id=sandbox_id, path="/file"))
            await stub.WriteFile(iter_of([start]), metadata=metadata)
        with refused(Code.UNAUTHENTICATED):
            await stub.Exec(metadata=metadata).read()
        assert await agent.state(sandbox_id) == "running"


async def test_an_unknown_call_is_unimplemented(tmp_path: Path) -> None:
    async with serving(tmp_path) as agent, grpc.aio.insecure_channel(f"127.0.0.1:{agent.port}") as channel:
        call: grpc.aio.UnaryUnaryMultiCallable[bytes, bytes] = channel.unary_unary("/host.v1.HostAgent/NoSuchCall")
        with pytest.raises(grpc.aio.AioRpcError) as refusal:
            await call(b"", metadata=agent.metadata)
        assert refusal.value.code() is grpc.StatusCode.UNIMPLEMENTED


async def test_what_the_host_says_about_itself(tmp_path: Path) -> None:
    async with serving(tmp_path) as agent:
        await agent.create(new_sandbox())
        first = await agent.stub.GetHost(pb.GetHostRequest(), metadata=agent.metadata)
    async with serving(tmp_path) as agent:
        second = await agent.stub.GetHost(pb.GetHostRequest(), metadata=agent.metadata)
    assert first.host_id == second.host_id
    assert first.host_id.startswith("host-")
    assert first.agent_incarnation != second.agent_incarnation
    assert (first.driver, first.isolation, first.accelerator) == ("simulated", pb.ISOLATION_NONE, "none")
    assert first.machines_running == second.machines_running == 1
    assert first.memory_total_mb > first.memory_free_mb > 0
    assert first.disk_total_mb >= first.disk_free_mb > 0
    assert first.cpu_count > 0
    assert [image.template_name for image in first.images] == ["base"]
    assert any("runs no code" in shortcoming for shortcoming in first.shortcomings)


async def test_what_a_lost_ledger_knew_is_told_of_and_left_alone(tmp_path: Path) -> None:
    sandbox_id = new_sandbox()
    async with serving(tmp_path) as agent:
        await agent.create(sandbox_id)
    (tmp_path / "ledger.db").unlink()
    async with serving(tmp_path) as agent:
        host = await agent.stub.GetHost(pb.GetHostRequest(), metadata=agent.metadata)
        assert any("ledger does not know" in shortcoming for shortcoming in host.shortcomings)
        await agent.host.collect_garbage(dry_run=False)
        assert len(await agent.driver.leftovers()) == 1
        await agent.destroy(sandbox_id, 5)
        assert await agent.driver.leftovers() == frozenset()


async def test_two_agents_cannot_have_one_address(tmp_path: Path) -> None:
    async with serving(tmp_path / "one") as agent:
        (tmp_path / "two").mkdir()
        async with open_host(tmp_path / "two", SimulatedDriver(tmp_path / "two" / "simulated"), None) as host:
            with pytest.raises(CannotListen, match="Cannot listen"):
                async with serve(host, address=f"127.0.0.1:{agent.port}", token=TOKEN, name="", version=""):
                    pass


def test_a_token_is_made_once_and_only_its_owner_reads_it(tmp_path: Path) -> None:
    path = tmp_path / "new" / "token"
    token = read_token(path)
    assert len(token) >= 32
    assert read_token(path) == token
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


@pytest.mark.parametrize("content", ["", "short", "twoooooooooooooooooo\nlines", "ünterscheidung-der-tokens"])
def test_what_is_no_token_is_refused(tmp_path: Path, content: str) -> None:
    path = tmp_path / "token"
    path.write_text(content)
    with pytest.raises(ValueError, match="token file"):
        read_token(path)


@pytest.mark.parametrize("address", ["127.0.0.1:7301", "[::1]:7301", "127.8.9.1:0"])
def test_loopback_is_allowed(address: str) -> None:
    assert Settings(address=address).address == address


@pytest.mark.parametrize("address", ["0.0.0.0:7301", "[::]:7301", "192.0.2.1:7301"])
def test_a_network_is_refused_before_the_host_has_joined(address: str, tmp_path: Path) -> None:
    with pytest.raises(ValidationError, match="in the clear"):
        Settings(address=address, data_dir=tmp_path)
    (tmp_path / "tls").mkdir()
    (tmp_path / "tls" / "certificate.pem").touch()
    assert Settings(address=address, data_dir=tmp_path).address == address


@pytest.mark.parametrize("address", ["", "127.0.0.1", "localhost:7301", "127.0.0.1:", "127.0.0.1:99999", ":7301"])
def test_an_address_that_is_none_is_refused(address: str) -> None:
    with pytest.raises(ValidationError):
        Settings(address=address)


def test_settings_come_from_the_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("NESTBOX_AGENT_DATA_DIR", str(tmp_path))
    monkeypatch.setenv("NESTBOX_AGENT_DRIVER", "simulated")
    monkeypatch.setenv("NESTBOX_CACHE_DIR", str(tmp_path / "cache"))
    settings = Settings()
    assert (settings.data_dir, settings.driver) == (tmp_path, "simulated")
    assert (settings.cache_dir, settings.token_path) == (tmp_path / "cache", tmp_path / "token")


def test_the_simulated_driver_is_never_chosen_by_default() -> None:
    assert Settings().driver == "qemu"
