import socket
from collections.abc import Mapping
from pathlib import Path

import pytest

from nestbox.doctor import computer
from nestbox.doctor.database import examine_database
from nestbox.doctor.examine import examine
from nestbox.doctor.finding import Finding, Verdict
from nestbox.doctor.machines import read_facts
from nestbox.postgres import Postgres
from nestbox.settings import read_settings

EMULATED: Mapping[str, object] = {
    "driver": "qemu",
    "problem": "",
    "isolation": "emulated",
    "accelerator": "tcg",
    "kvm_usable": False,
    "qemu_version": "7.2.22",
    "shortcomings": ["KVM does not run guests here: they hang.", "No cgroup for memory can be made."],
}


def verdicts(findings: list[Finding]) -> dict[str, Verdict]:
    return {finding.topic: finding.verdict for finding in findings}


def test_emulation_works_and_is_stated_with_the_reason() -> None:
    findings = read_facts(EMULATED)
    assert verdicts(findings) == {
        "QEMU": Verdict.GOOD,
        "KVM": Verdict.NOTE,
        "isolation": Verdict.NOTE,
        "jail": Verdict.NOTE,
    }
    kvm = next(finding for finding in findings if finding.topic == "KVM")
    assert "they hang" in kvm.text
    assert kvm.mend
    assert any("cgroup" in finding.text for finding in findings if finding.topic == "jail")


def test_kvm_is_good() -> None:
    facts = {**EMULATED, "isolation": "hardware", "kvm_usable": True, "shortcomings": []}
    assert set(verdicts(read_facts(facts)).values()) == {Verdict.GOOD}


def test_a_host_that_cannot_run_machines_is_bad() -> None:
    findings = read_facts({"problem": "qemu-system-x86_64 is missing: apt install qemu-system-x86."})
    assert [finding.verdict for finding in findings] == [Verdict.BAD]
    assert "qemu-system-x86" in findings[0].text


@pytest.mark.parametrize("facts", [{}, {"shortcomings": "text"}, {"shortcomings": None, "isolation": 7}])
def test_an_unexpected_answer_is_no_crash(facts: dict[str, object]) -> None:
    assert read_facts(facts)


def test_a_role_that_could_change_the_audit_log_is_told_of(
    postgres: Postgres, database_url: str, owner_url: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    found = {}
    for url in (database_url, owner_url, postgres.url("missing"), ""):
        monkeypatch.setenv("DATABASE_URL", url)
        settings = read_settings({"DATABASE_URL": url}, root=False, home=tmp_path)
        (found[url],) = examine_database(settings)
    assert found[database_url].verdict is Verdict.GOOD
    assert "nestbox_api" in found[database_url].text
    assert found[owner_url].verdict is Verdict.NOTE
    assert "the role nestbox of DATABASE_URL is a superuser: only triggers" in found[owner_url].text
    assert "A PostgreSQL of your own" in found[owner_url].mend
    assert "not examined" in found[postgres.url("missing")].text
    assert found[""].verdict is Verdict.GOOD


def test_every_line_of_a_finding_says_something() -> None:
    lines = Finding("KVM", Verdict.BAD, "gone", "bring it back").lines()
    assert lines == ["  BAD  KVM            gone", "                      → bring it back"]
    assert len(Finding("KVM", Verdict.GOOD, "there").lines()) == 1


def test_a_taken_port_is_a_note_since_it_may_be_nestbox_itself(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        settings = read_settings({"NESTBOX_API_PORT": str(port)}, root=False, home=tmp_path)
        findings = verdicts(computer.examine_computer(settings))
    assert findings[f"port {port}"] is Verdict.NOTE


def test_too_little_disk_is_bad(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(computer, "DISK_NEEDED_GB", 10**9)
    settings = read_settings({}, root=False, home=tmp_path)
    assert verdicts(computer.examine_computer(settings))["data"] is Verdict.BAD


@pytest.mark.vm
def test_the_doctor_examines_this_computer(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    status = examine(read_settings({}, root=False, home=tmp_path), [])
    said = capsys.readouterr().out
    for topic in ("system", "memory", "packages", "QEMU", "KVM", "isolation", "jail"):
        assert f"  {topic} " in said
    assert ("BAD" in said) == (status != 0)
