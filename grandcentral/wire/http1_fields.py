"""What HTTP/1.1 requests and responses have in common: grammar of field lines (RFC 9110 §5, RFC 9112 §5), limits, outcomes.

Heads are judged by one anchored regular expression and searched by another for the few fields an intermediary must look at.
All other fields are passed on as they came: order, case, repetitions and all.
"""

from __future__ import annotations

import re
from functools import lru_cache

from attrs import define, field, frozen

TOKEN = rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]"
VALUE = rb"[^\x00-\x08\x0a-\x1f\x7f]"  # RFC 9110 §5.5 and obs-text: no control character but the tab
LINES = rb"((?:" + TOKEN + rb"++:" + VALUE + rb"*+\r\n)*+\r\n)"  # the field lines and the empty line that ends them

CHUNKED = -1  # a body in chunks (RFC 9112 §7.1)
UNTIL_CLOSE = -2  # a body that ends with the connection (RFC 9112 §6.3, rule 8)

_NAMES = (
    rb"host|connection|keep-alive|proxy-connection|te|transfer-encoding|upgrade|content-length|expect|max-forwards|via|date"
    rb"|forwarded|x[-_](?:forwarded[-_][^:\r]*|real[-_]ip|grand-central-keep-alive)|trace(?:parent|state)"
)
# Searched in a block in small letters. Group 1 is the name, group 2 the value with the blanks behind it.
marks_of = re.compile(rb"\n(" + _NAMES + rb"):[ \t]*([^\r]*)\r").finditer
Mark = re.Match[bytes]

# RFC 9110 §8.6 sets no limit; the largest value that any origin can be trusted to read is that of a signed 64-bit integer.
_LENGTH = re.compile(rb"[0-9]{1,18}").fullmatch

_FIELD_LINE = re.compile(TOKEN + rb"++:" + VALUE + rb"*+").fullmatch


@frozen
class HeadLimits:
    """How much of a head is read, in bytes; beyond it the answer is 414 (the request line) or 431."""

    line: int = 16 * 1024  # RFC 9112 §3: at least 8000
    field: int = 16 * 1024  # one field line
    head: int = 64 * 1024  # start line and all fields
    fields: int = 128  # how many field lines


LIMITS = HeadLimits()


@frozen
class NeedMore:
    """No whole head yet. ``seen`` is how much of the buffer need not be searched again."""

    seen: int


@frozen
class Reject:
    """Not HTTP as we accept it. ``status`` is what to answer (502 for a response), ``why`` one sentence."""

    status: int
    why: str


@define(eq=False)
class FieldBlock:
    """The field lines of a head and what an intermediary reads in them. Not changed once made: equal bytes can share one.

    ``raw`` ends with the empty line. ``marks`` are the fields that mean something to an intermediary; their groups are in small
    letters, their positions hold for ``raw`` as well.
    """

    raw: bytes
    marks: tuple[Mark, ...] = field(repr=False)
    minor: int  # of the start line's HTTP/1.minor, at most 1: what fields mean depends on it
    options: bytes  # the Connection field in small letters, lines joined by commas
    upgrade: bytes  # the Upgrade field in small letters, if it means anything
    body: int  # length in bytes, CHUNKED or UNTIL_CLOSE
    keeps_alive: bool  # whether another message may follow on this connection

    def value(self, mark: Mark) -> bytes:
        """The value of a marked field as it was written."""
        return self.raw[mark.start(2) - 1 : mark.end(2) - 1].rstrip(b" \t")

    def values(self, name: bytes) -> list[bytes]:
        """The values of a marked field as they were written, in order."""
        return [self.value(mark) for mark in self.marks if mark[1] == name]


def find_marks(raw: bytes) -> tuple[Mark, ...]:
    """The marked fields of a block. Their positions are one too high: the search wants a line end before each field."""
    return tuple(marks_of(b"\n" + raw.lower()))


@lru_cache(maxsize=128)  # the same few Connection fields come again and again
def list_items(value: bytes) -> tuple[bytes, ...]:
    """The elements of a comma-separated list, without the empty ones (RFC 9110 §5.6.1.2)."""
    return tuple(item for item in (part.strip(b" \t") for part in value.split(b",")) if item)


def content_length(value: bytes) -> int | None:
    """The number in a Content-Length field, or None if it is none (RFC 9110 §8.6) or too large to be passed on."""
    return int(value) if _LENGTH(value) else None


def oversize(line: int, block: bytes, limits: HeadLimits) -> Reject | None:
    """What of a whole head is beyond its limits, if anything. ``line`` is the length of the start line."""
    if line > limits.line:
        return Reject(414, f"The request line is longer than {limits.line} bytes.")
    if line + len(block) > limits.head:
        return Reject(431, f"The head is larger than {limits.head} bytes.")
    if block.count(b"\n") - 1 > limits.fields:
        return Reject(431, f"There are more than {limits.fields} fields.")
    if len(block) > limits.field and max(map(len, block.split(b"\n"))) > limits.field:
        return Reject(431, f"A field is larger than {limits.field} bytes.")
    return None


def bad_field(lines: bytes) -> str:
    """Which of these field lines is not one, in words. ``lines`` has no empty line at its end."""
    for number, line in enumerate(lines.split(b"\r\n"), 1):
        if _FIELD_LINE(line):
            continue
        name = re.match(TOKEN + rb"*", line)
        shown = name[0].decode("ascii") if name else ""
        if line[:1] in (b" ", b"\t"):
            return f"Field line {number} begins with a blank: folded lines are obsolete, send one line."
        if shown and re.match(rb"[ \t]+:", line[len(shown) :]):
            return f"Field {shown!r} (line {number}) has a blank before its colon."
        if shown and line[len(shown) : len(shown) + 1] == b":":
            return f"Field {shown!r} (line {number}) has a control character in its value."
        return f"Field line {number} has no valid name before a colon."
    return "A line does not end with CR LF."
