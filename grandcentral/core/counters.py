"""What is counted, as values that can be added: every worker counts for itself, and the gateway shows the sum.

Counting is an increment; all that costs time (sums, labels, text) is done when somebody asks.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Mapping
from itertools import zip_longest
from typing import Any

from attrs import asdict, define, field

from .lifecycle import Event, State
from .tickets import Ticket

SECONDS = (0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 20.0, 30.0, 60.0, 120.0, 300.0, 600.0)  # a warm resume to a long pull

METHODS = frozenset((b"GET", b"HEAD", b"POST", b"PUT", b"PATCH", b"DELETE", b"OPTIONS", b"TRACE", b"CONNECT"))
OTHER = b"other"  # a client can invent methods without end

_ENDING = (State.STOPPING, State.STOPPING_WANTED, State.FAILING)

# Why a stack is stopped, by the news that stopped it.
_REASONS: Mapping[Event, str] = {
    Event.SAVED: "idle",
    Event.PAUSE_FAILED: "idle",
    Event.STOP_ASKED: "asked",
    Event.FORCE_ASKED: "asked",
    Event.VANISHED: "vanished",
    Event.RESUME_FAILED: "vanished",
    Event.FOUND_BROKEN: "vanished",
    Event.LAUNCH_FAILED: "failed",
    Event.DEADLINE: "failed",
}
REASONS = tuple(dict.fromkeys(_REASONS.values()))


@define
class Histogram:
    """How many values were at most each of SECONDS and above the one before; the last count is of those above all."""

    counts: list[int] = field(factory=lambda: [0] * (len(SECONDS) + 1))
    total: float = 0.0

    def observe(self, seconds: float) -> None:
        self.counts[bisect_left(SECONDS, seconds)] += 1
        self.total += seconds

    def __add__(self, other: Histogram) -> Histogram:
        counts = [one + two for one, two in zip_longest(self.counts, other.counts, fillvalue=0)]
        return Histogram(counts, self.total + other.total)


@define
class HttpCounters:
    """Of one HTTP front door. ``answers`` is status and method of every answer that was begun to be given."""

    answers: dict[tuple[bytes, int], int] = field(factory=dict)
    held: Histogram = field(factory=Histogram)  # how long requests waited for their stack
    connections: int = 0  # open now
    turned_away: int = 0  # connections beyond a limit
    unlogged: int = 0  # lines that the access log had no room for

    def count(self, method: bytes, status: int) -> None:
        """One more answer. The hot path increments ``answers`` itself, and comes here when there is no entry yet."""
        kind = (method if method in METHODS else OTHER, status)
        self.answers[kind] = self.answers.get(kind, 0) + 1

    def __add__(self, other: HttpCounters) -> HttpCounters:
        answers = dict(self.answers)
        for kind, count in other.answers.items():
            answers[kind] = answers.get(kind, 0) + count
        return HttpCounters(
            answers,
            self.held + other.held,
            self.connections + other.connections,
            self.turned_away + other.turned_away,
            self.unlogged + other.unlogged,
        )

    def plain(self) -> dict[str, Any]:
        """As JSON can carry it from a worker to the gateway; ``of`` reads it."""
        answers = [(method.decode("ascii"), status, count) for (method, status), count in self.answers.items()]
        return {**asdict(self), "answers": answers}

    @classmethod
    def of(cls, plain: Mapping[str, Any]) -> HttpCounters:
        """The inverse of ``plain``, which may be of another version: what it does not have is zero, what is new is left out."""
        known = {name: plain[name] for name in ("connections", "turned_away", "unlogged") if name in plain}
        answers = {(method.encode("ascii"), status): count for method, status, count in plain["answers"]}
        return cls(answers, Histogram(**plain["held"]), **known)


@define
class StackCounters:
    """Of one stack table."""

    starts: dict[str, Histogram] = field(factory=lambda: {"ready": Histogram(), "failed": Histogram()})
    stops: dict[str, int] = field(factory=lambda: dict.fromkeys(REASONS, 0))
    bytes_in: int = 0  # of tickets that are no longer used
    bytes_out: int = 0

    def started(self, failure: str | None, seconds: float) -> None:
        self.starts["ready" if failure is None else "failed"].observe(seconds)

    def moved(self, before: State, after: State, news: Event) -> None:
        if after in _ENDING and before not in _ENDING:
            self.stops["asked" if before is State.CLOSING else _REASONS[news]] += 1

    def retire(self, ticket: Ticket | None) -> None:
        """A ticket that nobody will use any more: keep what it counted."""
        if ticket is not None:
            self.bytes_in += ticket.bytes_in
            self.bytes_out += ticket.bytes_out

    def traffic(self, tickets: Iterable[Ticket]) -> tuple[int, int]:
        """Bytes from clients to stacks, and back, ever. ``tickets`` are those in use."""
        used = tuple(tickets)
        return (
            self.bytes_in + sum(ticket.bytes_in for ticket in used),
            self.bytes_out + sum(ticket.bytes_out for ticket in used),
        )
