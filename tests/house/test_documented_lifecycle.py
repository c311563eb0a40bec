"""ARCHITECTURE.md shows the lifecycle that the code has: no move more, no move less, each with its causes.

`python -m tests.house.test_documented_lifecycle` writes that part of it anew.
"""

from collections import defaultdict
from pathlib import Path

from api.domain.sandbox import MOVES, TERMINAL, Cause, Move, Owner, State

ARCHITECTURE = Path(__file__).parents[2] / "ARCHITECTURE.md"
_BEGIN, _END = "<!-- lifecycle: begin -->\n", "<!-- lifecycle: end -->"

# said in a sentence beside the diagram, which ten arrows to one state would make unreadable
_DELETION = {
    Move(state, State.DELETING, Owner.API) for state in State if state is not State.DELETING and state not in TERMINAL
}


def block() -> str:
    """The diagram of all moves with who may make them, and the causes of each."""
    edges: dict[tuple[State, State], list[Owner]] = defaultdict(list)
    for move in MOVES:
        if move not in _DELETION:
            edges[move.source, move.target].append(move.owner)
    arrows = [f"    {source} --> {target}: {', '.join(owners)}" for (source, target), owners in edges.items()]
    diagram = ["```mermaid", "stateDiagram-v2", "    [*] --> pending", *arrows, "    deleted --> [*]", "```"]
    by_causes: dict[tuple[Owner, frozenset[Cause]], list[str]] = defaultdict(list)
    for move, causes in MOVES.items():
        if move not in _DELETION:
            by_causes[move.owner, causes].append(f"`{move.source}` → `{move.target}`")
    rows = [
        f"| {', '.join(moves)} | {owner} | {', '.join(f'`{cause}`' for cause in Cause if cause in causes)} |"
        for (owner, causes), moves in by_causes.items()
    ]
    table = ["| move | by | causes |", "| --- | --- | --- |", *rows]
    return "\n".join([*diagram, "", *table, ""])


def _written() -> str:
    return ARCHITECTURE.read_text().split(_BEGIN)[1].split(_END)[0]


def test_the_document_has_every_move_with_its_causes_and_no_other() -> None:
    assert _written() == block(), "run python -m tests.house.test_documented_lifecycle"
    assert set(MOVES) >= _DELETION
    assert {cause for move in _DELETION for cause in MOVES[move]} == {Cause.USER}


def test_every_state_is_explained() -> None:
    text = ARCHITECTURE.read_text()

    assert [state.value for state in State if f"| `{state.value}` |" not in text] == []


if __name__ == "__main__":
    ARCHITECTURE.write_text(ARCHITECTURE.read_text().replace(_written(), block()))
