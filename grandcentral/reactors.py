"""The fastest reactor that is installed. To be called before anything imports a reactor.

It is Twisted's asyncio reactor on uvloop, with one difference: the TCP connections of its ports, and those of
``relay.dialling.dialler``, are uvloop's own. Everything else on it is Twisted's as usual.
"""

from __future__ import annotations

import os
import signal
import socket
import sys
from typing import Any

from twisted.internet.abstract import isIPv6Address
from twisted.internet.asyncioreactor import AsyncioSelectorReactor
from twisted.internet.error import CannotListenError
from twisted.internet.interfaces import IListeningPort, IProtocolFactory
from twisted.internet.main import installReactor
from twisted.internet.process import reapAllProcesses
from twisted.logger import Logger
from twisted.python.failure import Failure

from . import events
from .relay.loop import LoopPort


class LoopReactor(AsyncioSelectorReactor):
    """``event_loop`` is what connections can be opened with directly; ``relay.dialling`` looks for it."""

    _faults = Logger(namespace="grandcentral.reactors")

    def __init__(self, event_loop: Any) -> None:
        self.event_loop = event_loop
        event_loop.set_exception_handler(self._fault)
        super().__init__(event_loop)

    def run(self, installSignalHandlers: bool = True) -> None:
        self.startRunning(installSignalHandlers=installSignalHandlers)
        if installSignalHandlers:
            # The loop takes over the wake-up descriptor by which Twisted hears of children that have ended.
            signal.signal(signal.SIGCHLD, lambda number, frame: self.callFromThread(reapAllProcesses))
        self.event_loop.run_forever()
        self._justStopped = False

    def listenTCP(self, port: int, factory: IProtocolFactory, backlog: int = 50, interface: str = "") -> IListeningPort:
        family = socket.AF_INET6 if isIPv6Address(interface) else socket.AF_INET
        listening = socket.socket(family, socket.SOCK_STREAM)
        try:
            listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listening.bind((interface, port))
            listening.listen(backlog)
        except OSError as error:
            listening.close()
            raise CannotListenError(interface, port, error) from error
        return self._listen(LoopPort(self.event_loop, listening, factory, backlog))

    def adoptStreamPort(self, fileDescriptor: int, addressFamily: int, factory: IProtocolFactory) -> IListeningPort:
        listening = socket.socket(addressFamily, socket.SOCK_STREAM, fileno=os.dup(fileDescriptor))
        return self._listen(LoopPort(self.event_loop, listening, factory))

    @staticmethod
    def _listen(port: LoopPort) -> LoopPort:
        port.startListening()
        return port

    def _fault(self, loop: Any, context: dict[str, Any]) -> None:
        """What a protocol raised: the loop has closed its connection."""
        error = context.get("exception") or RuntimeError(context["message"])
        self._faults.failure(events.BUG, Failure(error), incident="-", what=context["message"])


def install() -> None:
    """Install this reactor; ``twistd --reactor uvloop`` does. Raises ImportError where there is no uvloop."""
    import uvloop

    installReactor(LoopReactor(uvloop.new_event_loop()))


def install_fastest() -> str:
    """Install the fastest reactor there is; returns its name. One that is installed already stays."""
    if "twisted.internet.reactor" not in sys.modules:
        try:
            install()
        except ImportError:
            from twisted.internet.default import install as install_default

            install_default()
    from twisted.internet import reactor

    return "uvloop" if isinstance(reactor, LoopReactor) else type(reactor).__name__
