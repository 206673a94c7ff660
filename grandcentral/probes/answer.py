"""What a probe makes of the bytes it gets back: the status of an HTTP/1 answer, and nothing else of it."""

from __future__ import annotations

import re

LONGEST_HEAD = 65536  # bytes of interim (1xx) answers and status line that are listened to

# RFC 9112, section 4. The reason may be empty, and many servers leave out the space before it too.
_STATUS_LINE = re.compile(rb"HTTP/1\.[0-9] ([1-9][0-9]{2})(?: [^\r\n\0]*)?\r?\n")
_HEAD_END = re.compile(rb"\r?\n\r?\n")
_SHORTEST = b"HTTP/1."


class NotHTTP(ValueError):
    """These bytes are not the beginning of an HTTP/1 answer, and more of them won't change that."""


def status_of(received: bytes) -> int | None:
    """The final status in what was received so far; None if it needs more. Raises NotHTTP.

    Interim answers (RFC 9110, section 15.2) are skipped. 101 is none: nobody asked for another protocol.
    """
    at = 0
    while True:
        line = _STATUS_LINE.match(received, at)
        if line is None:
            if b"\n" in received[at:] or not received[at : at + len(_SHORTEST)] == _SHORTEST[: len(received) - at]:
                raise NotHTTP(received[at : at + 40])
            if len(received) > LONGEST_HEAD:
                raise NotHTTP(received[at : at + 40])
            return None
        status = int(line[1])
        if status == 101:
            raise NotHTTP(line[0].rstrip())
        if status >= 200:
            return status
        end = _HEAD_END.search(received, line.end() - 2)
        if end is None:
            if len(received) > LONGEST_HEAD:
                raise NotHTTP(line[0].rstrip())
            return None
        at = end.end()
