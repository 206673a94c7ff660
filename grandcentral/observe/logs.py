"""Log observers: one line per event, for people or for programs. The vocabulary of both is events.py."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime
from math import isfinite
from typing import Protocol

from twisted.logger import ILogObserver, LogEvent, LogLevel, formatEvent
from twisted.python.reflect import safe_str
from zope.interface import implementer

from .. import events

FORMATS = ("text", "json")
LEVELS = tuple(level.name for level in LogLevel.iterconstants())  # from the least to the most serious

_NAMES = {sentence: name for name, sentence in vars(events).items() if name.isupper()}
_OURS = frozenset({"time", "level", "event", "message", "logger", "traceback"})
_DEEPEST = 4  # levels of nested fields; below it stands their str()

# A host name or a path is whatever a client sent: no field may start a line of its own or drive the reader's terminal.
_ESCAPES = {code: repr(chr(code))[1:-1] for code in (*range(0x20), *range(0x7F, 0xA0), 0x2028, 0x2029)}


class Stream(Protocol):
    """Where lines go: sys.stdout, or Twisted's LogFile."""

    def write(self, text: str, /) -> object: ...

    def flush(self) -> object: ...


def observer(format: str, stream: Stream, least: str = "info") -> ILogObserver:
    """An observer that writes each event to ``stream`` and flushes it.

    :param format: "text": time, level and sentence, with tracebacks indented below. "json": one object a line, with the
        event's name and fields.
    :param least: events below this level are left out: "debug", "info", "warn", "error", "critical".
    :raises ValueError: for a format or a level that is none of these.
    """
    if format not in FORMATS:
        raise ValueError(f"{format!r} is no log format; one of {', '.join(FORMATS)}")
    if least not in LEVELS:
        raise ValueError(f"{least!r} is no log level; one of {', '.join(LEVELS)}")
    return _Lines(as_text if format == "text" else as_json, stream, frozenset(LEVELS[: LEVELS.index(least)]))


@implementer(ILogObserver)
class _Lines:
    def __init__(self, render: Callable[[LogEvent], str], stream: Stream, silent: frozenset[str]) -> None:
        self._render = render
        self._stream = stream
        self._silent = silent

    def __call__(self, event: LogEvent) -> None:
        if _level(event) in self._silent:
            return
        line = self._render(event)
        if line:
            self._stream.write(line + "\n")
            self._stream.flush()


def as_text(event: LogEvent) -> str:
    """``2026-11-20T13:04:05.123Z info     quepid/db139cf is ready``; "" for an event that says nothing."""
    sentence = _sentence(event).translate(_ESCAPES)
    traceback = _traceback(event)
    if not sentence and not traceback:
        return ""
    lines = [f"{_time(event)} {_level(event):8} {sentence or 'unhandled error'}"]
    lines += [f"    {line.translate(_ESCAPES)}" for line in traceback.splitlines()]
    return "\n".join(lines).encode("utf-8", "backslashreplace").decode("utf-8")


def as_json(event: LogEvent) -> str:
    """One flat object: time, level, event (where events.py names it), message, logger, the event's own fields, traceback.

    A field that is called like one of ours gets a "_" at its end.
    """
    line: dict[str, object] = {"time": _time(event), "level": _level(event)}
    name = _NAMES.get(event.get("log_format") or "")
    if name is not None:
        line["event"] = name
    line["message"] = _sentence(event)
    if event.get("log_namespace"):
        line["logger"] = event["log_namespace"]
    if "isError" not in event:  # a mark of twisted.python.log, whose fields are all said in its message
        for field, value in event.items():
            if not field.startswith("log_"):
                line[f"{field}_" if field in _OURS else field] = _plain(value)
    traceback = _traceback(event)
    if traceback:
        line["traceback"] = traceback
    return json.dumps(line) if line["message"] or traceback else ""


def _sentence(event: LogEvent) -> str:
    return formatEvent(event) or ""


def _level(event: LogEvent) -> str:
    level = event.get("log_level")
    return "info" if level is None else level.name


def _time(event: LogEvent) -> str:
    """RFC 3339, in UTC, to the millisecond."""
    return datetime.fromtimestamp(event["log_time"], UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _traceback(event: LogEvent) -> str:
    failure = event.get("log_failure")
    return "" if failure is None else failure.getTraceback().rstrip()


def _plain(value: object, depth: int = 0) -> object:
    """Something that JSON can say; what it has no words for, in our own: ``str``."""
    match value:
        case None | bool() | int() | str():
            return value
        case float():
            return value if isfinite(value) else str(value)
        case bytes():
            return value.decode("utf-8", "backslashreplace")
        case Mapping() if depth < _DEEPEST:
            return {str(key): _plain(item, depth + 1) for key, item in value.items()}
        case list() | tuple() | set() | frozenset() if depth < _DEEPEST:
            return [_plain(item, depth + 1) for item in _ordered(value)]
        case _:
            return safe_str(value)


def _ordered(values: Iterable[object]) -> Iterable[object]:
    return sorted(values, key=safe_str) if isinstance(values, set | frozenset) else values
