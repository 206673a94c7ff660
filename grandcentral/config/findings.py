"""What is wrong with a configuration, collected as it is found, each with its place: file, line, table and key."""

from __future__ import annotations

import json
import re
import tomllib
from collections import Counter
from collections.abc import Iterable, Mapping

from attrs import Factory, define

from ..core.problems import Problem

Path = tuple[str | int, ...]
"""Names of tables and a key, from the outside in: ("apps", "quepid", "host"). A number is that of a table in a list of them,
the first being 1: ("apps", "quepid", "requests", 1, "path")."""

_BARE = re.compile(r"[A-Za-z0-9_-]+", re.ASCII)

# The tokens of TOML 1.0, as far as they are needed to tell keys from values. What is read has been through tomllib already.
_TOKEN = re.compile(
    r'''(?P<string>"""(?:\\.|[^\\])*?"{3,5} | \'\'\'.*?\'{3,5} | "(?:\\.|[^"\\\n])*" | '[^'\n]*')
      | (?P<comment>\#[^\n]*)
      | (?P<newline>\n)
      | (?P<open>[\[{])
      | (?P<close>[\]}])
      | (?P<equals>=)
      | (?P<bare>[A-Za-z0-9_-]+)
      | (?P<other>.)''',
    re.VERBOSE | re.DOTALL,
)


def lines(text: str) -> dict[Path, int]:
    """The line of each table and key of a valid TOML document, except of keys inside inline tables, and of lists of tables in
    lists of tables."""
    found: dict[Path, int] = {}
    table: Path = ()
    keys: list[str] = []
    line, depth, brackets = 1, 0, 0
    lists: Counter[Path] = Counter()
    in_value = False
    for token in _TOKEN.finditer(text):
        kind = token.lastgroup
        if in_value:
            depth += (kind == "open") - (kind == "close")
            in_value = not (kind == "newline" and depth == 0)
        elif kind == "string":
            keys.append(tomllib.loads(f"key = {token[0]}")["key"])
        elif kind == "bare":
            keys.append(token[0])
        elif kind == "open":
            brackets += 1
        elif kind == "close" and keys:
            table, keys = tuple(keys), []
            found.setdefault(table, line)
            if brackets == 2:
                lists[table] += 1
                table = (*table, lists[table])
                found[table] = line
        elif kind == "newline":
            brackets = 0
        elif kind == "equals":
            found.setdefault((*table, *keys), line)
            in_value, keys = True, []
        line += token[0].count("\n")
    return found


def dotted(path: Path) -> str:
    """As TOML writes it: registries."registry.example.com".insecure; with numbers as in apps.quepid.requests[1].path."""
    return "".join(f"[{name}]" if isinstance(name, int) else f".{bare(name)}" for name in path).removeprefix(".")


def bare(name: str) -> str:
    """A key as TOML writes it."""
    return name if _BARE.fullmatch(name) else quoted(name)


def quoted(text: str) -> str:
    """A basic string of TOML: JSON's, but that JSON leaves DEL as it is."""
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")


@define
class Findings:
    """Problems and warnings of one configuration. ``elsewhere`` has the places of values that are not from the file."""

    file: str
    lines: Mapping[Path, int] = Factory(dict)
    elsewhere: dict[Path, str] = Factory(dict)
    _found: list[tuple[int, Problem]] = Factory(list)

    def wrong(self, path: Path, text: str) -> None:
        self._found.append((self._line(path), Problem(self._place(path), text)))

    def doubtful(self, path: Path, text: str) -> None:
        """Something that can be used all the same."""
        self._found.append((self._line(path), Problem(self._place(path), text, warning=True)))

    def take(self, path: Path, problems: Iterable[Problem]) -> None:
        """Problems of another file, which ``path`` names."""
        self._found += ((self._line(path), problem) for problem in problems)

    @property
    def all(self) -> tuple[Problem, ...]:
        """In the order of the file's lines."""
        return tuple(problem for _, problem in sorted(self._found, key=lambda found: found[0]))

    @property
    def fatal(self) -> bool:
        return not all(problem.warning for _, problem in self._found)

    def _line(self, path: Path) -> int:
        """Of the path, or of the innermost table around it that has a line; 0 if nothing has."""
        return next((self.lines[path[:end]] for end in range(len(path), 0, -1) if path[:end] in self.lines), 0)

    def _place(self, path: Path) -> str:
        if path in self.elsewhere:
            return self.elsewhere[path]
        line = self._line(path)
        place = f"{self.file}:{line}" if line else self.file
        return f"{place}: {dotted(path)}" if path else place
