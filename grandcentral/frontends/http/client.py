"""The connection to a client: reads requests one after the other, keeps what came too early, writes, and closes well.

A little long, because reading, writing and closing are three sides of one connection: each asks how far the others are.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from twisted.internet.interfaces import IHalfCloseableProtocol, IProtocol, IPushProducer
from twisted.python.failure import Failure
from zope.interface import implementer

from ...core.forwarding import Hop, plain_address, trusted
from ...errors import BadRequest, Refusal
from ...relay.transports import close, finish_writing, set_up
from ...wire.http1_fields import NeedMore, Reject
from ...wire.http1_request import RequestFields, RequestHead, parse_request_head
from .answers import PROGRAM, Answer, refused
from .tracing import traceparent

if TYPE_CHECKING:
    from .exchange import Exchange
    from .frontend import HttpFrontend


@implementer(IProtocol, IHalfCloseableProtocol, IPushProducer)
class ClientConnection:
    """``deadline`` (monotonic seconds) is when the frontend's sweep calls ``overdue``; what was due follows from the state."""

    __slots__ = (
        *("__weakref__", "_advancing", "_closing", "_ended", "_flushed", "_front", "_gone", "_last", "_seated", "_seen"),
        *("blocked", "buffer", "deadline", "exchange", "factory", "hop", "paused", "peer", "transport"),
    )

    def __init__(self, front: HttpFrontend) -> None:
        self._front = front
        self.exchange: Exchange | None = None  # the request under way
        self.transport: Any = None
        self.hop = Hop("", "http")
        self.peer = ""  # the client's address, "" if it has none
        self.buffer = bytearray()  # what came and could not be used yet
        self.blocked = False  # the transport takes no more for now
        self.paused = False  # the transport is not read for now
        self.deadline = 0.0
        self._last: RequestFields | None = None  # of the last request: the next one often repeats them
        self._seen = 0  # of the buffer, what has been searched for the end of a head
        self._advancing = False
        self._seated = False  # counts among the connections of its address
        self._closing = False  # the last answer is given: what still comes is thrown away
        self._flushed = False  # everything was sent, and FIN
        self._ended = False  # the client sends no more
        self._gone = False

    @property
    def idle(self) -> bool:
        """Between two requests."""
        return self.exchange is None and not self.buffer

    # -- reading ---------------------------------------------------------------------------------------------------------

    def makeConnection(self, transport: Any) -> None:
        front = self._front
        self.transport = transport
        self.deadline = front.seconds() + front.settings.idle_timeout
        front.clients.add(self)
        set_up(transport, self)
        self.meet(self.neighbour())

    def neighbour(self) -> str:
        """The address of whoever has connected; "" for a UNIX socket."""
        return plain_address(getattr(self.transport.getPeer(), "host", ""))

    def meet(self, peer: str) -> None:
        """It is known who the client is. One too many is told so, and is let go."""
        front = self._front
        believed = trusted(peer, front.settings.trusted_proxies)
        self.peer = peer
        self.hop = Hop(peer, front.settings.scheme, believed, traceparent if front.settings.tracing else None)
        limit = front.crowd.seat(peer, believed or not peer, len(front.clients) + front.crowd.guests, front.settings)
        if limit is None:
            self._seated = True
        else:
            front.counters.turned_away += 1
            self._reject(limit)

    def connectionMade(self) -> None:
        """Nothing is said before a request."""

    def dataReceived(self, data: bytes) -> None:
        exchange = self.exchange
        if exchange is None:
            if self._closing:
                return
            if self.buffer:
                self.buffer += data
                self._advance()
                return
            request = parse_request_head(data, self._front.settings.limits, 0, self._last, self._front.known)
            if isinstance(request, RequestHead):
                if len(data) > request.size:
                    self.buffer += data[request.size :]
                self._begin(request)
            else:
                self.buffer += data
                self.deadline = self._front.seconds() + self._front.settings.head_timeout
                self._not_yet(request)
        elif exchange.tunnel is not None:
            exchange.tunnel.up(data)
        elif exchange.upstream is not None and exchange.upload is not None and exchange.upload.flows:
            exchange.upload.more(exchange, exchange.upstream, data)
        else:
            self.buffer += data
            self.flow()

    def _begin(self, request: RequestHead) -> None:
        self._last = request.fields
        exchange = self.exchange = self._front.exchange(self, self._front, request)
        exchange.begin()

    def _advance(self) -> None:
        """Begin the next request that is in the buffer. In a loop, not by recursion: the gateway's own answers come at once."""
        if self._advancing:
            return
        self._advancing = True
        try:
            while self.buffer and self.exchange is None and not (self._closing or self.blocked):
                limits = self._front.settings.limits
                request = parse_request_head(self.buffer, limits, self._seen, self._last, self._front.known)
                if not isinstance(request, RequestHead):
                    self._not_yet(request)
                    break
                self._seen = 0
                del self.buffer[: request.size]
                self._begin(request)
        finally:
            self._advancing = False
        self.flow()

    def _not_yet(self, outcome: NeedMore | Reject) -> None:
        if isinstance(outcome, Reject):
            self._reject(BadRequest(outcome.status, outcome.why))
        else:
            self._seen = outcome.seen

    def take_buffer(self) -> bytes:
        """All that came and was not used."""
        data = bytes(self.buffer)
        self.buffer.clear()
        return data

    def flow(self) -> None:
        """Read or don't read, as there is room for what would come."""
        exchange = self.exchange
        if exchange is not None and self.buffer and exchange.upload is not None:
            exchange.upload.put_aside(exchange)
        if self._closing:
            paused = False
        elif exchange is not None and (taker := exchange.forwards_to) is not None:
            paused = taker.blocked
        elif exchange is None and not self.blocked:
            paused = False  # a head, which has limits of its own
        else:
            paused = len(self.buffer) >= self._front.settings.buffer
        if paused != self.paused and not (self._ended or self._gone):
            self.paused = paused
            if paused:
                self.transport.pauseProducing()
            else:
                self.transport.resumeProducing()

    # -- writing ---------------------------------------------------------------------------------------------------------

    def say(self, answer: Answer, closes: bool, to_head: bool = False) -> None:
        """Give an answer of our own; the exchange is over."""
        closes = closes or self._ended or self._front.stopping
        message = answer.head(self._front.date, closes)
        self.transport.write(message if to_head else message + answer.body)
        self.exchange_over(closes, self._front.seconds())

    def exchange_over(self, closes: bool, now: float) -> None:
        """An answer is complete: on to the next request, or to the end of the connection."""
        self.exchange = None
        if closes or self._front.refusing:
            self._close_gently(now)
        else:
            settings = self._front.settings
            if self.buffer:
                self.deadline = now + settings.head_timeout
                self._advance()
            else:
                self.deadline = now + settings.idle_timeout
                if self.paused:
                    self.flow()

    def _reject(self, reason: Refusal) -> None:
        """This is no request that we serve, so what follows is none either."""
        answer = refused(reason, PROGRAM)
        self._front.rejected(self.peer, answer)
        self.say(answer, closes=True)

    def cut(self, orderly: bool) -> None:
        """End the connection inside an answer.

        :param orderly: the client can tell from the framing that the answer is not whole; otherwise it takes a reset.
        """
        self._closing = True
        self.exchange = None
        if self._gone:
            return
        if orderly:
            self.hang_up()
        else:
            self.transport.abortConnection()

    def hang_up(self) -> None:
        """Send what is buffered, then close, without waiting for the client."""
        self._closing = True
        self.exchange = None
        self.buffer.clear()
        if not self._gone:
            self.deadline = self._front.seconds() + self._front.settings.stall_timeout
            close(self.transport)

    def _close_gently(self, now: float) -> None:
        """Send what is buffered and FIN; go on reading until the client closes, for a reset would overtake the answer on its
        way (RFC 9112 §9.6)."""
        self._closing = True
        self.buffer.clear()
        if self._gone:
            return
        self.deadline = now + self._front.settings.stall_timeout
        if self._ended or not finish_writing(self.transport):
            close(self.transport)
        else:
            self.flow()

    # -- the end ---------------------------------------------------------------------------------------------------------

    def overdue(self, now: float) -> None:
        """The deadline has passed."""
        settings = self._front.settings
        self.deadline = now + settings.stall_timeout
        if self._closing:
            if self._flushed:
                close(self.transport)
            else:
                self.transport.abortConnection()
        elif self.exchange is not None:
            self.exchange.overdue()
        elif self.buffer:
            self._reject(BadRequest(408, f"The request's head did not arrive within {settings.head_timeout:.0f} s."))
        else:
            self._close_gently(now)

    def last_call(self, now: float) -> None:
        """If idle, wait for one more request, but not for long."""
        if self.idle and not self._closing:
            self.deadline = min(self.deadline, now + self._front.settings.idle_timeout)

    def stop(self, now: float) -> None:
        """Close if idle; otherwise the answer under way is the last one."""
        if self.idle and not self._closing:
            self._close_gently(now)

    def abort(self) -> None:
        """End it now, whatever is under way."""
        if self.exchange is not None:
            self.exchange.abandon()
        self.cut(False)

    def readConnectionLost(self) -> None:
        """FIN. A client that sends no more has left, unless it is in a tunnel: this is what a close looks like from here."""
        self._ended = True
        exchange = self.exchange
        if exchange is None:
            if self.buffer and not self._closing:
                self._reject(BadRequest(400, "The connection ended within the head of a request."))
            else:
                self.hang_up()
        elif exchange.tunnel is not None:
            exchange.tunnel.client_finished()
        elif exchange.upload is not None and not (exchange.upload.complete or exchange.upstream is None or exchange.started):
            exchange.refuse(BadRequest(400, "The connection ended within the body of a request."))
        else:
            exchange.abandon()
            self.hang_up()

    def writeConnectionLost(self) -> None:
        """FIN has been sent, after everything else: now the client has a little time to close."""
        if self._closing:
            self._flushed = True
            self.deadline = self._front.seconds() + self._front.settings.linger

    def connectionLost(self, reason: Failure) -> None:
        self._gone = self._ended = self._closing = True
        if self.exchange is not None:
            self.exchange.abandon()
            self.exchange = None
        if self._seated:
            self._front.crowd.leave(self.peer)
        self._front.lost(self)

    # -- IPushProducer: for its own transport, which takes the answers ---------------------------------------------------

    def pauseProducing(self) -> None:
        self.blocked = True
        self.deadline = self._front.seconds() + self._front.settings.stall_timeout
        if self.exchange is not None and self.exchange.upstream is not None:
            self.exchange.upstream.pause(True)

    def resumeProducing(self) -> None:
        self.blocked = False
        exchange = self.exchange
        if exchange is None:
            self._advance()
        elif exchange.upstream is not None:
            self.deadline = self._front.seconds() + self._front.settings.stream_timeout
            exchange.upstream.pause(False)

    def stopProducing(self) -> None:
        """The connection is lost, which ``connectionLost`` says too."""
