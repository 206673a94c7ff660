"""Variables in values, by Compose's own rules: ``$NAME``, ``${NAME}``, ``${NAME:-default}`` and their kin.

Compose specification, "Interpolation". What a variable holds is put in as it is and never looked at again.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import TypeAlias

from attrs import frozen

MAX_NESTING = 20

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_OPERATOR = re.compile(r":?[-?+]")


class InterpolationError(ValueError):
    """``str()`` says what is wrong, for people."""


class Malformed(InterpolationError):
    """The text is no template: a ``${`` without its end, without a name, or with an operator that Compose does not know."""


class Missing(InterpolationError):
    """A variable that the template demands (``${NAME:?why}``) has no value."""


@frozen
class Reference:
    """``${name}`` with an operator ("", ":-", "-", ":?", "?", ":+", "+") and what follows it."""

    name: str
    operator: str = ""
    operand: Expression = ()


Expression: TypeAlias = tuple[str | Reference, ...]
"""A template, taken apart: literal text and references in turn."""


def _ignore(name: str) -> None:
    """Nobody wants to know of unset variables."""


def interpolate(text: str, variables: Mapping[str, str], unset: Callable[[str], None] = _ignore) -> str:
    """``text`` with its variables put in.

    :param unset: called with the name of each variable that has no value and no default; it becomes the empty string.
    :raises Malformed: for a text that is no template, whatever the variables are.
    :raises Missing: for a demanded variable without a value.
    """
    return evaluate(parse(text), variables, unset)


def parse(text: str, depth: int = 0) -> Expression:
    """Take a template apart. Raises Malformed."""
    if depth > MAX_NESTING:
        raise Malformed(f"more than {MAX_NESTING} ${{…}} inside each other")
    parts: list[str | Reference] = []
    position = 0
    while (dollar := text.find("$", position)) >= 0:
        parts.append(text[position:dollar])
        if text.startswith("$$", dollar):
            parts.append("$")
            position = dollar + 2
        elif text.startswith("${", dollar):
            end = _closing_brace(text, dollar)
            parts.append(_reference(text[dollar + 2 : end], depth))
            position = end + 1
        elif name := _NAME.match(text, dollar + 1):
            parts.append(Reference(name.group()))
            position = name.end()
        else:  # "$5", "$" at the end: just a dollar
            parts.append("$")
            position = dollar + 1
    parts.append(text[position:])
    return tuple(part for part in parts if part != "")


def evaluate(expression: Expression, variables: Mapping[str, str], unset: Callable[[str], None] = _ignore) -> str:
    """Put the variables in; operands that are not needed are not looked at. Raises Missing."""
    return "".join(part if isinstance(part, str) else _value(part, variables, unset) for part in expression)


def _closing_brace(text: str, start: int) -> int:
    """Where the ``${`` at start ends. Only ``${`` opens: in ``${A:-{}}`` the first brace closes, as in Compose."""
    open_braces = 0
    for match in re.compile(r"\$\{|\}").finditer(text, start):
        open_braces += 1 if match.group() == "${" else -1
        if not open_braces:
            return match.start()
    raise Malformed(f"{_shown(text[start:])} has no closing brace; write $$ for a dollar sign that is meant as one")


def _reference(inside: str, depth: int) -> Reference:
    """What is between the braces of ``${…}``."""
    name = _NAME.match(inside)
    if name is None:
        raise Malformed(f"{_shown('${' + inside + '}')} names no variable; write $$ for a dollar sign that is meant as one")
    if name.end() == len(inside):
        return Reference(inside)
    operator = _OPERATOR.match(inside, name.end())
    if operator is None:
        raise Malformed(f"{_shown('${' + inside + '}')}: after the name only :- - :? ? :+ + are known")
    return Reference(name.group(), operator.group(), parse(inside[operator.end() :], depth + 1))


def _value(reference: Reference, variables: Mapping[str, str], unset: Callable[[str], None]) -> str:
    value = variables.get(reference.name)
    given = bool(value) if reference.operator.startswith(":") else value is not None
    match reference.operator[-1:]:
        case "+":
            return evaluate(reference.operand, variables, unset) if given else ""
        case "-" if not given:
            return evaluate(reference.operand, variables, unset)
        case "?" if not given:
            why = evaluate(reference.operand, variables, unset)
            raise Missing(f"the variable {reference.name} has no value{': ' + why if why else ''}")
    if value is None:
        unset(reference.name)
        return ""
    return value


def _shown(text: str) -> str:
    return text if len(text) <= 40 else text[:39] + "…"
