"""YAML text to a tree of nodes with lines: the YAML 1.2 core schema, nothing that runs code, nothing that grows without end.

PyYAML scans and composes; what a scalar means, duplicate and merge keys, aliases and tags are decided here, since PyYAML's
own answers are those of YAML 1.1 (``22:22`` is 1342, ``on`` is true, the last of two equal keys wins).
"""

from __future__ import annotations

import re
from collections.abc import Iterator

import yaml
import yaml.composer
import yaml.parser
import yaml.reader
import yaml.resolver
import yaml.scanner
from attrs import define, field

from ..core.compose.document import Entry, MappingNode, Node, ScalarNode, SequenceNode
from ..core.problems import Invalid, Problem

MAX_NODES = 50_000
"""Nodes of one document, each alias counted with all it stands for: the cure for "billion laughs"."""

MAX_DEPTH = 60

_TAG = "tag:yaml.org,2002:"
_MERGE = _TAG + "merge"


class _Loader(yaml.reader.Reader, yaml.scanner.Scanner, yaml.parser.Parser, yaml.composer.Composer, yaml.resolver.BaseResolver):
    """PyYAML as far as its own node graph; it constructs no objects, so no tag can make one."""

    def __init__(self, text: str) -> None:
        yaml.reader.Reader.__init__(self, text)
        yaml.scanner.Scanner.__init__(self)
        yaml.parser.Parser.__init__(self)
        yaml.composer.Composer.__init__(self)
        yaml.resolver.BaseResolver.__init__(self)
        self._depth = 0

    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        if self._depth > MAX_DEPTH:
            mark = self.peek_event().start_mark
            raise yaml.composer.ComposerError(None, None, f"more than {MAX_DEPTH} levels deep", mark)
        self._depth += 1
        try:
            return super().compose_node(parent, index)
        finally:
            self._depth -= 1


# YAML 1.2.2, 10.3.2 "Tag resolution" of the core schema. One departure: a number with a leading zero ("0755") is nearly
# always a mode or an identifier, and stays a string.
for _tag, _pattern, _first in (
    ("null", r"~|null|Null|NULL|", ["~", "n", "N", ""]),
    ("bool", r"true|True|TRUE|false|False|FALSE", list("tTfF")),
    ("int", r"[-+]?(?:0|[1-9][0-9]*)|0o[0-7]+|0x[0-9a-fA-F]+", list("-+0123456789")),
    (
        "float",
        r"[-+]?(?:\.[0-9]+|(?:0|[1-9][0-9]*)(?:\.[0-9]*(?:[eE][-+]?[0-9]+)?|[eE][-+]?[0-9]+))"
        r"|[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN)",
        list("-+0123456789."),
    ),
    ("merge", r"<<", ["<"]),
):
    _Loader.add_implicit_resolver(_TAG + _tag, re.compile(rf"^(?:{_pattern})$"), _first)


def parse(text: str, filename: str) -> Node:
    """The one document of ``text``; an empty one is a null scalar.

    :param filename: names the file in problems.
    :raises Invalid: for what is no YAML, for duplicate keys (with both lines), unsafe tags, aliases without end.
    """
    loader = _Loader.__new__(_Loader)
    try:
        _Loader.__init__(loader, text)
        root = loader.get_single_node()
    except yaml.reader.ReaderError as error:
        line = text.count("\n", 0, error.position) + 1
        raise Invalid([Problem(f"{filename}:{line}", f"the character {error.character:#x} is not allowed in YAML")]) from None
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        what = ", ".join(filter(None, (error.context, error.problem)))
        raise Invalid([Problem(f"{filename}:{mark.line + 1}" if mark else filename, f"not valid YAML: {what}")]) from None
    except (ValueError, OverflowError) as error:  # an escape such as "\UFFFFFFFF", a %YAML directive of a thousand digits
        raise Invalid([Problem(filename, f"not valid YAML: {error}")]) from None
    conversion = _Conversion(filename)
    node = conversion.node(root, 0) if root is not None else ScalarNode("", None, 1)
    if conversion.problems:
        raise Invalid(conversion.problems)
    return node


@define
class _Conversion:
    """One walk over PyYAML's graph, gathering problems."""

    filename: str
    problems: list[Problem] = field(factory=list)
    seen: int = 0
    within: list[int] = field(factory=list)  # ids of the nodes we are inside of: an alias to one of them has no end

    def problem(self, node: yaml.Node, text: str) -> None:
        self.problems.append(Problem(f"{self.filename}:{_line(node)}", text))

    def node(self, node: yaml.Node, depth: int) -> Node:
        self.seen += 1
        if self.seen > MAX_NODES or depth > MAX_DEPTH:
            self.problem(node, f"too large: more than {MAX_NODES} values or {MAX_DEPTH} levels, aliases counted in full")
            raise Invalid(self.problems)
        if id(node) in self.within:
            self.problem(node, "this anchor contains an alias to itself")
            raise Invalid(self.problems)
        self.within.append(id(node))
        try:
            match node:
                case yaml.ScalarNode():
                    return self.scalar(node)
                case yaml.SequenceNode():
                    self.check_tag(node, "seq")
                    return SequenceNode(tuple(self.node(item, depth + 1) for item in node.value), _line(node))
                case yaml.MappingNode():
                    self.check_tag(node, "map")
                    return MappingNode(tuple(self.entries(node, depth)), _line(node))
            raise TypeError(node)
        finally:
            self.within.pop()

    def check_tag(self, node: yaml.Node, *known: str) -> None:
        if node.tag.removeprefix(_TAG) not in known:
            self.problem(node, f"the tag {node.tag.replace(_TAG, '!!')} is not supported here; leave it out")

    def scalar(self, node: yaml.ScalarNode) -> ScalarNode:
        self.check_tag(node, "str", "null", "bool", "int", "float", "merge")
        if "\0" in node.value or any("\ud800" <= character <= "\udfff" for character in node.value):
            self.problem(node, "NUL and surrogate characters can be in no variable, file or command")
        try:
            return ScalarNode(node.value, _value(node.tag.removeprefix(_TAG), node.value), _line(node))
        except ValueError:
            self.problem(node, f"{node.value[:40]!r} is no {node.tag.replace(_TAG, '!!')}")
            return ScalarNode(node.value, None, _line(node))

    def entries(self, node: yaml.MappingNode, depth: int) -> Iterator[Entry]:
        """Own keys first, then those of ``<<`` that are not among them; the first mapping of a ``<<: [a, b]`` wins."""
        lines: dict[str, int] = {}
        merged: list[MappingNode] = []
        for key_node, value_node in node.value:
            key = self.key(key_node)
            if key in lines:
                self.problem(
                    key_node, f"the key {key!r} is here twice: on line {lines[key]} and again on line {_line(key_node)}"
                )
                continue
            lines[key] = _line(key_node)
            if key_node.tag == _MERGE:
                merged.extend(self.merged(value_node, depth))
            else:
                yield Entry(key, self.node(value_node, depth + 1), _line(key_node))
        for mapping in merged:
            for entry in mapping:
                if entry.key not in lines:
                    lines[entry.key] = entry.line
                    yield entry

    def key(self, node: yaml.Node) -> str:
        if not isinstance(node, yaml.ScalarNode) or node.tag == _TAG + "null":
            self.problem(node, "a key must be a plain word")
            return ""
        return self.scalar(node).text

    def merged(self, node: yaml.Node, depth: int) -> Iterator[MappingNode]:
        for source in node.value if isinstance(node, yaml.SequenceNode) else [node]:
            mapping = self.node(source, depth + 1)
            if isinstance(mapping, MappingNode):
                yield mapping
            else:
                self.problem(node, "<< takes a mapping or a list of mappings")


def _value(tag: str, text: str) -> str | int | float | bool | None:
    """What the core schema makes of a scalar. Raises ValueError where an explicit tag does not fit."""
    match tag:
        case "null":
            return None
        case "bool":
            if text.lower() not in ("true", "false"):
                raise ValueError(text)
            return text.lower() == "true"
        case "int":
            return int(text, {"0o": 8, "0x": 16}.get(text[:2], 10))
        case "float":
            return float(text.lower().replace(".inf", "inf").replace(".nan", "nan"))
    return text


def _line(node: yaml.Node) -> int:
    return node.start_mark.line + 1
