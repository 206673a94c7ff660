"""Interpolation follows the Compose specification; what a variable holds is never looked at again."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from grandcentral.core.interpolation import (
    MAX_NESTING,
    InterpolationError,
    Malformed,
    Missing,
    Reference,
    interpolate,
    parse,
)

SET = {"A": "a", "B": "b", "EMPTY": ""}
names = st.from_regex(r"[A-Za-z_][A-Za-z0-9_]{0,5}", fullmatch=True)
variables = st.dictionaries(names, st.text())


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("$A", "a"),
        ("${A}", "a"),
        ("x${A}y$B.z", "xayb.z"),
        ("$A_B", ""),  # the longest name: A_B
        ("${A}_B", "a_B"),
        ("${EMPTY}", ""),
        ("${NOPE}", ""),
        # defaults: with a colon, empty counts as unset
        ("${A:-d}", "a"),
        ("${EMPTY:-d}", "d"),
        ("${NOPE:-d}", "d"),
        ("${A-d}", "a"),
        ("${EMPTY-d}", ""),
        ("${NOPE-d}", "d"),
        ("${NOPE:-}", ""),
        ("${NOPE-}", ""),
        # demanded
        ("${A:?why}", "a"),
        ("${A?why}", "a"),
        ("${EMPTY?why}", ""),
        # replacements
        ("${A:+r}", "r"),
        ("${EMPTY:+r}", ""),
        ("${NOPE:+r}", ""),
        ("${A+r}", "r"),
        ("${EMPTY+r}", "r"),
        ("${NOPE+r}", ""),
        # operands are templates too
        ("${NOPE:-${A}}", "a"),
        ("${NOPE:-${NOPE2:-$B}c}", "bc"),
        ("${A:+<${B}>}", "<b>"),
        ("${NOPE:-$$A}", "$A"),
        ("${NOPE:-a:-b}", "a:-b"),
        ("${NOPE:-http://x:1/?q=-}", "http://x:1/?q=-"),
        ('${NOPE:-{"k":1}}', '{"k":1}'),  # the first brace closes, the second is text, as in Compose
        # dollars
        ("$$A", "$A"),
        ("$${A}", "${A}"),
        ("$$$A", "$a"),
        ("$", "$"),
        ("a$ b", "a$ b"),
        ("$5", "$5"),
        ("$-", "$-"),
        ("^a$", "^a$"),
        ("$(date)", "$(date)"),
    ],
)
def test_forms(text: str, value: str) -> None:
    assert interpolate(text, SET) == value


@pytest.mark.parametrize(
    ("text", "why"),
    [("${NOPE?set it}", "set it"), ("${NOPE:?set it}", "set it"), ("${EMPTY:?set it}", "set it"), ("${NOPE?by $A}", "by a")],
)
def test_a_demanded_variable_fails_with_the_authors_message(text: str, why: str) -> None:
    with pytest.raises(Missing, match=why):
        interpolate(text, SET)


def test_a_demanded_variable_without_a_message_is_still_named() -> None:
    with pytest.raises(Missing, match="the variable NOPE has no value"):
        interpolate("${NOPE:?}", SET)


@pytest.mark.parametrize(
    "text",
    ["${", "${A", "${}", "${ A}", "${1}", "${A/x/y}", "${A:x}", "${A:}", "${A!}", "${NOPE:-${A}", "${A.b}", "${#A}", "${a b}"],
)
def test_a_brace_that_opens_no_reference_is_malformed_whatever_the_variables_are(text: str) -> None:
    with pytest.raises(Malformed):
        interpolate(text, SET)


def test_a_malformed_operand_is_found_even_where_it_is_not_needed() -> None:
    with pytest.raises(Malformed):
        interpolate("${A:-${}}", SET)


def test_operands_that_are_not_needed_demand_nothing() -> None:
    assert interpolate("${A:-${NOPE:?never asked}}", SET) == "a"


def test_unset_variables_are_told_but_those_with_a_default_are_not() -> None:
    told: list[str] = []
    interpolate("$X ${Y} ${Z:-$W} ${V-d} ${U:+r} $A $EMPTY", SET, told.append)
    assert told == ["X", "Y", "W"]


def test_nesting_has_an_end() -> None:
    deep = "${A:-" * (MAX_NESTING + 1) + "}" * (MAX_NESTING + 1)
    with pytest.raises(Malformed, match="inside each other"):
        interpolate(deep, SET)
    assert interpolate("${X:-" * MAX_NESTING + "d" + "}" * MAX_NESTING, SET) == "d"


def test_parse_takes_a_template_apart() -> None:
    assert parse("a${B:-c$D}e") == ("a", Reference("B", ":-", ("c", Reference("D"))), "e")


@given(st.text().filter(lambda text: "$" not in text), variables)
def test_text_without_a_dollar_is_left_alone(text: str, values: dict[str, str]) -> None:
    assert interpolate(text, values) == text


@given(st.text(), variables)
def test_doubled_dollars_come_back_single(text: str, values: dict[str, str]) -> None:
    assert interpolate(text.replace("$", "$$"), values) == text


@given(names, st.text())
@example("A", "${B} $A $$ ${")
@example("A", "'\"\n: {x: 1}")
def test_a_value_is_put_in_as_it_is(name: str, value: str) -> None:
    assert interpolate(f"<${{{name}}}>", {"B": "injected", name: value}) == f"<{value}>"


@given(st.text(alphabet="${}:-?+AB_ x/1"), variables)
@example("$" * 1000, {})
@example("${A:-" * 400, {})
def test_any_text_gives_text_or_the_typed_error(text: str, values: dict[str, str]) -> None:
    with contextlib.suppress(InterpolationError):
        assert isinstance(interpolate(text, values), str)
