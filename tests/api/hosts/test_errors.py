"""What the answers of hosts mean."""

import grpc
import pytest
from grpc.aio import AioRpcError, Metadata

from agent.errors import STATUS, Code
from api.errors import Internal, Invalid, NestboxError, Unavailable
from api.hosts.access import TokenAccess
from api.hosts.client import HostClient
from api.hosts.errors import CODE_KEY, OutcomeUnknown, Refused, host_call_error
from api.ids import new_id
from tests.agent.serving import Served

_PRIVATE = {Code.CUT_OFF, Code.UNAUTHENTICATED, Code.INTERNAL}


def _error(status: grpc.StatusCode, code: str = "") -> AioRpcError:
    trailing = Metadata((CODE_KEY, code)) if code else Metadata()
    return AioRpcError(status, Metadata(), trailing, details="A sentence.")


@pytest.mark.parametrize("code", sorted(set(Code) - _PRIVATE))
def test_every_code_of_the_agent_reaches_the_user_as_it_is(code: Code) -> None:
    meant = host_call_error(_error(STATUS[code], code.value))
    assert (meant.error.code, meant.error.message) == (code.value, "A sentence.")
    assert type(meant.error) is not NestboxError


@pytest.mark.parametrize("code", sorted(_PRIVATE))
def test_what_is_wrong_between_us_is_not_told(code: Code) -> None:
    meant = host_call_error(_error(STATUS[code], code.value))
    assert "A sentence." not in meant.error.message
    assert "A sentence." in meant.error.detail


@pytest.mark.parametrize("status", [status for status in grpc.StatusCode if status is not grpc.StatusCode.OK])
def test_only_what_is_certain_counts_as_refused(status: grpc.StatusCode) -> None:
    certain = {
        grpc.StatusCode.UNAUTHENTICATED,
        grpc.StatusCode.UNIMPLEMENTED,
        grpc.StatusCode.INVALID_ARGUMENT,
    }
    assert isinstance(host_call_error(_error(status)), Refused if status in certain else OutcomeUnknown)


@pytest.mark.parametrize("code", [Code.STALE_GENERATION, Code.MACHINE_GONE, Code.GUEST_UNRESPONSIVE, Code.INTERNAL])
def test_after_some_answers_only_the_inventory_knows(code: Code) -> None:
    assert isinstance(host_call_error(_error(STATUS[code], code.value)), OutcomeUnknown)


def test_errors_of_the_wire_have_their_own_class() -> None:
    assert isinstance(host_call_error(_error(grpc.StatusCode.UNAVAILABLE)).error, Unavailable)
    assert isinstance(host_call_error(_error(grpc.StatusCode.DATA_LOSS)).error, Internal)
    assert isinstance(host_call_error(_error(grpc.StatusCode.INVALID_ARGUMENT)).error, Invalid)


async def test_a_wrong_token_is_refused(host: tuple[Served, str]) -> None:
    client = HostClient(host[1], TokenAccess("wrong"))
    try:
        with pytest.raises(Refused) as refused:
            await client.get_host()
        assert refused.value.error.code == "HOST_UNREACHABLE"
    finally:
        await client.close()


async def test_a_host_that_is_not_there_is_an_unknown_outcome() -> None:
    client = HostClient("127.0.0.1:9", TokenAccess("token"))
    try:
        with pytest.raises(OutcomeUnknown) as unknown:
            await client.pause(new_id(), 1)
        assert unknown.value.error.retryable
    finally:
        await client.close()
