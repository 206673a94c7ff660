"""Message bodies (RFC 9112 §6, §7): decoders that are fed bytes as they arrive and know where the body ends.

A decoder has ``feed(data) -> (content, rest)``, ``done``, and ``trailers``. ``rest`` is what lies beyond the end of the body;
it is only ever non-empty when ``done``. BadBody is raised for what is no body; nothing of the call that raised is to be used.
The other way there is ``chunk``.
"""

from __future__ import annotations

import re
from typing import Protocol

from .http1_fields import CHUNKED, LIMITS, LINES, TOKEN, HeadLimits, bad_field, find_marks

CHUNK_LINE = 8 * 1024  # bytes of one chunk-size line with its extensions

# At most 16 digits, the first of which keeps the number within 63 bits; then extensions (RFC 9112 §7.1.1). Single characters
# are repeated possessively, groups are not: until 3.11.5 Python's re forgot to go back when one of those failed half-way. No
# text can be read in two ways, so that costs nothing.
_QUOTED = rb"\"(?:[\t \x21\x23-\x5b\x5d-\x7e\x80-\xff]|\\[\t\x20-\x7e\x80-\xff])*\""
_EXTENSION = rb"[ \t]*+;[ \t]*+T++(?:[ \t]*+=[ \t]*+(?:T++|Q))?".replace(b"T", TOKEN).replace(b"Q", _QUOTED)
_CHUNK_LINE = re.compile(rb"0*+([0-7][0-9A-Fa-f]{15}|[0-9A-Fa-f]{0,15})(?<=[0-9A-Fa-f])(?:" + _EXTENSION + rb")*").fullmatch
_TRAILERS = re.compile(LINES).match


class BadBody(Exception):
    """The framing of a body is broken. ``str()`` says how."""


class Body(Protocol):
    """What all decoders have. ``trailers`` are valid field lines, each with its CR LF, without those that an intermediary
    must not pass on behind a body: framing, routing and connection fields (RFC 9110 §6.5.1)."""

    done: bool
    trailers: bytes

    def feed(self, data: bytes) -> tuple[bytes, bytes]:
        """(content, what lies beyond the body)."""


def body_of(size: int, limits: HeadLimits = LIMITS) -> Body:
    """The decoder for a Head's ``body``: a length that is not zero, CHUNKED or UNTIL_CLOSE."""
    if size >= 0:
        return LengthBody(size)
    return ChunkedBody(limits) if size == CHUNKED else CloseBody()


def chunk(data: bytes, last: bool, trailers: bytes) -> bytes:
    """``data`` as one chunk (RFC 9112 §7.1), followed by the end of the body if it is the last; no data is no chunk."""
    if data:
        if last:
            return b"%x\r\n%b\r\n0\r\n%b\r\n" % (len(data), data, trailers)
        return b"%x\r\n%b\r\n" % (len(data), data)
    return b"0\r\n%b\r\n" % trailers if last else b""


class LengthBody:
    """A body of a known number of bytes, which is ``left``."""

    __slots__ = ("done", "left", "trailers")

    def __init__(self, length: int) -> None:
        self.left = length
        self.done = length == 0
        self.trailers = b""

    def feed(self, data: bytes) -> tuple[bytes, bytes]:
        left = self.left = self.left - len(data)
        if left > 0:
            return data, b""
        self.done = True
        self.left = 0
        return (data[:left], data[left:]) if left else (data, b"")


class CloseBody:
    """A body that ends with its connection: whoever sees the end of that sets ``done``."""

    __slots__ = ("done", "trailers")

    def __init__(self) -> None:
        self.done = False
        self.trailers = b""

    def feed(self, data: bytes) -> tuple[bytes, bytes]:
        return data, b""


class ChunkedBody:
    """A body in chunks. Extensions are dropped, as they mean something to the next hop only (RFC 9112 §7.1.1)."""

    __slots__ = ("_at_end", "_behind", "_left", "_limits", "_partial", "_seen", "done", "trailers")

    def __init__(self, limits: HeadLimits = LIMITS) -> None:
        self.done = False
        self.trailers = b""
        self._limits = limits
        self._left = 0  # content bytes of the current chunk still to come
        self._behind = False  # the CR LF behind a chunk's content is due
        self._at_end = False  # the last chunk was seen: trailers
        self._partial = bytearray()  # of a line, or of the trailers
        self._seen = 0  # of _partial, what has been searched

    def feed(self, data: bytes) -> tuple[bytes, bytes]:
        parts: list[bytes] = []
        at = 0
        size = len(data)
        while at < size:
            if self._left:
                part = data[at : at + self._left]
                at += len(part)
                self._left -= len(part)
                self._behind = not self._left
                parts.append(part)
            elif self._at_end:
                return b"".join(parts), self._end(data[at:])
            else:
                at = self._line(data, at)
        return parts[0] if len(parts) == 1 else b"".join(parts), b""

    def _line(self, data: bytes, at: int) -> int:
        """Read the line at ``at``, or what there is of it; returns where to go on."""
        end = data.find(b"\n", at)
        if end < 0:
            self._partial += data[at:]
            if len(self._partial) > CHUNK_LINE:
                raise BadBody(f"A chunk-size line is longer than {CHUNK_LINE} bytes.")
            if self._behind and not b"\r\n".startswith(self._partial):
                raise BadBody("A chunk is longer than it says.")
            if self._partial.find(b"\r", 0, -1) >= 0:
                raise BadBody("A chunk-size line has a bare CR.")
            return len(data)
        line = data[at : end + 1]
        if self._partial:
            line = bytes(self._partial) + line
            self._partial.clear()
        if self._behind:
            if line != b"\r\n":
                raise BadBody("A chunk is longer than it says.")
            self._behind = False
            return end + 1
        if len(line) > CHUNK_LINE:
            raise BadBody(f"A chunk-size line is longer than {CHUNK_LINE} bytes.")
        match = _CHUNK_LINE(line[:-2]) if line[-2:] == b"\r\n" else None
        if match is None:
            raise BadBody("A chunk-size line is not one.")
        self._left = int(match[1] or b"0", 16)
        self._at_end = not self._left
        return end + 1

    def _end(self, data: bytes) -> bytes:
        """Read trailers up to the empty line; returns what lies beyond."""
        held = self._partial
        before = len(held)
        held += data
        if held.startswith(b"\r\n"):
            end = 2
        else:
            end = held.find(b"\r\n\r\n", max(0, before - 3)) + 4
            if end == 3:
                if len(held) > self._limits.head:
                    raise BadBody(f"The trailers are larger than {self._limits.head} bytes.")
                return b""
        block = bytes(held[:end])
        match = _TRAILERS(block)
        if match is None or match.end() != end:
            raise BadBody(f"The trailers are not fields. {bad_field(block[:-4])}")
        if end > self._limits.head or block.count(b"\n") - 1 > self._limits.fields:
            raise BadBody("There are too many trailers.")
        self.trailers = _without_marked(block[:-2])
        self.done = True
        return data[end - before :]


def _without_marked(lines: bytes) -> bytes:
    """Field lines without those that mean something to an intermediary."""
    kept = []
    at = 0
    for mark in find_marks(lines):
        kept.append(lines[at : mark.start(1) - 1])
        at = mark.end()
    kept.append(lines[at:])
    return b"".join(kept)
