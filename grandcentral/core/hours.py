"""Opening hours: when an app may be started by requests.

``"Mon-Fri 07:00-20:00, Sat 10:00-14:00 Europe/Berlin"``: ranges with "," or ";" between them, then the time zone, UTC where
none is named. A range without days is every day's; one that ends before it begins ends on the next day.

Hours are what the clocks there show. Where clocks are put back, an hour within a range is open both times; where they are put
forward, what is skipped is not made up for.
"""

from __future__ import annotations

import re
import zoneinfo
from datetime import UTC, datetime, tzinfo
from math import ceil

from attrs import field, frozen

EXAMPLE = 'write it as "Mon-Fri 07:00-20:00 Europe/Berlin"'

_DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
_DAY = 86_400
_WEEK = 7 * _DAY
_RANGE = re.compile(r"(?:([a-z]+)(?:-([a-z]+))? +)?([0-9]{1,2}):([0-9]{2}) ?- ?([0-9]{1,2}):([0-9]{2})", re.ASCII | re.I)
_ZONE = re.compile(r"[A-Za-z][A-Za-z0-9_+/-]*", re.ASCII)


@frozen
class Hours:
    """``text`` is as it was written. To be made by ``parse``."""

    text: str
    spans: tuple[tuple[int, int], ...] = field(repr=False)  # in seconds since Monday 00:00, [first, last); within one week
    zone: tzinfo = field(repr=False, eq=str)

    @classmethod
    def parse(cls, text: str) -> Hours:
        """Raises ValueError, with what is wrong and the remedy."""
        said, _, name = text.strip().rpartition(" ")
        if not said or not _ZONE.fullmatch(name):
            said, name = text.strip(), "UTC"
        zone = _zone(name)
        spans = [span for part in re.split("[,;]", said) for span in _spans(part.strip())]
        return cls(text, tuple(sorted(spans)), zone)

    def open(self, wall: float) -> bool:
        """Whether ``wall``, in seconds since the epoch, is within them."""
        since = self._since_monday(wall)
        return any(first <= since < last for first, last in self.spans)

    def next_open(self, wall: float) -> float:
        """The first instant from ``wall`` on that is within them: ``wall`` itself, or a whole second."""
        if self.open(wall):
            return wall
        now = ceil(wall)  # nothing begins within a second
        while not self.open(now):
            since = self._since_monday(now)
            then = now + min((first - since - 1) % _WEEK + 1 for first, _ in self.spans)
            now = then if self._offset(then) == self._offset(now) else self._change(now, then)
        return float(now)

    def _since_monday(self, wall: float) -> int:
        there = datetime.fromtimestamp(wall // 1, self.zone)
        return there.weekday() * _DAY + there.hour * 3600 + there.minute * 60 + there.second

    def _offset(self, wall: int) -> float:
        offset = datetime.fromtimestamp(wall, self.zone).utcoffset()
        assert offset is not None
        return offset.total_seconds()

    def _change(self, before: int, after: int) -> int:
        """The first second of another offset from UTC; there is one from ``before`` to ``after``."""
        offset = self._offset(before)
        while after - before > 1:
            between = (before + after) // 2
            if self._offset(between) == offset:
                before = between
            else:
                after = between
        return after


def _spans(text: str) -> list[tuple[int, int]]:
    match = _RANGE.fullmatch(text)
    if match is None:
        raise ValueError(f'"{text}" is no range of hours: {EXAMPLE}')
    first, last = _day(match[1] or "mon"), _day(match[2] or match[1] or "sun")
    begin, end = _time(match[3], match[4]), _time(match[5], match[6])
    if begin in (end, _DAY):
        raise ValueError(f'"{text}" is no time at all: for whole days write 00:00-24:00')
    if end < begin:
        end += _DAY
    spans = []
    for day in range(first, first + (last - first) % 7 + 1):
        begins = day % 7 * _DAY + begin
        ends = begins + end - begin
        spans += [(begins, min(ends, _WEEK))] + ([(0, ends - _WEEK)] if ends > _WEEK else [])
    return spans


def _day(text: str) -> int:
    try:
        return _DAYS.index(text.lower())
    except ValueError:
        raise ValueError(f'"{text}" is no day: days are {", ".join(_DAYS).title()}') from None


def _time(hour: str, minute: str) -> int:
    seconds = int(hour) * 3600 + int(minute) * 60
    if int(minute) > 59 or seconds > _DAY:
        raise ValueError(f'"{hour}:{minute}" is no time of day: write 00:00 to 24:00')
    return seconds


def _zone(name: str) -> tzinfo:
    if name == "UTC":
        return UTC
    try:
        return zoneinfo.ZoneInfo(name)
    except (zoneinfo.ZoneInfoNotFoundError, ValueError, OSError):  # OSError: a directory of them, "Europe"
        if not zoneinfo.available_timezones():
            raise ValueError(f'The time zone "{name}" is not known here: install the package tzdata, or write UTC') from None
        raise ValueError(f'"{name}" is no time zone: write one like Europe/Berlin, or none for UTC') from None
