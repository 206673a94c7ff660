"""The event loop's own connections, as Twisted's transports: what uvloop is fast with, and Twisted's protocols ask for.

The methods that are called often (``write``, ``pauseProducing``, ``resumeProducing``, and ``dataReceived`` the other way) are
the loop's and the protocol's own bound methods, handed through: nothing stands between them.

A few lines over the usual length: connections out, connections in and ports share one adapter, and are of no use apart.
"""

from __future__ import annotations

import asyncio
import socket
import struct
from collections.abc import Callable, Coroutine
from typing import Any

from twisted.internet.address import IPv4Address, IPv6Address, UNIXAddress
from twisted.internet.defer import Deferred, succeed
from twisted.internet.error import ConnectionAborted, ConnectionDone, ConnectionLost, TimeoutError, UserError, getConnectError
from twisted.internet.interfaces import (
    IHalfCloseableProtocol,
    IListeningPort,
    IProtocol,
    IProtocolFactory,
    IPushProducer,
    ITCPTransport,
)
from twisted.python.failure import Failure
from zope.interface import implementer

from ..core.model import Endpoint

Address = IPv4Address | IPv6Address | UNIXAddress

_RESET = struct.pack("ii", 1, 0)  # SO_LINGER: closing discards what is unsent, and sends RST


def _nothing(*_: object) -> None:
    """In the place of a method that no longer applies."""


@implementer(ITCPTransport, IPushProducer)
class LoopTransport(asyncio.Protocol):
    """To the loop it is a protocol, to our protocol a transport.

    A protocol that does not provide IHalfCloseableProtocol is told ``connectionLost`` when the other side finishes, after what
    it has written is sent.

    :param build: makes the protocol for an address (a factory's ``buildProtocol``); None turns the connection away.
    :param made: called with the protocol when it is connected.
    """

    __slots__ = (
        *("_aborted", "_build", "_finishing", "_loop", "_made", "_producer", "_transport", "data_received", "disconnecting"),
        *("pauseProducing", "pause_writing", "protocol", "resumeProducing", "resume_writing", "write", "writeSequence"),
    )
    write: Callable[[bytes], None]
    writeSequence: Callable[[Any], None]
    pauseProducing: Callable[[], None]
    resumeProducing: Callable[[], None]
    data_received: Callable[[bytes], None]  # type: ignore[assignment]
    pause_writing: Callable[[], None]
    resume_writing: Callable[[], None]

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        build: Callable[[Any], Any],
        made: Callable[[IProtocol], object] = _nothing,
    ) -> None:
        self._loop = loop
        self._build = build
        self._made = made
        self._transport: Any = None
        self._producer: Any = None
        self._aborted = False
        self._finishing = False  # no more is to be sent
        self.disconnecting = False
        self.protocol: Any = None
        self.data_received = _nothing
        self.pause_writing = self.resume_writing = _nothing

    # -- what the loop calls ----------------------------------------------------------------------------------------------

    def connection_made(self, transport: Any) -> None:
        self._transport = transport
        self.write = transport.write
        self.writeSequence = transport.writelines
        self.pauseProducing = transport.pause_reading
        self.resumeProducing = transport.resume_reading
        protocol = self.protocol = self._build(self.getPeer())
        if protocol is None:
            transport.close()
            return
        self.data_received = protocol.dataReceived
        transport.set_protocol(self)  # which looks up data_received
        protocol.makeConnection(self)
        self._made(protocol)

    def eof_received(self) -> bool:
        """Returns whether the connection stays open for writing."""
        if not IHalfCloseableProtocol.providedBy(self.protocol):
            return False
        self.pauseProducing = self.resumeProducing = _nothing  # there is nothing more to read
        self.protocol.readConnectionLost()
        return True

    def connection_lost(self, exc: BaseException | None) -> None:
        self.write = self.writeSequence = self.pauseProducing = self.resumeProducing = _nothing
        self.pause_writing = self.resume_writing = _nothing
        self._transport = None
        producer, self._producer = self._producer, None
        if producer is not None:
            producer.stopProducing()
        protocol = self.protocol
        if protocol is not None:
            why = ConnectionAborted() if self._aborted else ConnectionDone() if exc is None else ConnectionLost(str(exc))
            protocol.connectionLost(Failure(why))

    # -- ITransport, IPushProducer ----------------------------------------------------------------------------------------

    def loseConnection(self, _connDone: object = None) -> None:
        """Send what is written, then close."""
        if self._transport is not None:
            self.disconnecting = True
            self._transport.close()

    stopProducing = loseConnection

    def abortConnection(self) -> None:
        """Close at once, with a reset: a plain close would look to the other side like a clean end."""
        if self._transport is None or self._aborted:
            return
        self._aborted = self.disconnecting = True
        self.write = self.writeSequence = self.resumeProducing = _nothing
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
        self._transport.abort()

    def loseWriteConnection(self) -> None:
        """Send what is written, then FIN; ``writeConnectionLost`` tells when that has happened."""
        transport = self._transport
        if transport is None or self._finishing or self.disconnecting:
            return
        self._finishing = True
        self.write = self.writeSequence = _nothing
        transport.write_eof()
        if transport.get_write_buffer_size():
            self.resume_writing = self._finished
            transport.set_write_buffer_limits(0)  # resume_writing is called when all is written
        else:
            self._loop.call_soon(self._finished)

    def _finished(self) -> None:
        self.resume_writing = _nothing
        if self._transport is not None and IHalfCloseableProtocol.providedBy(self.protocol):
            self.protocol.writeConnectionLost()

    # -- IConsumer --------------------------------------------------------------------------------------------------------

    def registerProducer(self, producer: Any, streaming: bool) -> None:
        """The producer is paused when 64 KiB are waiting to be sent, and resumed when (nearly) none are."""
        if not streaming:
            raise UserError("This transport takes push producers only.")
        if self._transport is None:
            producer.stopProducing()
            return
        self._producer = producer
        self.pause_writing = producer.pauseProducing
        self.resume_writing = producer.resumeProducing

    def unregisterProducer(self) -> None:
        if self._producer is not None:
            self._producer = None
            self.pause_writing = self.resume_writing = _nothing

    # -- ITCPTransport ----------------------------------------------------------------------------------------------------

    @property
    def _socket(self) -> socket.socket:
        """For its options only."""
        found: socket.socket = self._transport.get_extra_info("socket")
        return found

    def getTcpNoDelay(self) -> bool:
        return bool(self._socket.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY))

    def setTcpNoDelay(self, enabled: bool) -> None:
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, enabled)

    def getTcpKeepAlive(self) -> bool:
        return bool(self._socket.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE))

    def setTcpKeepAlive(self, enabled: bool) -> None:
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, enabled)

    def getPeer(self) -> Any:
        return address_of(self._transport.get_extra_info("peername"))

    def getHost(self) -> Any:
        return address_of(self._transport.get_extra_info("sockname"))


def address_of(name: Any) -> Address:
    """Twisted's address for what the socket module has for one."""
    if not isinstance(name, tuple):
        return UNIXAddress(name or None)
    return IPv4Address("TCP", *name) if len(name) == 2 else IPv6Address("TCP", *name)


@implementer(IListeningPort)
class LoopPort:
    """A listening socket, whose connections are the loop's.

    :param listening: a bound socket, which is this port's from now on.
    :param backlog: how many connections the kernel keeps until they are accepted.
    """

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        listening: socket.socket,
        factory: IProtocolFactory,
        backlog: int = socket.SOMAXCONN,
    ) -> None:
        self._loop = loop
        self._listening = listening
        self._factory = factory
        self._backlog = backlog
        self._server: asyncio.AbstractServer | None = None

    def startListening(self) -> None:
        self._factory.doStart()
        self.startReading()

    def startReading(self) -> None:
        """Accept connections."""
        if self._server is None:
            # The server closes the socket that it has, so it gets a descriptor of its own: ours keeps the backlog.
            serving = self._loop.create_server(self._accepted, sock=self._listening.dup(), backlog=self._backlog)
            self._server = _at_once(serving)

    def stopReading(self) -> None:
        """Accept none for now: they wait in the kernel."""
        server, self._server = self._server, None
        if server is not None:
            server.close()

    def stopListening(self) -> Deferred[None]:
        """Close the socket; connections that were accepted stay."""
        self.stopReading()
        if self._listening.fileno() >= 0:
            self._listening.close()
            self._factory.doStop()
        return succeed(None)

    def getHost(self) -> Any:
        return address_of(self._listening.getsockname())

    def _accepted(self) -> LoopTransport:
        return LoopTransport(self._loop, self._factory.buildProtocol)


def _at_once(serving: Coroutine[Any, Any, asyncio.AbstractServer]) -> asyncio.AbstractServer:
    """The result of a coroutine that waits for nothing, without a running loop: uvloop's create_server with a socket."""
    try:
        serving.send(None)
    except StopIteration as done:
        server: asyncio.AbstractServer = done.value
        return server
    serving.close()
    raise RuntimeError("This event loop cannot listen without waiting.")


class LoopDial:
    """One connection being opened; ``connected`` fires when it is, or fails like Twisted's ``connectTCP`` does."""

    def __init__(self, loop: asyncio.AbstractEventLoop, endpoint: Endpoint, factory: IProtocolFactory, timeout: float) -> None:
        self.connected: Deferred[IProtocol] = Deferred(self._cancelled)
        dial = loop.create_connection(
            lambda: LoopTransport(loop, factory.buildProtocol, self._made), endpoint.host, endpoint.port
        )
        self._dialling = loop.create_task(dial)
        self._dialling.add_done_callback(self._done)
        self._giving_up = loop.call_later(timeout, self._too_late)

    def _made(self, protocol: IProtocol) -> None:
        self._giving_up.cancel()
        self.connected.callback(protocol)

    def _done(self, dialling: asyncio.Task[Any]) -> None:
        self._giving_up.cancel()
        if dialling.cancelled():
            return
        why = dialling.exception()
        if why is not None and not self.connected.called:
            self.connected.errback(Failure(getConnectError(why) if isinstance(why, OSError) else why))

    def _too_late(self) -> None:
        self._dialling.cancel()
        self.connected.errback(Failure(TimeoutError()))

    def _cancelled(self, _: object) -> None:
        self._dialling.cancel()
        self._giving_up.cancel()
