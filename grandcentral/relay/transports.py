"""The few things that connections do with their transports beyond writing, whatever the transport is."""

from __future__ import annotations

from typing import Any

from twisted.internet.interfaces import ISSLTransport


def set_up(transport: Any, producer: object) -> None:
    """Send small writes at once, and tell ``producer`` when the transport's buffer (64 KiB) is full and when it is empty."""
    no_delay = getattr(transport, "setTcpNoDelay", None)
    if no_delay is not None:
        no_delay(True)
    transport.registerProducer(producer, True)


def finish_writing(transport: Any) -> bool:
    """Send what is buffered, then FIN, and go on reading. False if this transport cannot: TLS has no half-close of its own,
    and a FIN below it would look like an attack."""
    half_close = getattr(transport, "loseWriteConnection", None)
    if half_close is None or ISSLTransport.providedBy(transport):
        return False
    transport.unregisterProducer()  # a producer that is paused would keep the transport from finishing
    half_close()
    return True


def close(transport: Any) -> None:
    """Send what is buffered, then close."""
    transport.unregisterProducer()
    transport.loseConnection()
