"""Hosts that join: who is believed, and for how long."""

import asyncio
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from uuid import UUID, uuid4

import grpc
import grpc.aio
import pytest
from cryptography import x509

from agent.certificates import CertificateError, Certificates
from api.domain.host import Registration
from api.domain.sandbox import State
from api.errors import Conflict, Forbidden, Invalid, NotFound, Unauthenticated
from api.hosts.access import TlsAccess, TokenAccess
from api.hosts.authority import HOST_LIFETIME, Authority, server_name
from api.hosts.client import HostClient
from proto.host.v1 import host_pb2 as pb
from proto.host.v1.host_pb2_grpc import HostAgentStub
from tests.agent.serving import TOKEN
from tests.api.joining import free_address, is_reachable, joins, secure_agent
from tests.api.running import Running, agent_at, principal_of, services_running
from tests.waiting import DEADLINE_SECONDS, eventually


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority.create(tmp_path / "authority", datetime.now(UTC))


async def call(address: str, name: str, root: bytes, key: bytes | None, certificate: bytes | None) -> pb.Host:
    credentials = grpc.ssl_channel_credentials(root, key, certificate)
    options = (("grpc.ssl_target_name_override", name),)
    async with grpc.aio.secure_channel(address, credentials, options=options) as channel:
        return await HostAgentStub(channel).GetHost(pb.GetHostRequest(), timeout=DEADLINE_SECONDS)


async def test_a_host_that_has_joined_runs_sandboxes(tmp_path: Path, database_url: str, authority: Authority) -> None:
    address = free_address()
    async with services_running(database_url, authority=authority) as running:
        identity = await joins(running, tmp_path / "second", address)
        async with secure_agent(tmp_path / "second", address):
            await eventually(lambda: identity in running.services.resources.hosts.host_ids)
            await eventually(lambda: is_reachable(running, identity))
            sandbox = await running.created(name="far away")
            assert (sandbox.host_id, sandbox.state) == (identity, State.RUNNING)
            host = await running.services.hosts.get(await principal_of(running.services, admin=True), identity)
            assert host is not None
            assert host.registered_at is not None
            assert host.certificate_expires_at is not None


async def test_a_host_that_joins_again_elsewhere_is_found_there(
    tmp_path: Path, database_url: str, authority: Authority
) -> None:
    async with services_running(database_url, authority=authority) as running:
        for again in (False, True):
            address = free_address()
            identity = await joins(running, tmp_path / "second", address, again=again)
            async with secure_agent(tmp_path / "second", address):
                await eventually(partial(_found_at, running, identity, address))
                await running.created()


async def _found_at(running: Running, identity: UUID, address: str) -> bool:
    hosts = running.services.resources.hosts
    found = identity in hosts.host_ids and hosts.client(identity).address == address
    return found and await is_reachable(running, identity)


async def test_a_token_lets_one_host_join_within_an_hour(
    tmp_path: Path, database_url: str, authority: Authority
) -> None:
    async with services_running(database_url, reconcile=False, authority=authority) as running:
        registrations = running.services.registrations
        token = (await registrations.new_token("test")).token
        await joins(running, tmp_path / "first", "127.0.0.1:1", token)
        with pytest.raises(Unauthenticated):
            await joins(running, tmp_path / "second", "127.0.0.1:2", token)
        late = (await registrations.new_token("test")).token
        running.clock.offset += timedelta(minutes=61)
        with pytest.raises(Unauthenticated):
            await joins(running, tmp_path / "second", "127.0.0.1:2", late)
        fresh = (await registrations.new_token("test")).token
        answers = await asyncio.gather(
            *(joins(running, tmp_path / f"at-once-{number}", f"127.0.0.1:{number + 3}", fresh) for number in range(5)),
            return_exceptions=True,
        )
        assert sum(isinstance(answer, UUID) for answer in answers) == 1
        assert await running.database.fetchval("SELECT count(*) FROM hosts WHERE registered_at IS NOT NULL") == 2


async def test_a_host_that_is_known_joins_again_only_with_a_token_that_was_made_for_it(
    tmp_path: Path, database_url: str, authority: Authority
) -> None:
    async with services_running(database_url, reconcile=False, authority=authority) as running:
        registrations = running.services.registrations
        known = await joins(running, tmp_path / "known", "127.0.0.1:1")
        before = await running.database.fetchrow("SELECT * FROM hosts WHERE id = $1", known)
        leaked = (await registrations.new_token("test")).token
        with pytest.raises(Conflict, match=f"--again host-{known}") as refused:
            await joins(running, tmp_path / "known", "127.0.0.1:2", leaked)
        assert refused.value.code == "HOST_KNOWN"
        assert await running.database.fetchrow("SELECT * FROM hosts WHERE id = $1", known) == before
        # it was not used up
        other = await joins(running, tmp_path / "other", "127.0.0.1:3", leaked)

        own = (await registrations.new_token("test", known)).token
        for folder in ("other", "new"):
            with pytest.raises(Forbidden, match="another host"):
                await joins(running, tmp_path / folder, "127.0.0.1:4", own)
        await joins(running, tmp_path / "known", "127.0.0.1:5", own)
        with pytest.raises(Unauthenticated):
            await joins(running, tmp_path / "known", "127.0.0.1:6", own)
        found = {row["id"]: row["address"] for row in await running.database.fetch("SELECT id, address FROM hosts")}
        assert found == {known: "127.0.0.1:5", other: "127.0.0.1:3"}
        with pytest.raises(NotFound):
            await registrations.new_token("test", uuid4())


async def test_of_two_that_join_at_once_under_one_id_the_second_is_refused(
    tmp_path: Path, database_url: str, authority: Authority
) -> None:
    async with services_running(database_url, reconcile=False, authority=authority) as running:
        registrations, identity = running.services.registrations, uuid4()
        request = Certificates(tmp_path / "tls").request(f"host-{identity}")
        tokens = [(await registrations.new_token("test")).token for _ in range(2)]
        answers = await asyncio.gather(
            *(
                registrations.register(token, Registration(identity, "name", f"127.0.0.1:{number + 1}", request))
                for number, token in enumerate(tokens)
            ),
            return_exceptions=True,
        )
        (refusal,) = [answer for answer in answers if isinstance(answer, BaseException)]
        assert isinstance(refusal, Conflict)
        assert refusal.code == "HOST_KNOWN"
        assert await running.database.fetchval("SELECT count(*) FROM host_tokens WHERE used_at IS NOT NULL") == 1


async def test_what_is_no_token_or_no_request_is_refused(
    tmp_path: Path, database_url: str, authority: Authority
) -> None:
    foreign = Authority.create(tmp_path / "foreign", datetime.now(UTC))
    async with services_running(database_url, reconcile=False, authority=authority) as running:
        registrations = running.services.registrations
        token = (await registrations.new_token("test")).token
        with pytest.raises(Forbidden):
            await joins(running, tmp_path / "a", "127.0.0.1:1", token.rpartition("_")[0] + f"_{foreign.fingerprint}")
        guessed = token.split("_")
        guessed[2] = "a" * 52
        for wrong in ("", "nb_x", "_".join(guessed), token + "\0"):
            with pytest.raises(Unauthenticated):
                await joins(running, tmp_path / "a", "127.0.0.1:1", wrong)
        for address in ("", "127.0.0.1", "http://x:1", "a b:1", "127.0.0.1:0", "127.0.0.1:65536", "x" * 400 + ":1"):
            with pytest.raises(Invalid):
                await joins(running, tmp_path / "a", address, token)
        for request in (b"", b"no request", b"x" * 20_000):
            with pytest.raises(Invalid):
                await registrations.register(token, Registration(uuid4(), "name", "127.0.0.1:1", request))
        # none of it has used the token up
        await joins(running, tmp_path / "a", "127.0.0.1:1", token)
        with pytest.raises(Forbidden):
            await registrations.create_token(running.principal)


async def test_an_agent_answers_replicas_of_its_cluster_only(
    tmp_path: Path, database_url: str, authority: Authority
) -> None:
    now = datetime.now(UTC)
    foreign = Authority.create(tmp_path / "foreign", now)
    async with services_running(database_url, reconcile=False, authority=authority) as running:
        identity = await joins(running, tmp_path / "host", "127.0.0.1:1")
        async with secure_agent(tmp_path / "host") as (address, _):
            name = server_name(identity)
            replica, stranger = authority.certify_replica(now), foreign.certify_replica(now)
            own = Certificates(tmp_path / "host" / "tls").load(now)
            answer = await call(address, name, authority.certificate, replica.key, replica.certificate)
            assert answer.host_id == f"host-{identity}"
            for key, certificate in (
                (None, None),
                (stranger.key, stranger.certificate),
                # a host may not call another one
                (own.key, own.certificate),
            ):
                with pytest.raises(grpc.aio.AioRpcError):
                    await call(address, name, authority.certificate, key, certificate)
            with pytest.raises(grpc.aio.AioRpcError, match="CERTIFICATE_VERIFY_FAILED"):
                await call(address, name, foreign.certificate, replica.key, replica.certificate)
            with pytest.raises(grpc.aio.AioRpcError):
                await call(address, server_name(uuid4()), authority.certificate, replica.key, replica.certificate)
            async with grpc.aio.insecure_channel(address) as channel:
                with pytest.raises(grpc.aio.AioRpcError):
                    await HostAgentStub(channel).GetHost(
                        pb.GetHostRequest(), metadata=(("authorization", f"Bearer {TOKEN}"),), timeout=DEADLINE_SECONDS
                    )


async def test_a_certificate_is_renewed_before_it_expires(
    tmp_path: Path, database_url: str, authority: Authority
) -> None:
    address = free_address()
    async with services_running(database_url, authority=authority) as running:
        identity = await joins(running, tmp_path / "host", address)
        # as if it had joined long ago
        certificates, now = Certificates(tmp_path / "host" / "tls"), datetime.now(UTC)
        request = certificates.request(f"host-{identity}")
        certificates.install(authority.certify_host(request, identity, now - HOST_LIFETIME * 0.7)[0], None, now)
        async with secure_agent(tmp_path / "host", address) as (_, link):
            first = link.expires_at
            await eventually(lambda: link.expires_at > first + HOST_LIFETIME * 0.5)
            # new connections are greeted with it, and sandboxes are made as before
            name, replica = server_name(identity), authority.certify_replica(datetime.now(UTC))
            answer = await call(address, name, authority.certificate, replica.key, replica.certificate)
            assert answer.certificate_expires_at.ToDatetime(UTC) == link.expires_at
            await eventually(lambda: is_reachable(running, identity))
            await running.created()


async def test_a_certificate_is_only_renewed_for_the_host_that_proved_to_be_there(
    tmp_path: Path, database_url: str, authority: Authority
) -> None:
    folder, now = tmp_path / "host", datetime.now(UTC)
    async with services_running(database_url, reconcile=False, authority=authority) as running:
        identity = await joins(running, folder, "127.0.0.1:1")
        registrations = running.services.registrations
        async with secure_agent(folder) as (address, link), agent_at(tmp_path / "near") as near:
            client = HostClient(address, TlsAccess(authority.certify_replica(now), identity))
            by_token = HostClient(near, TokenAccess(TOKEN))
            try:
                lies = replace(await client.get_host(), host_id=uuid4(), certificate_expires_at=now + timedelta(days=1))
                assert not await registrations.renew(by_token, lies)
                first = link.expires_at
                assert await registrations.renew(client, lies)
                assert link.expires_at >= first
                signed = x509.load_pem_x509_certificate(Certificates(folder / "tls").load(now).certificate)
                names = signed.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
                assert names.get_values_for_type(x509.DNSName) == [server_name(identity)]
            finally:
                await client.close()
                await by_token.close()


async def test_what_does_not_fit_is_not_served_with(tmp_path: Path, authority: Authority) -> None:
    now = datetime.now(UTC)
    identity = uuid4()
    certificates = Certificates(tmp_path / "tls")
    certificate, expires_at = authority.certify_host(certificates.request(f"host-{identity}"), identity, now)
    certificates.install(certificate, authority.certificate, now)
    assert certificates.load(now).expires_at == expires_at.replace(microsecond=0)
    with pytest.raises(CertificateError, match=rf"expired on .* --again host-{identity}`"):
        certificates.load(now + HOST_LIFETIME + timedelta(days=1))
    with pytest.raises(CertificateError, match="clock"):
        certificates.load(now - timedelta(days=1))
    foreign = Authority.create(tmp_path / "foreign", now)
    other, _ = foreign.certify_host(certificates.request(f"host-{identity}"), identity, now)
    with pytest.raises(CertificateError, match="another cluster"):
        certificates.install(other, None, now)
    with pytest.raises(CertificateError, match="no certificate"):
        certificates.install(b"nothing", None, now)
    assert certificates.load(now).certificate == certificate
