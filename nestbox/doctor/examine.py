"""Runs all examinations and prints what they found."""

import argparse
from collections.abc import Sequence

from nestbox.doctor.computer import examine_computer
from nestbox.doctor.database import examine_database
from nestbox.doctor.finding import Verdict
from nestbox.doctor.machines import examine_machines
from nestbox.doctor.templates import examine_templates
from nestbox.settings import Settings


def examine(settings: Settings, words: Sequence[str]) -> int:
    """`nestbox doctor`; returns the exit status: 0 when nothing is bad, notes are allowed."""
    parser = argparse.ArgumentParser(
        prog="nestbox doctor",
        description="Examines what this computer can do, with the mend for what it cannot. It boots a machine to find "
        "out whether KVM works, which can take a minute.",
    )
    parser.parse_args(words)
    bad = 0
    for examination in (examine_computer, examine_database, examine_templates, examine_machines):
        findings = examination(settings)
        for finding in findings:
            print("\n".join(finding.lines()), flush=True)  # noqa: T201 - click may not be there
        bad += sum(finding.verdict is Verdict.BAD for finding in findings)
    print(_summary(bad))  # noqa: T201
    return 1 if bad else 0


def _summary(bad: int) -> str:
    if not bad:
        return "\nThis computer can run Nestbox."
    return f"\n{bad} thing{'s' if bad > 1 else ''} to mend before Nestbox runs here."
