from pathlib import Path

import pytest

from nestbox.setup.stamp import Stamp, digest


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    (tmp_path / "source/deep").mkdir(parents=True)
    (tmp_path / "source/a.py").write_text("a")
    (tmp_path / "source/deep/b.py").write_text("b")
    return tmp_path


def test_the_same_tree_has_the_same_digest(tree: Path) -> None:
    assert digest(tree, ["source"]) == digest(tree, ["source"])


def test_every_change_counts(tree: Path) -> None:
    seen = {digest(tree, ["source"])}
    (tree / "source/a.py").write_text("A")
    seen.add(digest(tree, ["source"]))
    (tree / "source/a.py").rename(tree / "source/c.py")
    seen.add(digest(tree, ["source"]))
    (tree / "source/deep/b.py").unlink()
    seen.add(digest(tree, ["source"]))
    seen.add(digest(tree, ["source"], "a fact"))
    assert len(seen) == 5


def test_products_do_not_count(tree: Path) -> None:
    before = digest(tree, ["source"])
    for name in ("node_modules", "dist", "__pycache__"):
        (tree / "source" / name).mkdir()
        (tree / "source" / name / "x").touch()
    assert digest(tree, ["source"]) == before


def test_a_stamp_forgets_with_what_it_describes(tmp_path: Path) -> None:
    stamp = Stamp(tmp_path / "product/stamp.json")
    assert not stamp.says("made", "x")
    stamp.set(made="x")
    assert stamp.says("made", "x")
    assert not stamp.says("made", "y")
    stamp.clear()
    assert not stamp.says("made", "x")


@pytest.mark.parametrize("content", ["", "{", "[]", "null", '"x"'])
def test_a_damaged_stamp_means_do_it_again(tmp_path: Path, content: str) -> None:
    path = tmp_path / "stamp.json"
    path.write_text(content)
    assert not Stamp(path).says("made", "x")
