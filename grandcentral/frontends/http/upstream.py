"""The connection to an application: reads answers, and knows whether it can be used for another request."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from twisted.internet.error import ConnectionDone
from twisted.internet.interfaces import IAddress, IHalfCloseableProtocol, IProtocol, IProtocolFactory, IPushProducer
from twisted.python.failure import Failure
from zope.interface import implementer

from ...relay.pool import Opening, Shelf
from ...relay.transports import close, set_up
from ...wire.http1_bodies import BadBody, Body, body_of
from ...wire.http1_fields import UNTIL_CLOSE, NeedMore
from ...wire.http1_response import ResponseHead, parse_response_head

if TYPE_CHECKING:
    from .exchange import Exchange
    from .frontend import HttpFrontend

_INTERIM = 64  # interim answers (1xx) to one request; more is no application that means well


@implementer(IProtocol, IHalfCloseableProtocol, IPushProducer)
class UpstreamConnection:
    """One exchange at a time. ``used`` is true once it has answered: only then can it have gone stale in the pool."""

    __slots__ = (
        *("__weakref__", "_body", "_buffer", "_front", "_interim", "_last", "_lost", "_paused", "_reusable", "_seen"),
        *("_until_close", "blocked", "exchange", "factory", "idle_since", "opening", "shelf", "transport", "used"),
    )

    def __init__(self, front: HttpFrontend) -> None:
        self._front = front
        self.transport: Any = None
        self.exchange: Exchange | None = None
        self.shelf: Shelf[UpstreamConnection] | None = None
        self.opening: Opening | None = None  # until something has come from it
        self.idle_since = 0.0
        self.used = False
        self.blocked = False  # its transport takes no more for now
        self._paused = False  # its transport is not read for now
        self._lost = False
        self._body: Body | None = None  # of the answer being read
        self._buffer = bytearray()  # of an answer's head
        self._seen = 0
        self._last: ResponseHead | None = None  # applications repeat themselves: to what was asked often, and to probes
        self._interim = 0
        self._reusable = False
        self._until_close = False  # the answer ends with the connection

    # -- the exchange ----------------------------------------------------------------------------------------------------

    def pause(self, paused: bool) -> None:
        """Stop or go on reading: the client takes no more for now, or takes it again."""
        if paused != self._paused and not self._lost:
            self._paused = paused
            if paused:
                self.transport.pauseProducing()
            else:
                self.transport.resumeProducing()

    def release(self, now: float) -> None:
        """The exchange is over, and all of it was said: keep the connection if it is good for another."""
        self.exchange = None
        if self._reusable and not self._lost and not self.blocked and self.shelf is not None:
            self.used = True
            self._interim = 0
            if self._paused:
                self.pause(False)
            self._front.pool.give(self.shelf, self, now)
        else:
            self.close()

    def abort(self) -> None:
        """Nothing more is wanted of it, and it may know at once."""
        self.exchange = None
        if self.shelf is not None:
            self._front.pool.discard(self.shelf, self)
        if not self._lost:
            self.transport.abortConnection()

    def close(self) -> None:
        if not self._lost:
            close(self.transport)

    # -- IProtocol -------------------------------------------------------------------------------------------------------

    def makeConnection(self, transport: Any) -> None:
        self.transport = transport
        set_up(transport, self)

    def connectionMade(self) -> None:
        """Nothing is said before a request."""

    def dataReceived(self, data: bytes) -> None:
        exchange = self.exchange
        if exchange is None:  # nobody asked (RFC 9112 §9.2: never the answer to what will be asked)
            self.abort()
        elif exchange.tunnel is not None:
            exchange.tunnel.down(data)
        elif self._body is not None:
            self._content(exchange, self._body, data)
        else:
            if self.opening is not None and self.shelf is not None:
                self._front.pool.proved(self.shelf, self.opening)
                self.opening = None
            if self._buffer:
                self._buffer += data
                answer = parse_response_head(self._buffer, exchange.to_head, self._front.settings.limits, self._seen)
            else:
                answer = parse_response_head(data, exchange.to_head, self._front.settings.limits, 0, self._last)
            if isinstance(answer, ResponseHead):
                self._last = None if exchange.to_head else answer
                if self._buffer:
                    data = bytes(self._buffer)
                    self._buffer.clear()
                    self._seen = 0
                self._answer(exchange, answer, data[answer.size :])
            elif isinstance(answer, NeedMore):
                if not self._buffer:
                    self._buffer += data
                self._seen = answer.seen
            else:
                exchange.misunderstood(answer.why)

    def _answer(self, exchange: Exchange, head: ResponseHead, data: bytes) -> None:
        if head.status < 200:
            if head.status == 101:
                exchange.switched(self, head, data)
                return
            self._interim += 1
            if self._interim > _INTERIM:
                exchange.misunderstood("It sends nothing but interim answers.")
                return
            exchange.interim(head)
            if data:
                self.dataReceived(data)
            return
        size = head.body
        self._reusable = head.keeps_alive
        if size >= 0 and len(data) >= size:
            if len(data) > size:  # surplus is never the next answer (RFC 9112 §6.3)
                data = data[:size]
                self._reusable = False
            exchange.answered(head, data, True)
            return
        body = body_of(size)
        self._until_close = size == UNTIL_CLOSE
        try:
            content, rest = body.feed(data)
        except BadBody as error:
            exchange.misunderstood(f"The body of its answer is broken. {error}")
            return
        if body.done:
            self._reusable = self._reusable and not rest
        else:
            self._body = body
        exchange.answered(head, content, body.done, body.trailers)

    def _content(self, exchange: Exchange, body: Body, data: bytes) -> None:
        try:
            content, rest = body.feed(data)
        except BadBody:
            exchange.broken()
            return
        if body.done:
            self._body = None
            self._reusable = self._reusable and not rest
        if content or body.done:
            exchange.content(content, body.done, body.trailers)

    def connectionLost(self, reason: Failure) -> None:
        self._gone(reason.check(ConnectionDone) is not None)

    def _gone(self, orderly: bool) -> None:
        if self._lost:
            return
        self._lost = True
        if self.shelf is not None:
            self._front.pool.ended(self.shelf, self.opening)
        exchange, self.exchange = self.exchange, None
        if exchange is None:
            if self.shelf is not None:
                self._front.pool.discard(self.shelf, self)
        elif self._body is not None and self._until_close and orderly:
            exchange.content(b"", True, b"")
        else:
            exchange.upstream_lost(self.used, bool(self._buffer or self._interim))

    # -- IHalfCloseableProtocol ------------------------------------------------------------------------------------------

    def readConnectionLost(self) -> None:
        if self.exchange is not None and self.exchange.tunnel is not None:
            self.exchange.tunnel.upstream_finished()
        else:
            self._gone(True)
            close(self.transport)

    def writeConnectionLost(self) -> None:
        """Our half of a tunnel is closed, as we asked."""

    # -- IPushProducer: for its own transport, which takes what the client sends -----------------------------------------

    def pauseProducing(self) -> None:
        self.blocked = True
        if self.exchange is not None:
            self.exchange.client.flow()

    def resumeProducing(self) -> None:
        self.blocked = False
        if self.exchange is not None:
            self.exchange.drained(self)

    def stopProducing(self) -> None:
        """The connection is lost, which ``connectionLost`` says too."""


@implementer(IProtocolFactory)
class UpstreamFactory:
    """Makes the protocols for connections to applications."""

    noisy = False

    def __init__(self, front: HttpFrontend) -> None:
        self._front = front

    def buildProtocol(self, addr: IAddress | None) -> UpstreamConnection:
        return UpstreamConnection(self._front)

    def doStart(self) -> None:
        """Nothing to start."""

    def doStop(self) -> None:
        """Nothing to stop."""
