"""What is counted, as values that can be added: every worker counts for itself, and the gateway shows the sum.

Counting is an increment; all that costs time (sums, labels, text) is done when somebody asks.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Mapping
from typing import Any, TypeVar

from attrs import Factory, define, evolve, field

from .lifecycle import Event, State
from .tickets import Ticket

SECONDS = (0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 20.0, 30.0, 60.0, 120.0, 300.0, 600.0)  # of starts: a restart to a long pull
FINE = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)  # of requests, and of thawing

K = TypeVar("K")

METHODS = frozenset((b"GET", b"HEAD", b"POST", b"PUT", b"PATCH", b"DELETE", b"OPTIONS", b"TRACE", b"CONNECT"))
OTHER = b"other"  # a client can invent methods without end

_ENDING = (State.STOPPING, State.STOPPING_WANTED, State.FAILING)

REASONS = ("idle", "room", "memory", "disk", "age", "operator")
"""Why a stack is put to sleep, or deeper: nobody used it, another needed its slot, there was too little memory or disk, it had
been up for too long, or an operator wanted it."""

# Why it stops if nobody has chosen that, by the news that ended it.
_ENDINGS: Mapping[Event, str] = {
    Event.STOP_ASKED: "operator",
    Event.FORCE_ASKED: "operator",
    Event.VANISHED: "vanished",
    Event.RESUME_FAILED: "vanished",
    Event.FOUND_BROKEN: "vanished",
    Event.LAUNCH_FAILED: "failed",
    Event.DEADLINE: "failed",
}
ENDINGS = tuple(dict.fromkeys((*REASONS, *_ENDINGS.values())))

DEPTHS = ("cold", "stopped", "paused")
"""What a stack may be woken from."""


@define
class Histogram:
    """How many values were at most each of ``bounds`` and above the one before; the last count is of those above all."""

    bounds: tuple[float, ...] = SECONDS
    counts: list[int] = field(default=Factory(lambda self: [0] * (len(self.bounds) + 1), takes_self=True))
    total: float = 0.0

    def observe(self, seconds: float) -> None:
        self.counts[bisect_left(self.bounds, seconds)] += 1
        self.total += seconds

    def __add__(self, other: Histogram) -> Histogram:
        """Of two with the same bounds."""
        return Histogram(
            self.bounds, [one + two for one, two in zip(self.counts, other.counts, strict=True)], self.total + other.total
        )

    def plain(self) -> tuple[list[int], float]:
        return self.counts, self.total

    def filled(self, plain: Any) -> Histogram:
        """This one, with what ``plain`` of another has counted. One of other bounds, of another version, counts for nothing."""
        counts, total = plain if plain else ((), 0.0)
        return Histogram(self.bounds, list(counts), total) if len(counts) == len(self.counts) else self


@define
class TcpCounters:
    """Of the front doors of apps' own ports."""

    connections: dict[str, int] = field(factory=dict)  # open now, by protocol
    refusals: dict[tuple[str, str], int] = field(factory=dict)  # by protocol, and by the type of the problem

    def refused(self, protocol: str, problem: str) -> None:
        """One more client was told why it gets no stack."""
        self.refusals[protocol, problem] = self.refusals.get((protocol, problem), 0) + 1

    def __add__(self, other: TcpCounters) -> TcpCounters:
        return TcpCounters(_sums(self.connections, other.connections), _sums(self.refusals, other.refusals))

    def plain(self) -> tuple[dict[str, int], list[tuple[str, str, int]]]:
        return self.connections, [(*kind, count) for kind, count in self.refusals.items()]

    @classmethod
    def of(cls, plain: Any) -> TcpCounters:
        """The inverse of ``plain``; None is what an earlier version has counted."""
        connections, refusals = plain if plain else ({}, ())
        return cls(connections, {(protocol, problem): count for protocol, problem, count in refusals})


@define
class HttpCounters:
    """Of the HTTP front door, and beside it ``tcp``. ``answers`` is status and method of every answer that was begun to be
    given."""

    answers: dict[tuple[bytes, int], int] = field(factory=dict)
    held: Histogram = field(factory=Histogram)  # how long requests waited for their stack
    served: Histogram = field(factory=lambda: Histogram(FINE))  # from there to the end of the application's answer
    refusals: dict[str, int] = field(factory=dict)  # answers that were our own, by the type of the problem
    connections: int = 0  # open now
    turned_away: int = 0  # connections beyond a limit
    unlogged: int = 0  # lines that the access log had no room for
    tcp: TcpCounters = field(factory=TcpCounters)

    def ended(self) -> HttpCounters:
        """What is left of it when its process has ended: everything but what was open."""
        return evolve(self, connections=0, tcp=evolve(self.tcp, connections={}))

    def count(self, method: bytes, status: int) -> None:
        """One more answer. The hot path increments ``answers`` itself, and comes here when there is no entry yet."""
        kind = (method if method in METHODS else OTHER, status)
        self.answers[kind] = self.answers.get(kind, 0) + 1

    def refused(self, problem: str) -> None:
        """One more answer of our own."""
        self.refusals[problem] = self.refusals.get(problem, 0) + 1

    def __add__(self, other: HttpCounters) -> HttpCounters:
        return HttpCounters(
            _sums(self.answers, other.answers),
            self.held + other.held,
            self.served + other.served,
            _sums(self.refusals, other.refusals),
            self.connections + other.connections,
            self.turned_away + other.turned_away,
            self.unlogged + other.unlogged,
            self.tcp + other.tcp,
        )

    def plain(self) -> dict[str, Any]:
        """As JSON can carry it from a worker to the gateway; ``of`` reads it."""
        answers = [(method.decode("ascii"), status, count) for (method, status), count in self.answers.items()]
        plain = {name: getattr(self, name) for name in _PLAIN}
        histograms = {"held": self.held.plain(), "served": self.served.plain()}
        return {**plain, **histograms, "answers": answers, "tcp": self.tcp.plain()}

    @classmethod
    def of(cls, plain: Mapping[str, Any]) -> HttpCounters:
        """The inverse of ``plain``, which may be of another version: what it does not have is zero, what is new is left out."""
        known = {name: plain[name] for name in _PLAIN if name in plain}
        answers = {(method.encode("ascii"), status): count for method, status, count in plain["answers"]}
        none = cls()
        held, served = none.held.filled(plain.get("held")), none.served.filled(plain.get("served"))
        return cls(answers, held, served, **known, tcp=TcpCounters.of(plain.get("tcp")))


_PLAIN = ("refusals", "connections", "turned_away", "unlogged")


def _sums(one: Mapping[K, int], other: Mapping[K, int]) -> dict[K, int]:
    return {kind: one.get(kind, 0) + other.get(kind, 0) for kind in {**one, **other}}


@define
class StackCounters:
    """Of one stack table."""

    starts: dict[tuple[str, str], Histogram] = field(factory=dict)  # by depth, and "ready" or "failed"
    phases: dict[tuple[str, str], Histogram] = field(factory=dict)  # of starts that went well, by depth and phase
    pauses: dict[str, int] = field(factory=lambda: dict.fromkeys(REASONS, 0))
    stops: dict[str, int] = field(factory=lambda: dict.fromkeys(ENDINGS, 0))
    removals: dict[str, int] = field(factory=lambda: dict.fromkeys(REASONS, 0))
    unsaved: int = 0  # before_stop commands that failed
    bytes_in: int = 0  # of tickets that are no longer used
    bytes_out: int = 0

    def started(self, depth: str, failure: str | None, seconds: float, phases: Mapping[str, float]) -> None:
        """A start has ended, which began from one of DEPTHS."""
        bounds = FINE if depth == "paused" else SECONDS
        self.starts.setdefault((depth, "ready" if failure is None else "failed"), Histogram(bounds)).observe(seconds)
        if failure is None:
            for phase, took in phases.items():
                self.phases.setdefault((depth, phase), Histogram()).observe(took)

    def moved(self, before: State, after: State, news: Event, why: str) -> None:
        """A stack has gone from one state to another. ``why``: one of REASONS, if somebody has chosen that."""
        if news is Event.SAVE_FAILED:
            self.unsaved += 1
        elif after in _ENDING and before not in _ENDING:
            self.stops[_ENDINGS.get(news) or ("operator" if before is State.CLOSING else why)] += 1
        elif after is State.PAUSED and news is Event.DRAINED:
            self.pauses[why] += 1
        elif after is State.REMOVING and before is State.COLD:
            self.removals[why] += 1

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
