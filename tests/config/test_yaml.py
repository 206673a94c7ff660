"""YAML as Compose files need it: the 1.2 core schema, positions, and nothing that bites."""

from __future__ import annotations

import contextlib
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from grandcentral.config.yaml import MAX_DEPTH, parse
from grandcentral.core.compose.document import MappingNode, Node, ScalarNode, SequenceNode
from grandcentral.core.problems import Invalid


def plain(node: Node) -> Any:
    match node:
        case ScalarNode():
            return node.value
        case SequenceNode():
            return [plain(item) for item in node.items]
    return {entry.key: plain(entry.value) for entry in node}


def read(text: str) -> Any:
    return plain(parse(text, "f.yaml"))


def problems(text: str) -> list[str]:
    with pytest.raises(Invalid) as caught:
        parse(text, "f.yaml")
    return [str(problem) for problem in caught.value.problems]


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("22:22", "22:22"),  # 1342 in YAML 1.1
        ("on", "on"),
        ("yes", "yes"),
        ("No", "No"),
        ("y", "y"),
        ("0755", "0755"),
        ("007.5", "007.5"),
        ("0o755", 493),
        ("0x1F", 31),
        ("1_000", "1_000"),
        ("2020-01-01", "2020-01-01"),
        ("1.10", 1.10),
        ("1e3", 1000.0),
        ("12e4567", float("inf")),  # a git hash; its text is kept
        (".5", 0.5),
        ("-.INF", float("-inf")),
        ("1.2.3", "1.2.3"),
        ("true", True),
        ("FALSE", False),
        ("tRue", "tRue"),
        ("~", None),
        ("null", None),
        ("", None),
        ("'null'", "null"),
        ('"1"', "1"),
        ("!!str 1", "1"),
        ('!!int "12"', 12),
        ("=", "="),
        ("-12", -12),
        ("+1", 1),
        ("|\n  a\n  b\n", "a\nb\n"),
        ("{a: 1, b: [x, 2]}", {"a": 1, "b": ["x", 2]}),
        ('{"json": [true, null, 1.5, "\\u00e9"]}', {"json": [True, None, 1.5, "é"]}),
    ],
)
def test_scalars_mean_what_the_core_schema_says(text: str, value: Any) -> None:
    assert read(text) == value


@pytest.mark.parametrize("text", ["1.10", "0o755", "12e4567", "TRUE", "0755", "0x1F"])
def test_the_text_of_a_scalar_is_kept_as_written(text: str) -> None:
    node = parse(text, "f.yaml")
    assert isinstance(node, ScalarNode)
    assert node.text == text


def test_nodes_and_keys_know_their_lines() -> None:
    root = parse("a: 1\nb:\n  - x\n  - y: |\n      z\n", "f.yaml")
    assert isinstance(root, MappingNode)
    a, b = root
    assert (a.line, b.line) == (1, 2)
    assert isinstance(b.value, SequenceNode)
    assert [item.line for item in b.value.items] == [3, 4]


def test_keys_are_words_as_written() -> None:
    assert read("on: 1\n80: 2\n1.0: 3") == {"on": 1, "80": 2, "1.0": 3}


def test_a_key_that_is_there_twice_is_a_problem_with_both_lines() -> None:
    assert problems("a: 1\nb: 2\na: 3\nc: {d: 1, d: 2}") == [
        "f.yaml:3: the key 'a' is here twice: on line 1 and again on line 3",
        "f.yaml:4: the key 'd' is here twice: on line 4 and again on line 4",
    ]


def test_merge_keys_give_what_the_mapping_does_not_say_itself() -> None:
    text = "x: &x {a: 1, b: 1}\ny: &y {b: 2, c: 2}\nz:\n  c: 3\n  <<: [*x, *y]\n"
    assert read(text)["z"] == {"a": 1, "b": 1, "c": 3}


def test_what_was_merged_can_be_merged_again() -> None:
    assert read("a: &a {k: 1}\nb: &b {<<: *a, l: 2}\nc: {<<: *b, m: 3}")["c"] == {"k": 1, "l": 2, "m": 3}


def test_a_quoted_merge_key_is_a_plain_key() -> None:
    assert read('"<<": 1') == {"<<": 1}


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("a: {<<: 1}", "f.yaml:1: << takes a mapping or a list of mappings"),
        ("a: &a\n  b: *a", "f.yaml:1: this anchor contains an alias to itself"),
        ("*nope", "f.yaml:1: not valid YAML: found undefined alias 'nope'"),
        ("a: 1\nb: !!python/object/apply:os.system [x]", "f.yaml:2: the tag !!python/object/apply:os.system is not"),
        ("- !!python/name:os.system x", "the tag !!python/name:os.system is not supported here; leave it out"),
        ("- !!binary aGk=", "the tag !!binary is not supported"),
        ("services: !reset null", "the tag !reset is not supported"),
        ("!!set {a, b}", "the tag !!set is not supported"),
        ("- !!int x", "f.yaml:1: 'x' is no !!int"),
        ("a\tb: {", "f.yaml:1: not valid YAML"),
        ("a: 1\n  b: 2", "f.yaml:2: not valid YAML: mapping values are not allowed here"),
        ("a: 1\n---\nb: 2", "f.yaml:2: not valid YAML: expected a single document"),
        ("? [a]\n: 1", "f.yaml:1: a key must be a plain word"),
        ("~: 1", "f.yaml:1: a key must be a plain word"),
        ("a: 1\nb: \x07", "f.yaml:2: the character 0x7 is not allowed in YAML"),
        ('"\\0"', "NUL"),
        ('"\\ud800"', "surrogate"),
        ('"\\UFFFFFFFF"', "not valid YAML"),
        ("[" * 1000, "levels deep"),
        ("{a: " * 1000, "levels deep"),
        ("- " * 1000, "levels deep"),
    ],
)
def test_what_is_wrong_is_said_with_its_line(text: str, problem: str) -> None:
    assert any(problem in found for found in problems(text))


def test_an_empty_file_is_null() -> None:
    assert read("# nothing\n") is None


def test_aliases_may_not_grow_without_end() -> None:
    levels = "a0: &a0 [x, x, x, x]\n" + "".join(f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]\n" for n in range(1, 30))
    assert "too large" in problems(levels)[0]


def test_merged_mappings_may_not_grow_without_end_either() -> None:
    levels = "a0: &a0 {k: 1}\n" + "".join(f"a{n}: &a{n} {{<<: [{', '.join([f'*a{n - 1}'] * 9)}]}}\n" for n in range(1, 30))
    assert "too large" in problems(levels)[0]


def test_a_chain_of_aliases_is_only_as_deep_as_any_other_nesting() -> None:
    chain = "a0: &a0 x\n" + "".join(f"a{n}: &a{n} [*a{n - 1}]\n" for n in range(1, MAX_DEPTH * 2))
    assert "levels" in problems(chain)[0]


@given(st.text(alphabet=st.sampled_from("ab1:-?[]{}#&*!|>'\"%@`,\n\t <~.0ox\\U\ud800é\0$=")) | st.text())
@example("%YAML 1" + "9" * 5000 + "\n--- a")
@example("a: " + "9" * 5000)
@example("!!int 0o9")
@example('!!float ""')
@example("%TAG ! tag:x,2000:\n--- !y z")
def test_any_text_is_a_tree_or_a_problem(text: str) -> None:
    with contextlib.suppress(Invalid):
        parse(text, "f.yaml")
