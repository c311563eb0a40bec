"""Texts are counted as the parser would count them, but before it, and in linear time."""

import time

import pytest
from graphql import GraphQLSyntaxError, Lexer, Source, TokenKind, get_introspection_query
from hypothesis import given
from hypothesis import strategies as st

from api.schema.tokens import NESTING_MAX, check_tokens

CHARACTERS = 1_000_000
PIECES = (
    *("{", "}", "(", ")", "[", "]", "...", "!", "$", "&", ":", "=", "@", "|", "a", "_b1", "query", "e5", "E+"),
    *("1", "-0", "1.5e3", "0", "-", ".", "+", '"x"', '""', '"""', '"""x"""', '"""a"b\\"""c"""', '"\\"q"', '"', "\\"),
    *("#c\n", "#", " ", ",", "\n", "\r\n", "\ufeff", '"é"', "\x0b", "\xa0", "\u2028", "\0"),
)
UNITS = (
    *('"""\\"""', '"', '"""', '\\""""', "\\", "#", "#\n", " ", ",\n", ".", '"\\', '"\n', "-", "1.", "1e+"),
    *("\0", '"\\"""', '"""a"', "\u2028", "é", "a", "[", "]", '""" \\"""'),
)


def _code(text: str, tokens_max: int) -> str | None:
    error = check_tokens(text, tokens_max=tokens_max)
    return None if error is None or error.extensions is None else error.extensions["code"]


def _counted_by_the_parser(text: str) -> int | None:
    """None where the text is no sequence of tokens."""
    lexer = Lexer(Source(text))
    count = 0
    try:
        while lexer.advance().kind is not TokenKind.EOF:
            count += 1
    except GraphQLSyntaxError:
        return None
    return count


@given(st.lists(st.sampled_from(PIECES), max_size=14).map("".join))
def test_tokens_are_those_of_the_parser(text: str) -> None:
    count = _counted_by_the_parser(text)
    if count is not None:
        assert _code(text, count) is None
        assert count == 0 or _code(text, count - 1) == "TOO_MANY_TOKENS"


@pytest.mark.parametrize("brackets", ["{}", "[]", "()"])
def test_nesting_is_of_all_brackets_and_what_is_closed_no_longer_counts(brackets: str) -> None:
    opening, closing = brackets[0], brackets[1]
    deepest = opening * NESTING_MAX + closing * NESTING_MAX

    assert _code(deepest * 3, 2_000) is None
    assert _code(f"{{{deepest}}}", 2_000) == "DOCUMENT_TOO_DEEP"


@pytest.mark.parametrize("unit", ["{", '"{', '"""{', '"{{"', "#{{\n", "'{"])
def test_only_brackets_that_the_parser_would_meet_are_counted(unit: str) -> None:
    assert _code(unit + "{" * NESTING_MAX, 2_000) == ("DOCUMENT_TOO_DEEP" if unit == "{" else None)


def test_introspection_is_within_the_limits() -> None:
    assert _code(get_introspection_query(), 2_000) is None


@pytest.mark.parametrize("unit", UNITS)
@pytest.mark.parametrize("start", ["", '"""', '"', "{ a(b: "])
def test_every_text_takes_linear_time(unit: str, start: str) -> None:
    text = start + unit * (CHARACTERS // len(unit))
    started = time.thread_time()

    check_tokens(text, tokens_max=2_000)

    assert time.thread_time() - started < 1
