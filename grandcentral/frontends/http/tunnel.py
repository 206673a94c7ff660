"""Tunnels: what an exchange becomes by a 101. Bytes are passed both ways as they come (RFC 9110 §7.8)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ...relay.transports import finish_writing

if TYPE_CHECKING:
    from .exchange import Exchange
    from .upstream import UpstreamConnection

_CLIENT, _APPLICATION, _BOTH = 1, 2, 3


class Tunnel:
    """Either side may finish before the other. ``received`` and ``sent`` are bytes, as the client's side counts them."""

    __slots__ = ("_exchange", "_finished", "_upstream", "received", "sent")

    def __init__(self, exchange: Exchange, upstream: UpstreamConnection) -> None:
        self._exchange = exchange
        self._upstream = upstream
        self._finished = 0
        self.received = 0
        self.sent = 0
        exchange.ticket.stream_opened(exchange.front.seconds(), exchange.quiet)

    def up(self, data: bytes) -> None:
        """From the client to the application."""
        self._passed()
        self.received += len(data)
        self._exchange.ticket.bytes_in += len(data)
        self._upstream.transport.write(data)

    def down(self, data: bytes) -> None:
        """From the application to the client."""
        self._passed()
        self.sent += len(data)
        self._exchange.ticket.bytes_out += len(data)
        self._exchange.client.transport.write(data)

    def _passed(self) -> None:
        exchange = self._exchange
        now = exchange.front.seconds()
        if not exchange.quiet:
            exchange.ticket.last_byte = now
        if not exchange.client.blocked:
            exchange.client.deadline = now + exchange.front.settings.stream_timeout

    def client_finished(self) -> None:
        """The client will send no more."""
        self._side_finished(_CLIENT, self._upstream.transport)

    def upstream_finished(self) -> None:
        """The application will send no more."""
        self._side_finished(_APPLICATION, self._exchange.client.transport)

    def _side_finished(self, side: int, other: Any) -> None:
        self._finished |= side
        if self._finished == _BOTH or not finish_writing(other):
            self.close()

    def close(self) -> None:
        """One side has gone, or both have finished: what is buffered for the other is still sent."""
        exchange, upstream = self._exchange, self._upstream
        exchange.upstream = None
        exchange.ticket.stream_closed(exchange.front.seconds(), exchange.quiet)
        exchange.let_go()
        exchange.tunnel = None
        upstream.exchange = None
        upstream.close()
        exchange.client.hang_up()
