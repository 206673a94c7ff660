"""The kinds of values that settings have: how each is read from TOML and written back, and what it is called.

Reading raises ValueError with a whole sentence: what is wrong, and how it is written.
"""

from __future__ import annotations

import datetime
import math
import re
from collections.abc import Callable, Mapping
from ipaddress import ip_network
from pathlib import Path
from typing import Any

from attrs import frozen

from ..core.forwarding import UNIX
from ..core.hours import Hours
from ..core.keys import parse_pattern
from ..core.model import Endpoint
from ..core.units import DURATION_HELP, SIZE_HELP, format_duration, format_size, parse_duration, parse_size
from . import endpoints


@frozen
class Surroundings:
    """What relative paths and "~" start from. ``home`` is None where nobody has said."""

    base: Path
    home: Path | None = None


@frozen
class Kind:
    """``read`` takes a value as tomllib gives it, ``write`` gives one to be written as TOML, ``from_text`` makes the first
    from the text of an environment variable."""

    name: str
    read: Callable[[Any, Surroundings], Any]
    write: Callable[[Any], object] = lambda value: value
    from_text: Callable[[str], object] = str


def called(value: object) -> str:
    """What a person would call a value of TOML: "a string"."""
    names = {str: "a string", bool: "true or false", int: "a number", float: "a number", list: "a list", dict: "a table"}
    if isinstance(value, datetime.date | datetime.time):
        return "a date or time"
    return names.get(type(value), "something else")


def _text(value: object, example: str = "") -> str:
    if not isinstance(value, str):
        raise ValueError(f"must be a string{example and f', such as {example}'}, not {called(value)}")
    if not value.strip() or "\0" in value:
        raise ValueError("must not be empty" if not value.strip() else "must not contain NUL")
    return value


def text(name: str = "string", check: Callable[[str], Any] = lambda value: value, example: str = "") -> Kind:
    """A string that ``check`` may refuse or turn into something else that is written as ``str``."""
    return Kind(name, lambda value, _: check(_text(value, example)), write=str)


def matching(name: str, pattern: str, sentence: str) -> Kind:
    """A string of which ``pattern`` matches the whole."""

    def check(value: str) -> str:
        if not re.fullmatch(pattern, value, re.ASCII):
            raise ValueError(f'"{value}" {sentence}')
        return value

    return text(name, check)


def choice(*options: str) -> Kind:
    listed = ", ".join(f'"{option}"' for option in options)

    def check(value: str) -> str:
        if value not in options:
            raise ValueError(f'"{value}" is not one of {listed}')
        return value

    return text(" or ".join(f'`"{option}"`' for option in options), check)


def integer(minimum: int, maximum: int | None = None, sentence: str = "") -> Kind:
    """A whole number. ``sentence`` is the remedy for one out of range."""
    bounds = f"from {minimum} to {maximum}" if maximum is not None else f"of at least {minimum}"

    def read(value: object, _: Surroundings) -> int:
        if isinstance(value, bool) or not isinstance(value, int):
            raise ValueError(sentence or f"must be a whole number {bounds}, not {called(value)}")
        if value < minimum or (maximum is not None and value > maximum):
            raise ValueError(sentence or f"must be a whole number {bounds}, not {value}")
        return value

    return Kind("whole number", read, from_text=_integer_from_text)


def _integer_from_text(value: str) -> object:
    return int(value) if re.fullmatch("-?[0-9]{1,18}", value) else value


def _rate(value: object, _: Surroundings) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ValueError(f"must be a number, not {called(value)}")
    if not 0 <= value <= MOST_A_MINUTE:
        raise ValueError(f"must be a number from 0 to {MOST_A_MINUTE}, not {value}")
    return float(value)


def _rate_from_text(value: str) -> object:
    return float(value) if re.fullmatch(r"[0-9]{1,9}(\.[0-9]{1,9})?", value) else value


MOST_A_MINUTE = 1_000_000
RATE = Kind("number a minute", _rate, lambda rate: int(rate) if rate.is_integer() else rate, _rate_from_text)


def _workers(value: object, surroundings: Surroundings) -> int | str:
    if value == "auto":
        return "auto"
    read = integer(0, MOST_WORKERS, f'must be "auto" or a whole number from 0 to {MOST_WORKERS}').read
    return int(read(value, surroundings))


MOST_WORKERS = 256
WORKERS = Kind('whole number or `"auto"`', _workers, from_text=_integer_from_text)


def _boolean(value: object, _: Surroundings) -> bool:
    if not isinstance(value, bool):
        raise ValueError(f"must be true or false, not {called(value)}")
    return value


BOOLEAN = Kind("true or false", _boolean, from_text=lambda value: {"true": True, "false": False}.get(value, value))


def duration(never: bool = False, zero: bool = True) -> Kind:
    """Seconds. "never" is infinity."""
    hint = DURATION_HELP + (', or "never"' if never else "")

    def read(value: object, _: Surroundings) -> float:
        if not isinstance(value, str):
            unit = (
                f'{value} has no unit: write "{value}s"' if type(value) is int and value >= 0 else f"write {hint}, as a string"
            )
            raise ValueError(f"must be a duration: {unit}")
        if never and value == "never":
            return math.inf
        seconds = parse_duration(value)
        if seconds == 0 and not zero:
            raise ValueError(f"must be longer than 0: write {hint}")
        return seconds

    def write(seconds: float) -> str:
        return "never" if seconds == math.inf else format_duration(seconds)

    return Kind('duration or `"never"`' if never else "duration", read, write)


def size(zero: bool = False) -> Kind:
    """Bytes."""

    def read(value: object, _: Surroundings) -> int:
        if isinstance(value, str):
            value = parse_size(value)
        if isinstance(value, bool) or not isinstance(value, int) or value < (0 if zero else 1):
            raise ValueError(f"must be a size: write {SIZE_HELP}{', or 0' if zero else ''}")
        return value

    return Kind("size", read, lambda size: size if str(size) == format_size(size) else format_size(size))


SIZE = size()


def _path(value: object, surroundings: Surroundings) -> Path:
    path = _text(value)
    if path == "~" or path.startswith("~/"):
        if surroundings.home is None:
            raise ValueError(f'"{path}" is below the home directory, and HOME is not set: write an absolute path')
        return surroundings.home / path[2:]
    if path.startswith("~"):
        raise ValueError(f'"{path}": only "~/" is known, not other users\' home directories: write an absolute path')
    return surroundings.base / path


PATH = Kind("path", _path, str)
DIRECTORY = Kind("path", lambda value, surroundings: str(_path(value, surroundings)))


def _access_log(value: object, surroundings: Surroundings) -> str:
    return value if isinstance(value, str) and value in ("-", "off") else str(_path(value, surroundings))


ACCESS_LOG = Kind('path, `"-"` or `"off"`', _access_log)


def several(kind: Kind, plural: str, empty: bool = False) -> Kind:
    """A list of them, or a single one by itself. Read as a tuple, without doubles."""

    def read(value: object, surroundings: Surroundings) -> tuple[Any, ...]:
        values = value if isinstance(value, list) else [value]
        if not values and not empty:
            raise ValueError(f"is empty: write at least one {kind.name}")
        return tuple(dict.fromkeys(kind.read(each, surroundings) for each in values))

    return Kind(plural, read, lambda values: [kind.write(value) for value in values])


HOURS_EXAMPLE = '"Mon-Fri 07:00-20:00 Europe/Berlin"'

LISTEN = text("endpoint", lambda value: endpoints.parse(value).text, '"tcp:8080"')
DOOR = text("port", lambda value: endpoints.parse_door(value).text, '"postgresql:5432"')
HOST = text("host pattern", lambda value: parse_pattern(value).text, '"{version}.review.example.com"')


def _network(value: str) -> object:
    return UNIX if value == UNIX else ip_network(value, strict=False)


NETWORK = text('network or `"unix"`', _network, '"10.0.0.0/8"')


def _upstream(value: str) -> Endpoint:
    match = re.fullmatch(r"(?:\[([0-9a-fA-F:.]+)\]|([A-Za-z0-9._-]+)):([0-9]{1,5})", value)
    if not match or not 0 < int(match[3]) < 65536:
        raise ValueError(f'"{value}" is not a host and a port: write them such as "127.0.0.1:9001"')
    return Endpoint(match[1] or match[2], int(match[3]))


UPSTREAM = text("host and port", _upstream, '"127.0.0.1:9001"')


def _url(value: str) -> str:
    if not re.fullmatch(r"https?://\{host\}(:[0-9]{1,5})?", value):
        raise ValueError(
            f'"{value}" is not a URL with a place for the host: write one such as "https://{{host}}" or "http://{{host}}:8080"'
        )
    return value


URL = text("URL", _url)


def _variables(value: object, _: Surroundings) -> Mapping[str, str]:
    if not isinstance(value, dict):
        raise ValueError(f'must be a table, such as {{ LANG = "C.UTF-8" }}, not {called(value)}')
    for name, content in value.items():
        if not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", name, re.ASCII):
            raise ValueError(f'"{name}" is not a name of an environment variable')
        if isinstance(content, bool) or not isinstance(content, str | int | float) or "\0" in str(content):
            raise ValueError(f"{name} must be a string, not {called(content)}: put it in quotes")
    return {name: str(content) for name, content in value.items()}


VARIABLES = Kind("table of strings", _variables, dict)


def _commands(value: object, _: Surroundings) -> Mapping[str, str]:
    if not isinstance(value, dict):
        raise ValueError(f'must be a table of services, such as {{ db = "mariadb-dump …" }}, not {called(value)}')
    for service, line in value.items():
        try:
            _text(line)
        except ValueError as error:
            raise ValueError(f"the command line of {service} {error}") from None
    return dict(value)


COMMANDS = Kind("table of command lines", _commands, dict)

HOURS = Kind("opening hours", lambda value, _: Hours.parse(_text(value, HOURS_EXAMPLE)), lambda hours: hours.text)
