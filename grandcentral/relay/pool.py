"""Idle upstream connections, kept for the next request to the same endpoint.

The pool opens nothing itself, starts no timer, and knows nothing of protocols: it is given connections that are idle, and hands
out the one that was used last, which is the least likely to have been closed by the other side meanwhile.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Generic, Protocol, TypeVar

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IProtocol, IProtocolFactory

from ..core.model import Endpoint

Connect = Callable[[Endpoint, IProtocolFactory], "Deferred[IProtocol]"]
"""Opens a connection: fires with the factory's protocol once it is connected, fails otherwise, can be cancelled."""


class Pooled(Protocol):
    """What the pool asks of a connection."""

    idle_since: float  # monotonic seconds; written by the pool

    def close(self) -> None:
        """Close it. It may tell the pool so by ``discard``."""


C = TypeVar("C", bound=Pooled)


class Shelf(Generic[C]):
    """The idle connections to one endpoint, oldest first; ``open`` until the endpoint is forgotten."""

    __slots__ = ("idle", "open")

    def __init__(self) -> None:
        self.idle: list[C] = []
        self.open = True


class Pool(Generic[C]):
    """:param limit: how many idle connections are kept for one endpoint.
    :param idle: for how many seconds; keep it below the shortest keep-alive time of the origins (Node: 5 s).
    """

    def __init__(self, limit: int = 128, idle: float = 4.0) -> None:
        self._limit = limit
        self._idle = idle
        self._shelves: dict[Endpoint, Shelf[C]] = {}

    def shelf(self, endpoint: Endpoint) -> Shelf[C]:
        """The place for connections to this endpoint; a connection goes back to the shelf that it was opened for."""
        shelf = self._shelves.get(endpoint)
        if shelf is None:
            shelf = self._shelves[endpoint] = Shelf()
        return shelf

    def give(self, shelf: Shelf[C], connection: C, now: float) -> None:
        """Take back a connection that is ready for another request; closes it if there is no use for it."""
        if shelf.open and len(shelf.idle) < self._limit:
            connection.idle_since = now
            shelf.idle.append(connection)
        else:
            connection.close()

    def discard(self, shelf: Shelf[C], connection: C) -> None:
        """An idle connection has gone. Nothing happens for one that is not in the pool."""
        if connection in shelf.idle:
            shelf.idle.remove(connection)

    def forget(self, endpoint: Endpoint) -> None:
        """Close what is idle and take back nothing that is busy: what listened there has stopped. Idempotent."""
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
        idle, shelf.idle = shelf.idle, []
        for connection in idle:
            connection.close()
