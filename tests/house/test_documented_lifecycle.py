"""The diagram in ARCHITECTURE.md shows the lifecycle that the code has: no move more, no move less."""

import re
from pathlib import Path

from api.domain.sandbox import MOVES, TERMINAL, Move, Owner, State

ARCHITECTURE = Path(__file__).parents[2] / "ARCHITECTURE.md"
_EDGE = re.compile(r"^\s*(\w+) --> (\w+): ([\w, ]+)$", re.MULTILINE)

# said in a sentence beside the diagram, which ten arrows to one state would make unreadable
_DELETION = {
    Move(state, State.DELETING, Owner.API) for state in State if state is not State.DELETING and state not in TERMINAL
}


def _drawn() -> set[Move]:
    text = ARCHITECTURE.read_text()
    diagram = text.split("<!-- lifecycle: begin -->")[1].split("<!-- lifecycle: end -->")[0]
    return {
        Move(State(source), State(target), Owner(owner))
        for source, target, owners in _EDGE.findall(diagram)
        for owner in owners.split(", ")
    }


def test_the_diagram_draws_every_move_and_no_other() -> None:
    drawn = _drawn() | _DELETION

    assert not set(MOVES) - drawn, "moves that the diagram lacks"
    assert not drawn - set(MOVES), "moves that the code lacks"


def test_every_state_is_explained() -> None:
    text = ARCHITECTURE.read_text()

    assert [state.value for state in State if f"| `{state.value}` |" not in text] == []
