"""`python -m benchmarks.limits`: the processor time of refusing documents that are made to be dear.

Prints a table; exits with 0 when each was refused with its code, whether goals are met or not, and with 1 otherwise.
"""

import argparse
import json
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from rich.console import Console

from api.schema.documents import DocumentErrors, Documents
from api.schema.execution import GraphQL
from api.schema.schema import build_schema
from benchmarks.computer import describe
from benchmarks.figures import Figure, as_json, as_table
from tests.bad_input import documents as bad

REFUSAL_MS_MAX = 10.0
RUNS = 40


@dataclass(frozen=True, slots=True)
class Case:
    """A document, the code that it is to be refused with, and the most that this may cost, if that was agreed on."""

    text: str
    code: str
    goal: float | None = REFUSAL_MS_MAX


CASES: Mapping[str, Case] = {
    "fragments that double, k = 30": Case(bad.doubling_fragments(30), "TOO_MANY_ROOT_FIELDS"),
    "the same with fields, k = 30": Case(bad.doubling_fields(30), "DOCUMENT_TOO_DEEP"),
    "fields 10,000 deep": Case(bad.deep_fields(10_000), "DOCUMENT_TOO_DEEP"),
    "lists 10,000 deep": Case(bad.deep_lists(10_000), "DOCUMENT_TOO_DEEP"),
    "10,000 aliases": Case(bad.aliases(10_000), "TOO_MANY_TOKENS"),
    "10,000 directives": Case(bad.directives(10_000), "TOO_MANY_TOKENS"),
    # nothing was agreed on for these: the dearest that are within the limits of size
    "a cycle of 240 fragments": Case(bad.cycle(240), "GRAPHQL_VALIDATION_FAILED", goal=None),
    "1,900 fields that do not exist": Case(bad.unknown_fields(1_900), "GRAPHQL_VALIDATION_FAILED", goal=None),
}


def cost_ms(documents: Documents, case: Case) -> float:
    """Processor time of refusing it. Raises: LookupError if it is not refused as it should be."""
    start = time.thread_time()
    try:
        documents.prepare(case.text)
    except DocumentErrors as error:
        spent = time.thread_time() - start
        code = (error.errors[0].extensions or {}).get("code")
        if code == case.code:
            return spent * 1000
        raise LookupError(f"it was refused as {code}, not as {case.code}") from None
    raise LookupError("it was accepted")


def measure(runs: int) -> list[Figure]:
    """Each document in turn, again and again, after one round that is not counted. Raises: LookupError."""
    documents = GraphQL(build_schema()).documents
    samples: dict[str, list[float]] = {name: [] for name in CASES}
    for number in range(runs + 1):
        for name, case in CASES.items():
            try:
                spent = cost_ms(documents, case)
            except LookupError as error:
                raise LookupError(f"{name}: {error}") from None
            if number:
                samples[name].append(spent)
    return [Figure(name, "ms of CPU", samples[name], case.goal) for name, case in CASES.items()]


def main() -> int:
    """Parses arguments, measures, prints; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.limits", description=__doc__)
    parser.add_argument("--runs", type=int, default=RUNS, help="rounds that count (default: %(default)s)")
    parser.add_argument("--json", type=Path, help="write the figures to this file as well")
    arguments = parser.parse_args()
    console = Console()
    progress = partial(console.print, highlight=False, markup=False, soft_wrap=True)
    try:
        found = measure(arguments.runs)
    except LookupError as error:
        progress(f"Not everything could be measured: {error}")
        return 1
    machine = describe("none")
    console.print(as_table(", ".join(f"{name} {value}" for name, value in machine.items()), found))
    if arguments.json:
        arguments.json.write_text(json.dumps(as_json(machine, found), indent=2) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
