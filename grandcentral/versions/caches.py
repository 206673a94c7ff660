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


@define
class Flights(Generic[T]):
    """Single flight: who asks for what is being asked already waits for that answer, on a Deferred of his own.

    Cancelling one takes away one waiter; the flight goes on, for its answer is worth keeping.
    """

    _waiting: dict[str, list[Deferred[T]]] = field(factory=dict)
    _flights: dict[str, Deferred[T]] = field(factory=dict)

    def join(self, name: str, start: Callable[[], Deferred[T]]) -> Deferred[T]:
        waiter: Deferred[T] = Deferred(lambda gone: self._leave(gone, name))
        if name in self._waiting:
            self._waiting[name].append(waiter)
        else:
            self._waiting[name] = [waiter]
            flight = start()
            if not flight.called:
                self._flights[name] = flight
            flight.addBoth(self._land, name)
        return waiter

    def _leave(self, gone: Deferred[T], name: str) -> None:
        """Not there any more, if one who was answered just before takes the others with him."""
        waiting = self._waiting.get(name, [])
        if gone in waiting:
            waiting.remove(gone)

    def _land(self, result: T | Failure, name: str) -> None:
        """The list goes first: a waiter who asks again when he is fired starts a new flight."""
        self._flights.pop(name, None)
        for waiter in self._waiting.pop(name):
            if waiter.called:
                continue
            if isinstance(result, Failure):
                waiter.errback(Failure(result.value))
            else:
                waiter.callback(result)

    def cancel(self) -> None:
        """Cancel every flight; those who wait get CancelledError."""
        for flight in list(self._flights.values()):
            flight.cancel()

    def __len__(self) -> int:
        return len(self._waiting)
