"""Remembering answers for a while, and asking once for many: both bounded, for names come from whoever types them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Generic, TypeVar

from attrs import define, field, frozen
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.python.failure import Failure

T = TypeVar("T")


@frozen
class _Entry(Generic[T]):
    value: T
    until: float


@define
class Cache(Generic[T]):
    """At most ``size`` values; the one set longest ago goes first. ``clock`` counts the seconds."""

    clock: IReactorTime
    size: int
    _entries: dict[str, _Entry[T]] = field(factory=dict)

    def fresh(self, name: str) -> T | None:
        entry = self._entries.get(name)
        return entry.value if entry is not None and self.clock.seconds() < entry.until else None

    def last(self, name: str) -> T | None:
        """The last value, fresh or not."""
        entry = self._entries.get(name)
        return None if entry is None else entry.value

    def set(self, name: str, value: T, seconds: float) -> None:
        self.forget(name)
        while len(self._entries) >= self.size:
            del self._entries[next(iter(self._entries))]
        self._entries[name] = _Entry(value, self.clock.seconds() + seconds)

    def forget(self, name: str) -> None:
        self._entries.pop(name, None)

    def forget_where(self, gone: Callable[[str], bool]) -> None:
        for name in [name for name in self._entries if gone(name)]:
            del self._entries[name]

    def __len__(self) -> int:
        return len(self._entries)


@define(eq=False)
class _Flight(Generic[T]):
    waiting: list[Deferred[T]] = field(factory=list)
    answer: Deferred[T] | None = None


@define
class Flights(Generic[T]):
    """Single flight: who asks for what is being asked already waits for that answer, on a Deferred of his own.

    Cancelling one takes away one waiter; the flight goes on, for its answer is worth keeping.
    """

    _flying: set[_Flight[T]] = field(factory=set)
    _open: dict[str, _Flight[T]] = field(factory=dict)  # those of them that can be joined

    def join(self, name: str, start: Callable[[], Deferred[T]]) -> Deferred[T]:
        flight = self._open.get(name)
        if flight is not None:
            return self._board(flight)
        flight = self._open[name] = _Flight()
        self._flying.add(flight)
        waiter = self._board(flight)
        flight.answer = start()
        flight.answer.addBoth(self._land, flight, name)
        return waiter

    def _board(self, flight: _Flight[T]) -> Deferred[T]:
        """He may leave; he is not there any more if one who was answered just before takes the others with him."""
        waiter: Deferred[T] = Deferred(lambda gone: flight.waiting.remove(gone) if gone in flight.waiting else None)
        flight.waiting.append(waiter)
        return waiter

    def _land(self, result: T | Failure, flight: _Flight[T], name: str) -> None:
        """The list goes first: a waiter who asks again when he is fired starts a new flight."""
        self._flying.discard(flight)
        if self._open.get(name) is flight:
            del self._open[name]
        waiting, flight.waiting = flight.waiting, []
        for waiter in waiting:
            if waiter.called:
                continue
            if isinstance(result, Failure):
                waiter.errback(Failure(result.value))
            else:
                waiter.callback(result)

    def shut(self, where: Callable[[str], bool]) -> None:
        """Who asks for one of these from now on starts a new flight: what the one under way brings home is out of date."""
        for name in [name for name in self._open if where(name)]:
            del self._open[name]

    def cancel(self) -> None:
        """Cancel every flight; those who wait get CancelledError."""
        for flight in list(self._flying):
            if flight.answer is not None:
                flight.answer.cancel()

    def __len__(self) -> int:
        return len(self._flying)
