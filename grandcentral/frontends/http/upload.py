"""The body of a request on its way to the application.

What comes before there is an application to send it to stays in the client's buffer; when that is full, it is moved to a spool.
From there it is sent as fast as the application takes it, and then what has come since.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from twisted.python.failure import Failure

from ...core.forwarding import IDEMPOTENT
from ...errors import BadRequest, BodyTooLarge
from ...wire.http1_bodies import BadBody, Body, body_of, chunk
from ...wire.http1_fields import CHUNKED
from .spool import Spool

if TYPE_CHECKING:
    from .exchange import Exchange
    from .upstream import UpstreamConnection

_PIECE = 128 * 1024  # bytes of a spool that are sent at a time: more than a transport's buffer, so that each waits for the last
_ASK_AGAIN = 5.0  # seconds after which a body that is too large to be held may be taken


def refuse_large(exchange: Exchange) -> None:
    """The body is too large to be held."""
    limit = exchange.front.settings.max_held_body
    exchange.refuse(BodyTooLarge(exchange.asked_for, limit, retry_after=_ASK_AGAIN), closes=True)


def refuse_broken(exchange: Exchange, error: BadBody) -> None:
    """It cannot be told where the body ends."""
    exchange.refuse(BadRequest(400, f"The body of the request is broken. {error}"), closes=True)


class Upload:
    """The body of one request, if it has one. The exchange is told to it each time: kept here, it would be a cycle, and every
    request with a body would wait for the garbage collector.

    :param framing: a Head's ``body``.
    :param buffer: the client's: what has come and was not read yet, and where what lies beyond the body goes back to.
    :ivar complete: all of it has come, and was read.
    :ivar spool: the beginning of the body, as the application gets it, if it had to be put aside.
    :ivar message: the whole request as it was sent, if it was sent in one piece with its body.
    :ivar received: bytes of content that were read.
    """

    __slots__ = ("_body", "_buffer", "_chunked", "_touched", "complete", "message", "received", "spool")

    def __init__(self, framing: int, buffer: bytearray) -> None:
        self._body: Body = body_of(framing)
        self._buffer = buffer
        self._chunked = framing == CHUNKED
        self._touched = False  # some of it has gone to the application
        self.complete = False
        self.spool: Spool | None = None
        self.message: bytes | None = None
        self.received = 0

    @property
    def flows(self) -> bool:
        """More is to come, and goes to the application as it comes once there is one."""
        return not self.complete and self.spool is None

    @property
    def sent(self) -> bool:
        """All of it has come, and has gone to the application."""
        return self.complete and not (self.spool is not None and self.spool.unread)

    @property
    def whole(self) -> bool:
        """Nothing of it has gone that is not at hand."""
        return not self._touched or self.message is not None or self.spool is not None

    # -- while there is no application -----------------------------------------------------------------------------------

    def put_aside(self, exchange: Exchange) -> None:
        """Make room in the buffer by moving what has come to the spool. The exchange may be over after that."""
        settings = exchange.front.settings
        size = len(self._buffer)
        if self.complete or exchange.in_use:
            return
        if self.spool is None and size < settings.spool_above and not settings.too_large(size):
            return
        spool = self.spool or Spool(exchange.front.spools)
        if not spool.room:
            return
        try:
            content = self._read(self._take_buffer())
        except BadBody as error:
            refuse_broken(exchange, error)
            return
        if settings.too_large(self.received):
            refuse_large(exchange)
            return
        self.spool = spool
        spool.write(self._framed(content))

    def read_away(self) -> bool:
        """Read what is here already, for nobody. Whether that was all: a small body need not cost the connection, as
        one that is broken does."""
        if self._buffer and not (self.complete or self._touched):
            try:
                self._read(self._take_buffer())
            except BadBody:
                return False
        return self.complete

    # -- to the application ----------------------------------------------------------------------------------------------

    def first(self, head: bytes) -> bytes:
        """What to send first: the head, and what has come of the body, unless that is in the spool. Raises BadBody."""
        if self.spool is not None:
            self.spool.rewind()
        elif self._buffer and not self.complete:
            head += self._take(self._take_buffer())
            if self.complete:
                self.message = head
        return head

    def more(self, exchange: Exchange, upstream: UpstreamConnection, data: bytes) -> None:
        """More of it has come."""
        try:
            content = self._take(data)
        except BadBody as error:
            refuse_broken(exchange, error)
            return
        exchange.expect(self.complete)
        exchange.ticket.bytes_in += len(content)
        upstream.transport.write(content)

    def replay(self, exchange: Exchange, upstream: UpstreamConnection, spool: Spool) -> None:
        """Send what was put aside, as fast as the application takes it; then what has come since."""
        self._touched = True
        try:
            while spool.unread and not upstream.blocked:
                data = spool.read(_PIECE)
                exchange.ticket.bytes_in += len(data)
                upstream.transport.write(data)
        except OSError:
            exchange.fault(Failure())
            return
        exchange.expect(self.sent)
        if spool.unread:
            return
        if not self.complete:
            self.close()
            if self._buffer:
                self.more(exchange, upstream, self._take_buffer())
        elif exchange.head.method not in IDEMPOTENT:  # it will not be sent again
            self.close()

    def close(self) -> None:
        """Give back the spool. Idempotent."""
        spool, self.spool = self.spool, None
        if spool is not None:
            spool.close()

    # -- reading ---------------------------------------------------------------------------------------------------------

    def _take(self, data: bytes) -> bytes:
        """What to send for these bytes of the body."""
        content = self._read(data)
        self._touched = True
        return self._framed(content)

    def _read(self, data: bytes) -> bytes:
        """The content in these bytes of the body; what lies beyond it goes back to the buffer."""
        content, rest = self._body.feed(data)
        if self._body.done:
            self.complete = True
            self._buffer += rest
        self.received += len(content)
        return content

    def _framed(self, content: bytes) -> bytes:
        return chunk(content, self._body.done, self._body.trailers) if self._chunked else content

    def _take_buffer(self) -> bytes:
        data = bytes(self._buffer)
        self._buffer.clear()
        return data
