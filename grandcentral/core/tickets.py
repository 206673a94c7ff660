"""Tickets: what a frontend holds while it uses a stack, and all that idleness is judged by."""

from __future__ import annotations

from collections.abc import Mapping
from math import inf

from attrs import define, field

from .keys import Key
from .model import Endpoint


@define(eq=False)
class Ticket:
    """The right to use one generation of a stack, shared by all who use it; counters instead of an object per request.

    A stack is busy while ``in_flight`` or ``streams`` is not zero. Frontends call ``begin`` and ``end`` around each request;
    one that was upgraded (WebSocket, TCP) calls ``stream_opened`` / ``stream_closed`` as well, so that a silent stream can
    be told from a slow answer. A ``quiet`` one keeps nothing awake: it is in flight, but the times stay as they were, and a
    stream of that kind is as good as silent. ``open`` turns false when the stack drains: then it is time to ask the table
    again.
    """

    key: Key
    generation: int
    endpoint: Endpoint
    open: bool = True
    outlived: bool = False  # its stack has been up for long enough: streams are no reason to go on
    in_flight: int = 0
    streams: int = 0
    requests: int = 0
    bytes_in: int = 0  # from clients to the stack
    bytes_out: int = 0
    last_used: float = 0.0  # monotonic seconds: the end (or begin) of the last request
    last_byte: float = -inf  # monotonic seconds: the last byte either way on a stream
    keep_until: float = 0.0  # monotonic seconds: the application asked not to be put to sleep before
    leased: float = -inf  # monotonic seconds: when it did so last
    started: float = -inf  # monotonic seconds: when the start ended that made it, if it was a start of this gateway's
    phases: Mapping[str, float] = field(factory=dict)  # of that start: model.PHASES in seconds

    def begin(self, now: float, quiet: bool = False) -> None:
        self.in_flight += 1
        self.requests += 1
        if not quiet:
            self.last_used = now

    def end(self, now: float, quiet: bool = False) -> None:
        self.in_flight -= 1
        if not quiet:
            self.last_used = now

    def stream_opened(self, now: float, quiet: bool = False) -> None:
        self.streams += 1
        if not quiet:
            self.last_byte = now

    def stream_closed(self, now: float, quiet: bool = False) -> None:
        self.streams -= 1
        if not quiet:
            self.last_used = now

    def lease(self, now: float, seconds: float) -> None:
        """The application wants to be kept awake for so long from now on. What it wanted before does not count any more."""
        self.keep_until, self.leased = now + seconds, now
