"""Single values as Compose writes them: text to bool, number, duration, size, argument vector. All raise ValueError.

The message of a ValueError completes "services.web.key: …".
"""

from __future__ import annotations

import math
import re
import shlex
from collections.abc import Callable
from typing import TypeAlias, TypeVar

T = TypeVar("T")

Converter: TypeAlias = Callable[[str], T]
"""Text to a value, or ValueError."""

_DURATION_UNITS = {
    "ns": 1e-9,
    "us": 1e-6,
    "µs": 1e-6,
    "ms": 1e-3,
    "s": 1.0,
    "m": 60.0,
    "h": 3600.0,
    "d": 86400.0,
    "w": 604800.0,
}
_DURATION_PART = re.compile(r"(\d{1,12}(?:\.\d{0,12})?|\.\d{1,12})(ns|us|µs|ms|s|m|h|d|w)")
_SIZE = re.compile(r"(\d{1,15}(?:\.\d{1,9})?) ?([kmgt]?)i?b?", re.IGNORECASE)
_SHELL_WORDS = frozenset({"&&", "||", "|", ";", "&", ">", ">>", "<"})


def boolean(text: str) -> bool:
    """ "true" or "false", in any case."""
    try:
        return {"true": True, "false": False}[text.lower()]
    except KeyError:
        raise ValueError(f"must be true or false, not {text!r}") from None


def integer(text: str) -> int:
    """Decimal, 0x… or 0o…, at most 18 characters."""
    if len(text) <= 18 and re.fullmatch(r"[-+]?\d+", text, re.ASCII):
        return int(text)
    if len(text) <= 18 and re.fullmatch(r"0o[0-7]+|0x[0-9a-fA-F]+", text):
        return int(text, 0)
    raise ValueError(f"must be a whole number, not {text!r}")


def number(text: str) -> float:
    """A decimal number that is not negative."""
    if not re.fullmatch(r"\d{1,12}(?:\.\d{0,12})?|\.\d{1,12}", text, re.ASCII):
        raise ValueError(f"must be a number, not {text!r}")
    return float(text)


def duration(text: str) -> float:
    """ "1m30s" in seconds (Compose specification, "Specifying durations"; days and weeks as Docker Compose has them)."""
    if text == "0":
        return 0.0
    parts = _DURATION_PART.findall(text)
    if not parts or "".join(amount + unit for amount, unit in parts) != text:
        raise ValueError(f'must be a duration with its unit such as "90s" or "1m30s", not {text!r}')
    return math.fsum(float(amount) * _DURATION_UNITS[unit] for amount, unit in parts)


def size(text: str) -> int:
    """ "300m" in bytes; units are powers of 1024 (Compose specification, "Specifying byte values")."""
    match = _SIZE.fullmatch(text)
    if match is None:
        raise ValueError(f'must be a size such as "512m" or "1gb", not {text!r}')
    return int(float(match[1]) * 1024 ** " kmgt".index(match[2].lower() or " "))


def mode(text: str, quoted: bool) -> int:
    """Permission bits in octal: 0440, 0o440, or "440".

    :param quoted: whether it was a string and not a number, which YAML reads as decimal unless it begins with 0.
    """
    match = re.fullmatch(r"(?:0o?)?([0-7]{1,4})", text)
    if match is None or not (quoted or text.startswith("0")):
        raise ValueError(f"must be permission bits in octal such as 0440, not {text!r}")
    return int(match[1], 8)


def words(line: str) -> tuple[str, ...]:
    """A command line as an argument vector: quotes and backslashes as in a shell, and nothing else of a shell."""
    try:
        return tuple(shlex.split(line))
    except ValueError as error:
        raise ValueError(f"is no command line: {str(error).lower()}") from None


def wants_a_shell(arguments: tuple[str, ...]) -> bool:
    """Whether a split command line has words that only a shell understands."""
    return not _SHELL_WORDS.isdisjoint(arguments)


def ports(text: str) -> tuple[range, str]:
    """ "8080-8085/tcp" as a range of container ports and the protocol, "tcp" unless said."""
    match = re.fullmatch(r"(\d{1,5})(?:-(\d{1,5}))?(?:/(tcp|udp|sctp))?", text.lower(), re.ASCII)
    if match is None:
        raise ValueError(f'must be a port such as "3000", "8000-8010" or "53/udp", not {text!r}')
    first, last = int(match[1]), int(match[2] or match[1])
    if not 1 <= first <= last <= 65535:
        raise ValueError(f"must be ports from 1 to 65535, the lower one first, not {text!r}")
    return range(first, last + 1), match[3] or "tcp"


def container_port(text: str) -> str:
    """What follows the last colon of a short ``ports`` entry: "127.0.0.1:8080:80/tcp" names port "80/tcp"."""
    host, colon, container = text.rpartition(":")
    if colon and not re.fullmatch(r"(?:(?:\[[0-9a-fA-F:.]+\]|[0-9a-fA-F:.]+|localhost):)?(?:\d+(?:-\d+)?)?", host, re.ASCII):
        raise ValueError(f'must be "[[ip:]published:]port[/protocol]", not {text!r}')
    return container
