"""What only the agent knows: does KVM work, how isolated are machines, which jail can this computer build."""

import subprocess
from collections.abc import Mapping

from nestbox.doctor.asking import SaidNothingError, answer_of
from nestbox.doctor.finding import Finding, Verdict
from nestbox.settings import PROJECT_ROOT, Settings
from nestbox.setup.environment import Environment

# It boots a guest on KVM, and gives a slow computer time for that.
PROBE_DEADLINE_SECONDS = 180
_TOPIC = "machines"
_KVM_MEND = "switch on virtualisation (firmware, or nested in the hypervisor above) and load kvm_intel or kvm_amd"


def examine_machines(_: Settings) -> list[Finding]:
    """Asks the agent's `probe`, which boots a guest to see whether KVM works."""
    python = Environment(PROJECT_ROOT).python
    if not python.exists():
        return [Finding(_TOPIC, Verdict.NOTE, "not examined: that needs the set-up", "make setup")]
    try:
        facts = answer_of(python, ("-m", "agent", "probe", "--json"), PROBE_DEADLINE_SECONDS)
    except subprocess.TimeoutExpired:
        return [Finding(_TOPIC, Verdict.BAD, f"the examination took more than {PROBE_DEADLINE_SECONDS} s")]
    except SaidNothingError as error:
        last = str(error) or "it said nothing"
        return [Finding(_TOPIC, Verdict.BAD, f"the agent cannot examine this computer: {last}", "make setup")]
    return read_facts(facts)


def read_facts(facts: Mapping[str, object]) -> list[Finding]:
    """Findings from what the probe said."""
    if problem := facts.get("problem"):
        return [Finding(_TOPIC, Verdict.BAD, f"cannot run here: {problem}")]
    said = facts.get("shortcomings")
    shortcomings = [str(sentence) for sentence in said] if isinstance(said, list) else []
    findings = [Finding("QEMU", Verdict.GOOD, f"version {facts.get('qemu_version', 'unknown')}")]
    isolation = str(facts.get("isolation", "unknown")).upper()
    if facts.get("kvm_usable"):
        findings.append(Finding("KVM", Verdict.GOOD, "a guest booted on it"))
        findings.append(Finding("isolation", Verdict.GOOD, f"{isolation}: guests run on KVM"))
    else:
        findings.append(Finding("KVM", Verdict.NOTE, _why_not_kvm(shortcomings), _KVM_MEND))
        text = f"{isolation}: QEMU does not promise its emulator as a security boundary; the jail is what holds"
        findings.append(Finding("isolation", Verdict.NOTE, text))
    others = [sentence for sentence in shortcomings if not sentence.startswith("KVM")]
    findings += [Finding("jail", Verdict.NOTE, sentence) for sentence in others]
    if not others:
        findings.append(Finding("jail", Verdict.GOOD, "user ids, namespaces, seccomp and cgroups are all there"))
    return findings


def _why_not_kvm(shortcomings: list[str]) -> str:
    reasons = [sentence for sentence in shortcomings if sentence.startswith("KVM")]
    return " ".join(["machines are emulated: they work, several times slower.", *reasons])
