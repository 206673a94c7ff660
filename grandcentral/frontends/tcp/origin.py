"""The connection to a stack's server."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Self

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IAddress, IProtocolFactory
from zope.interface import implementer

from ...relay.streams import Stream

if TYPE_CHECKING:
    from .client import Client


@implementer(IProtocolFactory)
class OneConnection(Stream):
    """Its own factory: it is made for one connection."""

    noisy = False

    def buildProtocol(self, addr: IAddress | None) -> Self:
        return self

    def doStart(self) -> None:
        """Nothing to do."""

    def doStop(self) -> None:
        """Nothing to do."""


class NotUp(Exception):
    """A server that was connected to does not take clients, or not yet. The message says how that showed."""


class Origin(OneConnection):
    """``first`` is what the server has said until ``accepted`` fires: from then on it is passed on.

    :param is_up: as Speech has it.
    """

    def __init__(self, client: Client, is_up: Callable[[bytes], bool | None]) -> None:
        super().__init__()
        self.client: Client | None = client
        self.first = bytearray()
        self.accepted: Deferred[None] | None = Deferred()
        self._is_up = is_up

    def leave(self) -> None:
        """The client is not served by it any more."""
        self.client = self.accepted = None

    def _decide(self) -> None:
        up = self._is_up(bytes(self.first))
        accepted = self.accepted
        if up is None or accepted is None:
            return
        self.accepted = None
        if up:
            accepted.callback(None)
        else:
            accepted.errback(NotUp("its server says that it cannot take connections yet"))

    # -- what comes -------------------------------------------------------------------------------------------------------

    def makeConnection(self, transport: Any) -> None:
        super().makeConnection(transport)
        if self.client is None:  # it has left while we connected
            self.abort()
        else:
            self._decide()

    def dataReceived(self, data: bytes) -> None:
        if self.accepted is not None:
            self.first += data
            self._decide()
        elif self.client is not None:
            self.client.from_origin(data)

    def readConnectionLost(self) -> None:
        self.ended = True
        self._silent("its server closed the connection without a word")
        if self.client is not None:
            self.client.origin_finished()

    def lost(self, clean: bool) -> None:
        self._silent("its server broke the connection off without a word")
        if self.client is not None:
            self.client.origin_lost(clean)

    def _silent(self, why: str) -> None:
        accepted, self.accepted = self.accepted, None
        if accepted is not None:
            accepted.errback(NotUp(why))

    def room(self, there: bool) -> None:
        if self.client is not None:
            self.client.origin_has_room(there)


class Message(OneConnection):
    """Delivers one message and waits until the server closes. ``over`` fires with None then, whatever became of it."""

    def __init__(self, message: bytes) -> None:
        super().__init__()
        self.over: Deferred[None] = Deferred(lambda _: self.abort())
        self._message = message

    def makeConnection(self, transport: Any) -> None:
        super().makeConnection(transport)
        transport.write(self._message)

    def dataReceived(self, data: bytes) -> None:
        """A server that was asked to cancel something says nothing."""

    def readConnectionLost(self) -> None:
        self.ended = True
        self.close()

    def lost(self, clean: bool) -> None:
        if not self.over.called:
            self.over.callback(None)
