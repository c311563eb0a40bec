"""What is counted of the whole platform."""

from collections.abc import Mapping
from dataclasses import dataclass

from api.domain.host import Host
from api.domain.operation import OperationKind
from api.domain.sandbox import State


@dataclass(frozen=True, slots=True)
class Snapshot:
    """The platform at one moment, the same from every replica. States in which no sandbox is, and kinds of which no
    operation runs, count 0."""

    sandboxes: Mapping[State, int]
    """By state, deleted ones apart."""
    operations: Mapping[OperationKind, int]
    """Those that have not ended."""
    hosts: tuple[Host, ...]
