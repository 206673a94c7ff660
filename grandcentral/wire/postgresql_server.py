"""The first messages of a PostgreSQL server, until a session is ready: whether it takes clients already, and by which key its
client may cancel what it does. Read along while they are passed on, and never searched for a letter: texts hold any bytes.

Source: PostgreSQL manual, "Frontend/Backend Protocol": "Message Flow" (Start-up) and "Message Formats" (BackendKeyData,
ErrorResponse, ReadyForQuery).
"""

from __future__ import annotations

from attrs import define, field, frozen

from .postgresql import CANNOT_CONNECT_NOW, LONGEST_SECRET

LONGEST_ERROR = 30_000  # bytes; libpq takes a longer one for that of an ancient server

_ERROR, _KEY, _READY = b"EKZ"


@frozen
class SessionKey:
    """What a cancel request has to have to be about this session. Process numbers repeat between servers."""

    process: int
    secret: bytes = field(repr=False)


def not_up(data: bytes) -> bool | None:
    """Of everything that a server has said so far: whether it says no more than that it is not up (57P03), so that it is worth
    asking again. None: that takes more bytes."""
    if not data or data[0] != _ERROR:
        return False if data else None
    size = 1 + int.from_bytes(data[1:5], "big")
    if len(data) >= 5 and size > LONGEST_ERROR:
        return False
    if len(data) < max(size, 5):
        return None
    return b"C" + CANNOT_CONNECT_NOW.encode("ascii") in data[5:size].split(b"\0")


@define(eq=False)
class Greeting:
    """``key`` is there once the server has told it. ``over`` is set when there is nothing more to be learnt."""

    key: SessionKey | None = field(default=None, init=False)
    over: bool = field(default=False, init=False)
    _kept: bytearray = field(factory=bytearray, init=False, repr=False)  # of a message that has to be whole to be understood
    _skip: int = field(default=0, init=False)  # bytes that are left of one that need not be

    def feed(self, data: bytes) -> None:
        """More bytes of the server, none left out."""
        at = 0
        while at < len(data) and not self.over:
            if self._skip:
                step = min(self._skip, len(data) - at)
                self._skip -= step
                at += step
                continue
            wanted = self._wanted()
            self._kept += data[at : at + wanted]
            at += wanted
            if not self._wanted():
                self._message()

    def _wanted(self) -> int:
        """How many bytes are missing of what has to be kept of a message: its head, or all of a key."""
        kept = self._kept
        if len(kept) < 5:
            return 5 - len(kept)
        return 1 + self._size() - len(kept) if kept[0] == _KEY and 12 <= self._size() <= 8 + LONGEST_SECRET else 0

    def _size(self) -> int:
        return int.from_bytes(self._kept[1:5], "big")

    def _message(self) -> None:
        kept, size = self._kept, self._size()
        if size < 4 or kept[0] == _READY:
            self.over = True
        elif len(kept) > 5:
            self.key = SessionKey(int.from_bytes(kept[5:9], "big", signed=True), bytes(kept[9:]))
        else:
            self._skip = size - 4
        kept.clear()
