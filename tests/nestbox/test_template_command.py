"""`nestbox template` as people type it: real processes, a real database, small archives."""

import json
import os
from pathlib import Path

import pytest

from nestbox.commands.template import table
from nestbox.doctor.finding import Verdict
from nestbox.doctor.templates import examine_templates, read_list
from nestbox.platform.templates import Template
from nestbox.settings import read_settings
from tests.agent.images.archives import file, python, write
from tests.nestbox.test_command_line import nestbox

pytestmark = [pytest.mark.slow, pytest.mark.timeout(240)]


def archive(folder: Path, content: bytes = b"x") -> str:
    """A root file system as small as can be."""
    return str(write(folder / f"{content.decode()}.tar.gz", [*python(), file("etc/mine", content)], "w:gz"))


def listed(folder: Path, *words: str) -> dict[str, dict[str, object]]:
    done = nestbox(folder, "template", "list", "--json", *words)
    assert done.returncode == 0, done.stderr
    return {one["name"]: one for one in json.loads(done.stdout)}


def test_a_template_can_be_made_while_nothing_runs(reachable_folder: Path) -> None:
    done = nestbox(reachable_folder, "template", "import", "mine", archive(reachable_folder))
    assert done.stdout.startswith("The template mine is ready"), done.stderr
    assert not (reachable_folder / "postgres/cluster/postmaster.pid").exists()


def test_an_import_is_listed_and_removed(with_database: Path) -> None:
    folder = with_database
    made = nestbox(folder, "template", "import", "mine", archive(folder), "--json")
    assert made.returncode == 0, made.stderr
    assert "Making the disk…" in made.stderr
    one = json.loads(made.stdout)
    assert (one["name"], one["is_present"], one["sandboxes"], one["source"]) == ("mine", True, 0, "x.tar.gz")
    assert one["id"].startswith("tpl-")
    found = listed(folder)
    assert list(found) == ["base", "mine"]
    assert found["mine"] == one

    again = nestbox(folder, "template", "import", "mine", archive(folder))
    assert again.stdout.startswith("The template mine is ready: content "), again.stderr
    other = nestbox(folder, "template", "import", "mine", archive(folder, b"other"))
    assert (other.returncode, other.stdout) == (1, "")
    assert "There is another template mine" in other.stderr

    removed = nestbox(folder, "template", "remove", "mine")
    assert removed.stdout == "Removed mine.\n", removed.stderr
    assert list(listed(folder)) == ["base"]
    assert list((folder / "agent/images").iterdir()) == []
    for name, why in (
        ("mine", "There is no base template 'mine'."),
        ("base", "The template base is built in and cannot be replaced or removed."),
        ("-x", "A template cannot be called '-x'"),
    ):
        refused = nestbox(folder, "template", "remove", "--", name)
        assert refused.returncode == 1
        assert refused.stderr.startswith(why)


def test_what_was_half_done_can_be_repeated_or_removed(with_database: Path) -> None:
    """Killed between the disk and the row, and between the row and the disk."""
    folder = with_database
    nestbox(folder, "template", "import", "mine", archive(folder))
    entry = folder / "agent/base-templates/mine.json"
    content = entry.read_text()
    entry.unlink()
    assert (listed(folder)["mine"]["is_present"], listed(folder)["mine"]["sandboxes"]) == (False, 0)
    assert nestbox(folder, "template", "import", "mine", archive(folder)).returncode == 0
    assert listed(folder)["mine"]["is_present"]

    nestbox(folder, "template", "remove", "mine")
    entry.write_text(content)
    half = listed(folder)["mine"]
    assert (half["id"], half["is_present"]) == ("", False)
    assert nestbox(folder, "template", "remove", "mine").stdout == "Removed mine.\n"


@pytest.mark.parametrize(
    ("words", "why"),
    [
        (["build-base", "--name", "base"], "The template base is built in and cannot be replaced"),
        (["build-base", "--name", "A b"], "A template cannot be called 'A b'"),
        (["build-base", "--name", "a", "--include", "git,No,x;y"], "No Debian package is called 'No', 'x;y'"),
        (["import", "base", "missing.tar"], "The template base is built in"),
        (["import", "mine", "missing.tar"], "There is no archive"),
        (["import", "mine", "README.md"], "README.md is no complete tar archive"),
    ],
)
def test_what_cannot_be_is_refused_in_a_sentence_and_leaves_nothing(tmp_path: Path, words: list[str], why: str) -> None:
    done = nestbox(tmp_path, "template", *words)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.splitlines()[-1 if "complete" in why else 0].startswith(why)
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "agent/images").exists()


def test_without_a_start_the_database_is_left_alone(reachable_folder: Path) -> None:
    found = listed(reachable_folder, "--no-start")
    assert (found["base"]["id"], found["base"]["sandboxes"]) == ("", None)
    assert not (reachable_folder / "postgres").exists()


def test_the_doctor_names_templates_whose_image_is_missing(reachable_folder: Path) -> None:
    variables = {"NESTBOX_DATA_DIR": str(reachable_folder)}
    settings = read_settings({**os.environ, **variables}, root=False, home=Path.home())
    one = {"name": "one", "is_present": False}
    base = {"name": "base", "is_present": False}
    assert read_list([base])[0].verdict is Verdict.GOOD
    [finding] = read_list([base, one, {"name": "two", "is_present": True}])
    assert finding.verdict is Verdict.NOTE
    assert finding.text == "the image of one is not on this host: sandboxes of it cannot start here"
    assert "nestbox template" in finding.mend
    assert "the images of one, two are" in read_list([base, one, {**one, "name": "two"}])[0].text
    assert read_list([{**one, "is_present": True}])[0].text == "the images of one are here"
    [examined] = examine_templates(settings)
    assert examined.verdict is Verdict.GOOD


def test_the_table_says_what_is_wrong() -> None:
    good = Template("mine", "tpl-1", "ab" * 16, ("jq",), "", 250_000_000, True, 2, "")
    lines = table(
        [
            good,
            Template("away", "tpl-2", "", (), "", 0, False, 0, ""),
            Template("half", "", "cd" * 16, (), "x.tar", 1, True, 0, ""),
        ]
    )
    assert lines[0].split() == ["NAME", "CONTENT", "ON", "DISK", "SANDBOXES", "HOLDS"]
    assert lines[1].split() == ["mine", "abababababab", "250", "MB", "2", "jq"]
    assert "its image is not on this host" in lines[2]
    assert "nobody can use it" in lines[3]
