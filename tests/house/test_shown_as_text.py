"""Texts of users are shown as text: nothing in the dashboard makes HTML, addresses or code of one."""

import re

import pytest

from tests.house.sources import files

MAKES_HTML = re.compile(
    r"dangerouslySetInnerHTML|\b(inner|outer)HTML\b|insertAdjacentHTML|createContextualFragment|document\.write"
    r"|\bsrcDoc\b|\beval\(|new Function\(|javascript:"
)


def html_made_in(text: str) -> list[str]:
    return [match[0] for match in MAKES_HTML.finditer(text)]


def test_no_page_makes_html_of_a_text() -> None:
    sources = list(files("frontend", suffixes=(".ts", ".tsx", ".html")))
    assert len(sources) > 10
    assert {path: found for path, text in sources if (found := html_made_in(text))} == {}


@pytest.mark.parametrize(
    "line",
    ["<p dangerouslySetInnerHTML={{ __html: name }} />", "row.innerHTML = name", "location.href = 'javascript:x'"],
)
def test_html_that_is_made_is_noticed(line: str) -> None:
    assert html_made_in(line)
