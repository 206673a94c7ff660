"""A cursor: one place of a Compose document, which it can read by type and complain about with file, line and key."""

from __future__ import annotations

import difflib
import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping

from attrs import define, field, frozen

from ..interpolation import InterpolationError, interpolate
from ..problems import Problem
from . import scalars
from .document import MappingNode, Node, ScalarNode, SequenceNode
from .scalars import Converter, T


@define
class Reading:
    """One reading of a document with one set of variables: what every cursor on it shares.

    :ivar variables: what interpolation and names without a value see.
    :ivar directory: what relative paths are relative to.
    :ivar read_file: path (joined with directory) -> content; raises OSError.
    """

    filename: str
    directory: str
    variables: Mapping[str, str]
    allow: frozenset[str]
    read_file: Callable[[str], bytes]
    found: dict[Problem, int] = field(factory=dict)  # with the line, for their order

    def add(self, line: int, path: str, text: str, warning: bool = False) -> None:
        """Note a problem, once. ``line`` 0: it has none."""
        place = ": ".join(filter(None, (f"{self.filename}:{line}" if line else self.filename, path)))
        self.found.setdefault(Problem(place, text, warning), line)

    def problems(self, warning: bool = False) -> tuple[Problem, ...]:
        """What was found so far, by line: what makes the document unusable, or the warnings."""
        ordered = sorted(self.found, key=lambda problem: (self.found[problem], problem.place))
        return tuple(problem for problem in ordered if problem.warning is warning)


@frozen
class Cursor:
    """``path`` is the way here for people ("services.web.ports[0]"), ``rule`` the same in the table's terms.

    Reading methods that return ``T | None`` note a problem when they return None, but for null, which is None silently.
    """

    reading: Reading
    node: Node
    line: int
    path: str = ""
    rule: str = ""

    # -- complaints -----------------------------------------------------------------------------------------------------

    def problem(self, text: str) -> None:
        self.reading.add(self.line, self.path, text)

    def warn(self, text: str) -> None:
        self.reading.add(self.line, self.path, text, warning=True)

    # -- structure ------------------------------------------------------------------------------------------------------

    def entries(self) -> Iterator[tuple[str, Cursor]]:
        """The keys and values of a mapping; nothing for null, and a problem for anything else."""
        if isinstance(self.node, MappingNode):
            for entry in self.node:
                yield entry.key, self._child(entry.key, entry.value, entry.line)
        elif not self.null:
            self.problem("must be a mapping")

    def items(self) -> Iterator[Cursor]:
        """The items of a list; nothing for null, and a problem for anything else."""
        if isinstance(self.node, SequenceNode):
            for index, node in enumerate(self.node.items):
                yield Cursor(self.reading, node, node.line, f"{self.path}[{index}]", self.rule + "[]")
        elif not self.null:
            self.problem("must be a list")

    def get(self, *keys: str) -> Cursor | None:
        """What is at these keys below a mapping, or None if nothing or null is."""
        here: Cursor | None = self
        for key in keys:
            here = next((child for name, child in here.entries() if name == key), None) if here else None
        return None if here is None or here.null else here

    def _child(self, key: str, node: Node, line: int) -> Cursor:
        shown = key if re.fullmatch(r"[\w.-]+", key) else json.dumps(key)
        return Cursor(self.reading, node, line, f"{self.path}.{shown}".lstrip("."), f"{self.rule}.{key}".lstrip("."))

    def under(self, rule: str) -> Cursor:
        """The same place under another rule (``*`` for a name of the author's)."""
        return Cursor(self.reading, self.node, self.line, self.path, rule)

    @property
    def null(self) -> bool:
        return isinstance(self.node, ScalarNode) and self.node.value is None

    @property
    def is_mapping(self) -> bool:
        return isinstance(self.node, MappingNode)

    @property
    def is_list(self) -> bool:
        return isinstance(self.node, SequenceNode)

    # -- scalars --------------------------------------------------------------------------------------------------------

    def text(self) -> str | None:
        """A scalar as it was written, with its variables put in."""
        if not isinstance(self.node, ScalarNode):
            self.problem("must be a single value")
            return None
        if self.node.value is None:
            return None
        if not isinstance(self.node.value, str):
            return self.node.text
        try:
            return interpolate(self.node.text, self.reading.variables, self._unset)
        except InterpolationError as error:
            self.problem(str(error))
            return None

    def _unset(self, name: str) -> None:
        self.warn(f"the variable {name} is not set, so it is empty here; ${{{name}:-default}} gives it a default")

    def read(self, convert: Converter[T]) -> T | None:
        """A scalar by a converter that raises ValueError."""
        text = self.text()
        if text is None:
            return None
        try:
            return convert(text)
        except ValueError as error:
            self.problem(str(error))
            return None

    def boolean(self) -> bool | None:
        return self.read(scalars.boolean)

    def choice(self, *choices: str) -> str | None:
        """One of these words."""
        text = self.text()
        if text is None or text in choices:
            return text
        self.problem(f"must be one of {', '.join(choices)}, not {text!r}{did_you_mean(text, choices)}")
        return None

    def texts(self) -> tuple[str, ...]:
        """A list of strings, or one."""
        if isinstance(self.node, SequenceNode):
            return tuple(text for item in self.items() if (text := item.filled()) is not None)
        text = self.text()
        return () if text is None else (text,)

    def filled(self) -> str | None:
        """A scalar that must not be null."""
        if self.null:
            self.problem("is empty")
        return self.text()

    def pairs(self) -> Iterator[tuple[str, str | None, Cursor]]:
        """A mapping, or a list of NAME=value: names, values (None: null, or no "=") and their places."""
        if isinstance(self.node, SequenceNode):
            for item in self.items():
                text = item.filled()
                if text is not None:
                    name, equals, value = text.partition("=")
                    yield name, value if equals else None, item
        else:
            for name, child in self.entries():
                yield name, child.text(), child

    def mode(self) -> int | None:
        """Permission bits."""
        quoted = isinstance(self.node, ScalarNode) and isinstance(self.node.value, str)
        return self.read(lambda text: scalars.mode(text, quoted))


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """ "; did you mean …?" for a word that is close to a known one, else nothing."""
    close = difflib.get_close_matches(word[:100], list(known), n=1)
    return f"; did you mean {close[0]!r}?" if close else ""
