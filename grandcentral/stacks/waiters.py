"""Those who wait: one Deferred, one deadline and one canceller for each, and a bound on how many there may be."""

from __future__ import annotations

from collections.abc import Callable

from attrs import define, field
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IDelayedCall, IReactorTime

from ..core.tickets import Ticket
from ..errors import Refusal, TooManyWaiting


@define
class Room:
    """How many may wait in all; shared by every :class:`Waiters` of a table."""

    limit: int
    taken: int = 0


@define(eq=False)
class _Place:
    """One who waits. ``home`` is where he sits now: a look-up at first, then the stack it led to."""

    home: Waiters
    deferred: Deferred[Ticket] = field(init=False)
    deadline: IDelayedCall = field(init=False)

    def leave(self, _: object = None) -> None:
        self.home._drop(self)


@define(eq=False)
class Waiters:
    """The held requests of one key.

    Firing swaps the list before anybody is called: a callback that comes back at once to wait again finds a new list. A
    caller's ``cancel()`` takes away his own place only; nobody else notices, least of all the start they wait for.
    """

    _clock: IReactorTime
    _limit: int
    _room: Room
    _places: dict[_Place, None] = field(factory=dict, init=False)  # ordered, and a place leaves in O(1)

    def __len__(self) -> int:
        return len(self._places)

    def add(self, timeout: float, expired: Callable[[], Refusal]) -> Deferred[Ticket]:
        """A place. It fires or fails with all the others, or fails with ``expired()`` after ``timeout`` seconds.

        Raises TooManyWaiting when this key, or the gateway, holds as many as it may.
        """
        for taken, limit in ((len(self._places), self._limit), (self._room.taken, self._room.limit)):
            if taken >= limit:
                raise TooManyWaiting(limit, retry_after=5)
        place = _Place(self)
        place.deferred = Deferred(place.leave)
        place.deadline = self._clock.callLater(timeout, self._expire, place, expired)
        self._places[place] = None
        self._room.taken += 1
        return place.deferred

    def take_over(self, others: Waiters) -> None:
        """Seat those who waited elsewhere, deadlines and all; each had a place, so no bound applies."""
        for place in others._places:
            place.home = self
        self._places.update(others._places)
        others._places = {}

    def fire(self, ticket: Ticket) -> None:
        """Let everybody go, in the order in which they came."""
        for place in self._empty():
            if not place.deferred.called:  # one of the others may have cancelled it just now
                place.deferred.callback(ticket)

    def fail(self, refusal: Refusal) -> None:
        """Tell everybody why not."""
        for place in self._empty():
            if not place.deferred.called:
                place.deferred.errback(refusal)

    def _empty(self) -> list[_Place]:
        places, self._places = list(self._places), {}
        self._room.taken -= len(places)
        for place in places:
            place.deadline.cancel()
        return places

    def _drop(self, place: _Place) -> None:
        if place in self._places:
            del self._places[place]
            self._room.taken -= 1
            if place.deadline.active():
                place.deadline.cancel()

    def _expire(self, place: _Place, expired: Callable[[], Refusal]) -> None:
        place.leave()
        place.deferred.errback(expired())
