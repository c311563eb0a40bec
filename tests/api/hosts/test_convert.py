"""Protobuf ↔ domain."""

import pytest

from api.domain.host import Isolation
from api.domain.sandbox import Cause, State
from api.errors import Internal
from api.hosts.convert import CAUSES, ISOLATIONS, STATES, facts_of, inventory_of, machine_of
from api.ids import Kind, new_id, wire_id
from proto.host.v1 import host_pb2 as pb


def _message(**changes: object) -> pb.Machine:
    message = pb.Machine(sandbox_id=wire_id(Kind.SANDBOX, new_id()), state=pb.MACHINE_STATE_RUNNING, sequence=1)
    message.MergeFrom(pb.Machine(**changes))  # type: ignore[arg-type]
    return message


def test_every_value_of_the_contract_has_a_meaning() -> None:
    assert set(STATES) == set(pb.MachineState.values()) - {pb.MACHINE_STATE_UNSPECIFIED}
    assert set(STATES.values()) == set(State) - {State.PENDING}
    assert set(CAUSES) == set(pb.Cause.values()) - {pb.CAUSE_UNSPECIFIED}
    assert set(CAUSES.values()) == set(Cause)
    assert set(ISOLATIONS) == set(pb.Isolation.values()) - {pb.ISOLATION_UNSPECIFIED}
    assert set(ISOLATIONS.values()) == set(Isolation)


@pytest.mark.parametrize("name", sorted(pb.MachineState.keys()))
def test_states_keep_their_names(name: str) -> None:
    if name != "MACHINE_STATE_UNSPECIFIED":
        assert STATES[pb.MachineState.Value(name)] == name.removeprefix("MACHINE_STATE_").lower()


@pytest.mark.parametrize(
    "message",
    [
        pb.Machine(state=pb.MACHINE_STATE_RUNNING, sandbox_id="nonsense"),
        pb.Machine(state=pb.MACHINE_STATE_RUNNING, sandbox_id=wire_id(Kind.TEMPLATE, new_id())),
        pb.Machine(sandbox_id=wire_id(Kind.SANDBOX, new_id())),
        pb.Machine(state=99, sandbox_id=wire_id(Kind.SANDBOX, new_id())),  # type: ignore[arg-type]
        pb.Machine(state=pb.MACHINE_STATE_RUNNING, sandbox_id=wire_id(Kind.SANDBOX, new_id()), incarnation="x"),
    ],
)
def test_what_is_not_understood_is_not_guessed(message: pb.Machine) -> None:
    with pytest.raises(Internal):
        machine_of(message)
    inventory = inventory_of(pb.ListMachinesResponse(machines=[message, _message()]))
    assert inventory.unreadable == {message.sandbox_id}
    assert len(inventory.machines) == 1


def test_an_unknown_cause_is_explained_by_its_sentence() -> None:
    machine = machine_of(_message(cause=77, detail="Something new."))
    assert (machine.cause, machine.detail) == (Cause.REPAIRED, "Something new.")


def test_a_host_without_an_id_is_none() -> None:
    with pytest.raises(Internal):
        facts_of(pb.Host(host_id="nonsense"))
    host_id = new_id()
    assert facts_of(pb.Host(host_id=str(host_id))).host_id == host_id
    assert facts_of(pb.Host(host_id=wire_id(Kind.HOST, host_id), isolation=99)).isolation is Isolation.NONE  # type: ignore[arg-type]
