"""Env files, as ``env_file`` names them (Compose specification, "Env_file format")."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping

from ..interpolation import InterpolationError, interpolate

_NAME = re.compile(r"(?:export[ \t]+)?([A-Za-z_][A-Za-z0-9_.-]*)[ \t]*(=?)")
_SINGLE = re.compile(r"'((?:[^'\\]|\\.)*)'", re.DOTALL)
_DOUBLE = re.compile(r'"((?:[^"\\]|\\.)*)"', re.DOTALL)
_AFTER_QUOTE = re.compile(r"[ \t]*(?:#[^\n]*)?(?:\n|$)")
_ESCAPES = {"n": "\n", "r": "\r", "t": "\t", "\\": "\\", '"': '"', "$": "$$"}  # "$$" is what interpolation makes a "$" of


class EnvFileError(ValueError):
    """``line`` is where; ``str()`` what."""

    def __init__(self, line: int, what: str) -> None:
        self.line = line
        super().__init__(what)


def parse(
    text: str, variables: Mapping[str, str], *, raw: bool = False, unset: Callable[[str], None] = lambda name: None
) -> Iterator[tuple[str, str | None]]:
    """The assignments of an env file in order; a name without ``=`` comes with None: take the value from outside.

    :param variables: for interpolation, before what the file itself has assigned so far.
    :param raw: ``format: raw``: values are taken as they are, quotes and dollar signs included.
    :raises EnvFileError: for a line that is no assignment, a quote without end, a malformed interpolation.
    """
    text = text.removeprefix("\ufeff").replace("\r\n", "\n")
    assigned: dict[str, str] = {}
    position = 0
    while position < len(text):
        end = text.find("\n", position)
        end = len(text) if end < 0 else end
        line = text[position:end].strip()
        if not line or line.startswith("#"):
            position = end + 1
            continue
        number = text.count("\n", 0, position) + 1
        start = position + len(text[position:end]) - len(text[position:end].lstrip())
        name = _NAME.match(text, start, end)
        if name is None or (not name[2] and name.end() != end and text[name.end()] != "#"):
            raise EnvFileError(number, f"{line[:40]!r} is no NAME=value")
        position = end + 1
        if not name[2]:
            yield name[1], None
            continue
        rest = text[name.end() : end]
        template, literal = rest.strip(), raw
        if not raw and template[:1] in ("'", '"'):
            template, literal, position = _quoted(text, end - len(rest.lstrip()), number)
        elif not raw:
            template = re.split(r"\s#", rest, maxsplit=1)[0].strip()
        try:
            value = template if literal else interpolate(template, {**assigned, **variables}, unset)
        except InterpolationError as error:
            raise EnvFileError(number, str(error)) from None
        assigned[name[1]] = value
        yield name[1], value


def _quoted(text: str, start: int, number: int) -> tuple[str, bool, int]:
    """A quoted value, which may go over many lines: its text, whether it is literal, and where the next line begins."""
    single = text[start] == "'"
    value = (_SINGLE if single else _DOUBLE).match(text, start)
    if value is None:
        raise EnvFileError(number, "the quote has no end")
    after = _AFTER_QUOTE.match(text, value.end())
    if after is None:
        raise EnvFileError(number, "there is something after the closing quote")
    if single:
        return value[1].replace("\\'", "'"), True, after.end()
    unescaped = re.sub(r"\\(.)", lambda match: _ESCAPES.get(match[1], match[0]), value[1], flags=re.DOTALL)
    return unescaped, False, after.end()
