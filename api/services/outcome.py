"""What a command answers with."""

from dataclasses import dataclass

from api.domain.operation import Operation
from api.domain.sandbox import Sandbox


@dataclass(frozen=True, slots=True)
class Outcome:
    """The sandbox and the operation as they are when the caller stops waiting: a RUNNING operation goes on by itself,
    a FAILED one says why."""

    sandbox: Sandbox
    operation: Operation
