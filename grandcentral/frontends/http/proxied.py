"""Connections of balancers that speak the PROXY protocol: the client is whom their first bytes name."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from twisted.logger import Logger

from ... import events
from ...wire.proxyprotocol import BadHeader, parse
from .client import ClientConnection

if TYPE_CHECKING:
    from .frontend import HttpFrontend


class ProxiedConnection(ClientConnection):
    """A header has to come within the time that a request's head has, and is believed; without one the connection is closed."""

    __slots__ = ("_told",)
    _log = Logger(namespace="grandcentral.frontends.http")

    def __init__(self, front: HttpFrontend) -> None:
        super().__init__(front)
        self._told = False

    def makeConnection(self, transport: Any) -> None:
        super().makeConnection(transport)
        self.deadline = self._front.seconds() + self._front.settings.head_timeout

    def meet(self, peer: str) -> None:
        """Not the balancer: see ``dataReceived``."""

    def dataReceived(self, data: bytes) -> None:
        if self._told or self._closing:
            super().dataReceived(data)
            return
        self.buffer += data
        try:
            header = parse(self.buffer)
        except BadHeader as bad:
            self._unbelieved(str(bad))
            return
        if header is None:
            return
        self._told = True
        rest = bytes(self.buffer[header.size :])
        self.buffer.clear()
        self.deadline = self._front.seconds() + self._front.settings.idle_timeout
        super().meet(self.neighbour() if header.client is None else header.client)
        if rest:
            super().dataReceived(rest)

    def overdue(self, now: float) -> None:
        if self._told or self._closing:
            super().overdue(now)
        else:
            self._unbelieved(f"No PROXY header came within {self._front.settings.head_timeout:.0f} s.")

    def readConnectionLost(self) -> None:
        if self._told or self._closing:
            super().readConnectionLost()
        else:
            self._ended = True
            self.hang_up()

    def _unbelieved(self, why: str) -> None:
        self._log.info(events.PROXY_HEADER_MISSING, peer=self.neighbour(), why=why)
        self.cut(False)
