"""Durations and sizes as people write them, both ways: "1h30m" is 5400.0 seconds, "64KiB" is 65536 bytes.

Anything that is not one raises ValueError with a sentence that says how to write it. Durations are exact to the millisecond.
"""

from __future__ import annotations

import re
from datetime import datetime
from fractions import Fraction
from math import nan

DURATION_HELP = 'a number and a unit (ms, s, m, h, d), such as "30s" or "1h30m"'
END_HELP = 'a duration ("2d"), or a moment with its time zone ("2026-12-24T18:00:00Z")'
SIZE_HELP = 'a number and a unit (KiB, MiB, GiB, TiB, or kB, MB, GB, TB), such as "64KiB", or plain bytes'

LAST = 253402300800.0  # wall seconds: the end of the year 9999, and of what can be written

_MILLISECONDS = {"d": 86_400_000, "h": 3_600_000, "m": 60_000, "s": 1_000, "ms": 1}
_BINARY = {"TiB": 2**40, "GiB": 2**30, "MiB": 2**20, "KiB": 2**10}
_DECIMAL = {"TB": 10**12, "GB": 10**9, "MB": 10**6, "kB": 10**3}
_BYTES = {unit.lower(): bytes_ for unit, bytes_ in (_BINARY | _DECIMAL | {"B": 1, "": 1}).items()}

# Units from large to small, each once at most. The bound on digits keeps every duration a finite float.
_NUMBER = r"[0-9]{1,12}(?:\.[0-9]{1,9})?"
_DURATION = re.compile("".join(rf"(?:(?P<{unit}>{_NUMBER}){unit})?" for unit in _MILLISECONDS))
_SIZE = re.compile(rf"({_NUMBER}|[0-9]+) ?([a-z]*)", re.ASCII)


def parse_duration(text: str) -> float:
    """Seconds. "never" is for the caller to allow."""
    match = _DURATION.fullmatch(text.strip())
    if not match or not any(match.groups()):
        raise ValueError(f'"{text}" is not a duration: write {DURATION_HELP}')
    milliseconds = sum(Fraction(number) * _MILLISECONDS[unit] for unit, number in match.groupdict().items() if number)
    return float(round(milliseconds)) / 1000


def format_duration(seconds: float) -> str:
    """The shortest spelling in whole units: 5400.0 is "1h30m", 0 is "0s"."""
    rest = round(seconds * 1000)
    parts = []
    for unit, milliseconds in _MILLISECONDS.items():
        count, rest = divmod(rest, milliseconds)
        if count:
            parts.append(f"{count}{unit}")
    return "".join(parts) or "0s"


def parse_end(text: str, now: float) -> float:
    """Wall seconds of an end that is written as a duration from ``now`` ("2d") or as a moment ("2026-12-24T18:00:00Z").

    Raises ValueError for what is neither, or over already. A "+" that nobody escaped in a URL has become a space.
    """
    try:
        end = now + parse_duration(text)
    except ValueError:
        try:
            moment = datetime.fromisoformat(text.strip().replace(" ", "+"))
            end = moment.timestamp() if moment.tzinfo is not None else nan
        except (ValueError, OverflowError):
            end = nan
    if not now < end < LAST:
        raise ValueError(f"{text[:40]!a}: an end lies ahead, and is {END_HELP}")
    return end


def parse_size(text: str) -> int:
    """Bytes. Units in any case; "64K" is refused, since people disagree on what it is."""
    match = _SIZE.fullmatch(text.strip().lower())
    factor = _BYTES.get(match[2]) if match else None
    if match is None or factor is None:
        raise ValueError(f'"{text}" is not a size: write {SIZE_HELP}')
    size = Fraction(match[1]) * factor
    if size.denominator != 1:
        raise ValueError(f'"{text}" is not a whole number of bytes')
    return int(size)


def format_size(size: int) -> str:
    """The largest unit that says it exactly, binary before decimal: 65536 is "64KiB", 10**7 is "10MB", 1001 is "1001"."""
    for units in (_BINARY, _DECIMAL):
        for unit, factor in units.items():
            if size and size % factor == 0:
                return f"{size // factor}{unit}"
    return str(size)
