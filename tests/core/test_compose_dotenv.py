"""Env files, as the Compose specification describes their format."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from grandcentral.core.compose.dotenv import EnvFileError, parse

OUTSIDE = {"OUT": "outside", "EMPTY": ""}


def read(text: str, raw: bool = False) -> dict[str, str | None]:
    return dict(parse(text, OUTSIDE, raw=raw))


@pytest.mark.parametrize(
    ("line", "value"),
    [
        ("VAR=VAL", "VAL"),
        ('VAR="VAL"', "VAL"),
        ("VAR='VAL'", "VAL"),
        ("VAR=VAL # comment", "VAL"),
        ("VAR=VAL# not a comment", "VAL# not a comment"),
        ("VAR=#fff", "#fff"),
        ("VAR= # comment", ""),
        ('VAR="VAL # not a comment"', "VAL # not a comment"),
        ('VAR="VAL" # comment', "VAL"),
        ('VAR="VAL"# comment', "VAL"),
        ("VAR='$OTHER'", "$OTHER"),
        ("VAR='${OTHER}'", "${OTHER}"),
        (r"VAR='Let\'s go!'", "Let's go!"),
        (r'VAR="{\"hello\": \"json\"}"', '{"hello": "json"}'),
        (r'VAR="some\tvalue"', "some\tvalue"),
        (r"VAR='some\tvalue'", r"some\tvalue"),
        (r"VAR=some\tvalue", r"some\tvalue"),
        (r'VAR="a\nb\\n"', "a\nb\\n"),
        (r'VAR="\$OUT"', "$OUT"),
        ("VAR=", ""),
        ("VAR=''", ""),
        ("  VAR =  spaced out  ", "spaced out"),
        ("export VAR=VAL", "VAL"),
        ("export=VAL\nVAR=x", "x"),
        ("VAR=$OUT", "outside"),
        ("VAR=${NOPE:-d}", "d"),
        ('VAR="<${OUT}>"', "<outside>"),
        ("VAR=a=b", "a=b"),
        ("VAR='two\nlines'", "two\nlines"),
        ('VAR="two\n# lines" # c\nX=1', "two\n# lines"),
        ("VAR=http://x/#y", "http://x/#y"),
        ("VAR=it's", "it's"),
        ("VAR=1\r\nX=2\r\n", "1"),
        ("\ufeffVAR=1", "1"),
        ("VAR=1\nVAR=2", "2"),
    ],
)
def test_lines(line: str, value: str) -> None:
    assert read(line)["VAR"] == value


def test_comments_and_blank_lines_are_nothing() -> None:
    assert read("# a\n\n   \n  # b\nA=1\n") == {"A": "1"}


def test_a_value_may_use_what_was_assigned_before_but_what_is_outside_wins() -> None:
    assert read("A=1\nB=${A}2\nOUT=mine\nC=$OUT") == {"A": "1", "B": "12", "OUT": "mine", "C": "outside"}


def test_a_name_without_a_value_is_taken_from_outside() -> None:
    assert read("OUT\nNOPE # comment") == {"OUT": None, "NOPE": None}


def test_raw_files_are_taken_as_they_are() -> None:
    assert read('A="q" # no comment\nB=$OUT\nC=\'', raw=True) == {"A": '"q" # no comment', "B": "$OUT", "C": "'"}


@pytest.mark.parametrize(
    ("text", "line", "what"),
    [
        ("A=1\n\nnot a line", 3, "is no NAME=value"),
        ("=x", 1, "is no NAME=value"),
        ("1A=x", 1, "is no NAME=value"),
        ("A: x", 1, "is no NAME=value"),
        ("A=1\nB='x\n\n", 2, "the quote has no end"),
        ("B='x' y", 1, "something after the closing quote"),
        ("A='\n\n'\nB=${", 4, "no closing brace"),
        ("B=${NOPE:?why}", 1, "why"),
    ],
)
def test_what_is_wrong_is_said_with_its_line(text: str, line: int, what: str) -> None:
    with pytest.raises(EnvFileError, match=what) as caught:
        read(text)
    assert caught.value.line == line


def test_unset_variables_are_told() -> None:
    told: list[str] = []
    assert dict(parse("A=$NOPE", {}, unset=told.append)) == {"A": ""}
    assert told == ["NOPE"]


@given(st.text().filter(lambda text: not {"\n", "\r", "'", "\\"} & set(text)))
def test_any_text_in_single_quotes_is_itself(text: str) -> None:
    assert read(f"A='{text}'") == {"A": text}


@given(st.text() | st.text(alphabet="A=$'\"\\{}# \n\r\texport"), st.booleans())
def test_any_text_is_assignments_or_the_typed_error(text: str, raw: bool) -> None:
    line = 1
    try:
        list(parse(text, OUTSIDE, raw=raw))
    except EnvFileError as error:
        line = error.line
    assert 1 <= line <= text.count("\n") + 1
