"""Upstream connections to share: idle ones, kept for the next request to the same endpoint, and the right to open new ones.

The pool opens nothing itself and knows nothing of protocols: it is given connections that are idle, and hands out the one that
was used last, which is the least likely to have been closed by the other side meanwhile.

A burst of new connections can overflow the queue in which the kernel keeps them until an application accepts them (busybox's
httpd asks for 9), and what does not fit there hangs for seconds, or for good. So only a few are opened at a time, until each
has proved by its first byte that somebody is there; whoever comes meanwhile stands in line for the next connection, new or
idle. Worker processes do not know of each other's: each has its share of UNPROVEN, and one at least.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Generic, Protocol, TypeVar

from attrs import define
from twisted.internet.defer import Deferred, fail
from twisted.internet.interfaces import IDelayedCall, IProtocol, IProtocolFactory, IReactorTime

from ..core.model import Endpoint

Connect = Callable[[Endpoint, IProtocolFactory], "Deferred[IProtocol]"]
"""Opens a connection: fires with the factory's protocol once it is connected, fails otherwise, can be cancelled."""

UNPROVEN = 8  # connections opened to one endpoint, from which nothing has come yet
PATIENCE = 0.1  # seconds after which one of them no longer counts: the application has accepted it, and is slow
TURN = 0.005  # seconds that the line waits for a connection to become idle before it opens more: often that is sooner done


class Gone(Exception):
    """The endpoint was forgotten while somebody stood in line for a connection to it."""


class Pooled(Protocol):
    """What the pool asks of a connection."""

    idle_since: float  # monotonic seconds; written by the pool

    def close(self) -> None:
        """Close it. It may tell the pool so by ``discard``."""


C = TypeVar("C", bound=Pooled)


@define(eq=False)
class Opening:
    """Leave to open a connection; it counts until the connection has proved itself. ``since``: monotonic seconds."""

    since: float


@define(eq=False)
class Place(Generic[C]):
    """Somebody's place in the line."""

    called: Deferred[C | Opening]
    takes_used: bool


class Shelf(Generic[C]):
    """The connections to one endpoint: ``idle``, oldest first; ``open`` until the endpoint is forgotten."""

    __slots__ = ("calling", "idle", "line", "open", "openings", "timer")

    def __init__(self) -> None:
        self.idle: list[C] = []
        self.open = True
        self.openings: dict[Opening, None] = {}  # in the order in which they began
        self.line: deque[Place[C]] = deque()
        self.calling = False  # somebody in line is just being called
        self.timer: IDelayedCall | None = None  # while somebody stands in line


class Pool(Generic[C]):
    """:param clock: monotonic ``seconds()``, and timers while somebody stands in line.
    :param limit: how many idle connections are kept for one endpoint.
    :param idle: for how many seconds; keep it below the shortest keep-alive time of the origins (Node: 5 s).
    :param unproven: how many connections to one endpoint are opened at a time.
    """

    def __init__(self, clock: IReactorTime, limit: int = 128, idle: float = 4.0, unproven: int = UNPROVEN) -> None:
        self._clock = clock
        self._limit = limit
        self._idle = idle
        self._unproven = unproven
        self._shelves: dict[Endpoint, Shelf[C]] = {}

    def shelf(self, endpoint: Endpoint) -> Shelf[C]:
        """The place for connections to this endpoint; a connection goes back to the shelf that it was opened for."""
        shelf = self._shelves.get(endpoint)
        if shelf is None:
            shelf = self._shelves[endpoint] = Shelf()
        return shelf

    # -- idle connections ------------------------------------------------------------------------------------------------

    def give(self, shelf: Shelf[C], connection: C, now: float) -> None:
        """Take back a connection that is ready for another request; closes it if there is no use for it."""
        if shelf.line:
            place = next((place for place in shelf.line if place.takes_used), None)
            if place is not None:
                shelf.line.remove(place)
                place.called.callback(connection)
                return
        if shelf.open and len(shelf.idle) < self._limit:
            connection.idle_since = now
            shelf.idle.append(connection)
        else:
            connection.close()

    def discard(self, shelf: Shelf[C], connection: C) -> None:
        """An idle connection has gone. Nothing happens for one that is not in the pool."""
        if connection in shelf.idle:
            shelf.idle.remove(connection)

    # -- new connections -------------------------------------------------------------------------------------------------

    def opening(self, shelf: Shelf[C]) -> Opening | None:
        """Leave to open a connection at once, or None: then there is a line. Say ``proved`` or ``ended`` of it in the end."""
        now = self._clock.seconds()
        return None if shelf.line or not self._room(shelf, now) else self._leave(shelf, now)

    def stand_in_line(self, shelf: Shelf[C], takes_used: bool) -> Deferred[C | Opening]:
        """Wait for a connection.

        :param takes_used: whether one that was used before will do.
        :return: fires with a connection that has become idle, or with leave to open a new one. Fails with Gone when the
            endpoint is forgotten. Cancel it to leave the line.
        """
        if not shelf.open:
            return fail(Gone())
        place: Place[C] = Place(Deferred(lambda _: shelf.line.remove(place)), takes_used)
        shelf.line.append(place)
        if shelf.timer is None:
            shelf.timer = self._clock.callLater(TURN, self._turn, shelf)
        return place.called

    def proved(self, shelf: Shelf[C], opening: Opening) -> None:
        """Something has come from a new connection."""
        shelf.openings.pop(opening, None)

    def ended(self, shelf: Shelf[C], opening: Opening | None) -> None:
        """A connection, or an attempt to open one, is at an end; ``opening`` if it had not proved itself."""
        if opening is not None:
            shelf.openings.pop(opening, None)
        if shelf.line:
            self._call(shelf)

    def _room(self, shelf: Shelf[C], now: float) -> bool:
        openings = shelf.openings
        while openings and next(iter(openings)).since <= now - PATIENCE:
            del openings[next(iter(openings))]
        return len(openings) < self._unproven

    @staticmethod
    def _leave(shelf: Shelf[C], now: float) -> Opening:
        opening = Opening(now)
        shelf.openings[opening] = None
        return opening

    def _call(self, shelf: Shelf[C]) -> None:
        """Let open connections who stand first in line. In a loop: a connection that is refused at once comes back here."""
        if shelf.calling:
            return
        shelf.calling = True
        now = self._clock.seconds()
        while shelf.line and self._room(shelf, now):
            shelf.line.popleft().called.callback(self._leave(shelf, now))
        shelf.calling = False

    def _turn(self, shelf: Shelf[C]) -> None:
        self._call(shelf)
        shelf.timer = self._clock.callLater(TURN, self._turn, shelf) if shelf.line else None

    # -- the end of an endpoint ------------------------------------------------------------------------------------------

    def forget(self, endpoint: Endpoint) -> None:
        """What listened there has stopped: close what is idle, take nothing back, send the line away. Idempotent."""
        shelf = self._shelves.pop(endpoint, None)
        if shelf is not None:
            self._close(shelf)

    def close(self) -> None:
        """Forget every endpoint."""
        for endpoint in list(self._shelves):
            self.forget(endpoint)

    def sweep(self, now: float) -> None:
        """Close what has been idle for too long."""
        oldest = now - self._idle
        for shelf in list(self._shelves.values()):
            fresh = [connection for connection in shelf.idle if connection.idle_since > oldest]
            stale = shelf.idle[: len(shelf.idle) - len(fresh)]
            shelf.idle = fresh
            for connection in stale:
                connection.close()

    @property
    def idle_count(self) -> int:
        """How many connections are idle, in all."""
        return sum(len(shelf.idle) for shelf in self._shelves.values())

    @staticmethod
    def _close(shelf: Shelf[C]) -> None:
        shelf.open = False
        if shelf.timer is not None:
            shelf.timer.cancel()
            shelf.timer = None
        idle, shelf.idle = shelf.idle, []
        for connection in idle:
            connection.close()
        line, shelf.line = shelf.line, deque()
        for place in line:
            place.called.errback(Gone())
