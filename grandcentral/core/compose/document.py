"""A parsed document as a plain tree that remembers its lines, whatever syntax (YAML, JSON) it was written in."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TypeAlias

from attrs import frozen


@frozen
class ScalarNode:
    """``text`` is the scalar as written ("0755", "1.10", "true"), without quotes and escapes: what strings are made of.

    ``value`` is what the syntax takes it for: None, a bool, an int, a float, or the text itself.
    """

    text: str
    value: str | int | float | bool | None
    line: int


@frozen
class SequenceNode:
    items: tuple[Node, ...]
    line: int


@frozen
class Entry:
    key: str
    value: Node
    line: int  # of the key


@frozen
class MappingNode:
    """Keys are unique."""

    entries: tuple[Entry, ...]
    line: int

    def __iter__(self) -> Iterator[Entry]:
        return iter(self.entries)


Node: TypeAlias = ScalarNode | SequenceNode | MappingNode


def is_empty(node: Node) -> bool:
    """Whether nothing is said: null, an empty list or an empty mapping (and not an empty string)."""
    match node:
        case ScalarNode():
            return node.value is None
        case SequenceNode():
            return not node.items
        case MappingNode():
            return not node.entries
