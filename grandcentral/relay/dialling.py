"""Connections out and in: over TCP, with nothing between the transport and the protocol.

Twisted's client endpoints put a wrapping protocol between the two for good, which every read then passes through. Where the
reactor is ours (``reactors.LoopReactor``), connections are the event loop's own.
"""

from __future__ import annotations

from collections.abc import Callable
from socket import socket
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IAddress, IConnector, IListeningPort, IProtocol, IProtocolFactory
from twisted.internet.protocol import ClientFactory, Protocol
from twisted.python.failure import Failure

from ..core.model import Endpoint
from .loop import LoopDial
from .pool import Connect

Listen = Callable[[socket, IProtocolFactory], IListeningPort]
"""Accepts connections of a socket that is bound and listens; the caller's socket may be closed then. The port that is returned
has ``stopReading`` and ``startReading`` besides: while it does not read, the kernel's backlog is the queue."""


def listener(reactor: Any) -> Listen:
    """A Listen for this reactor."""
    return lambda listening, factory: reactor.adoptStreamPort(listening.fileno(), listening.family, factory)


def dialler(reactor: Any, timeout: float = 30.0) -> Connect:
    """A Connect that opens TCP connections with this reactor.

    :param timeout: seconds; callers that cannot wait so long cancel.
    :return: a function (endpoint, factory) -> Deferred, which fires with the factory's protocol when it is connected, and
        fails with what the reactor says (ConnectionRefusedError, TimeoutError …).
    """
    event_loop = getattr(reactor, "event_loop", None)
    if event_loop is not None:
        return lambda endpoint, factory: LoopDial(event_loop, endpoint, factory, timeout).connected

    def connect(endpoint: Endpoint, factory: IProtocolFactory) -> Deferred[IProtocol]:
        attempt = _Attempt(factory)
        attempt.connector = reactor.connectTCP(endpoint.host, endpoint.port, attempt, timeout=timeout)
        return attempt.connected

    return connect


class _Attempt(ClientFactory):
    noisy = False

    def __init__(self, inner: IProtocolFactory) -> None:
        self._build: Callable[[Any], IProtocol | None] = inner.buildProtocol
        self.connector: IConnector | None = None
        self.connected: Deferred[IProtocol] = Deferred(self._cancel)

    def buildProtocol(self, addr: IAddress | None) -> Protocol | None:
        protocol = self._build(addr)
        return None if protocol is None else _Arrival(protocol, self.connected)

    def clientConnectionFailed(self, connector: IConnector, reason: Failure) -> None:
        if not self.connected.called:
            self.connected.errback(reason)

    def _cancel(self, connected: Deferred[IProtocol]) -> None:
        if self.connector is not None:
            self.connector.disconnect()


class _Arrival(Protocol):
    """Stands in until the transport is there, then hands it over."""

    def __init__(self, protocol: IProtocol, connected: Deferred[IProtocol]) -> None:
        self._protocol = protocol
        self._connected = connected

    def makeConnection(self, transport: Any) -> None:
        transport.protocol = self._protocol
        self._protocol.makeConnection(transport)
        self._connected.callback(self._protocol)
