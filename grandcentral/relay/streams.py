"""One of two connections that are passed on to each other, byte for byte: what each does, whatever it is for."""

from __future__ import annotations

from typing import Any

from twisted.internet.error import ConnectionDone
from twisted.internet.interfaces import IHalfCloseableProtocol, IProtocol, IPushProducer
from twisted.python.failure import Failure
from zope.interface import implementer

from .transports import close, finish_writing, set_up


@implementer(IProtocol, IHalfCloseableProtocol, IPushProducer)
class Stream:
    """``blocked``: its transport takes no more for now (64 KiB wait). ``ended``: the other side sends no more. ``gone``: it is
    lost. A stream that neither ``reads`` nor has ended leaves what comes to the kernel, whose buffers fill up: so one who does
    not read slows down the other who sends."""

    def __init__(self) -> None:
        self.transport: Any = None
        self.blocked = False
        self.reads = True
        self.ended = False
        self.finished = False  # we send no more
        self.gone = False

    # -- what is done with it ---------------------------------------------------------------------------------------------

    def read(self, wanted: bool) -> None:
        """Read, or leave it to the kernel."""
        if wanted != self.reads and not (self.ended or self.gone):
            self.reads = wanted
            if wanted:
                self.transport.resumeProducing()
            else:
                self.transport.pauseProducing()

    def finish(self) -> None:
        """Send what is written, then FIN, and go on reading; a transport that cannot do so is closed."""
        if not (self.finished or self.gone):
            self.finished = True
            if not finish_writing(self.transport):
                close(self.transport)

    def close(self) -> None:
        """Send what is written, then close."""
        self.finished = True
        if not self.gone:
            close(self.transport)

    def abort(self) -> None:
        """Close at once, with a reset."""
        if self.transport is not None and not self.gone:
            self.transport.abortConnection()

    # -- what those who know what it is for are told ------------------------------------------------------------------------

    def room(self, there: bool) -> None:
        """Whether what is written now would be sent soon has changed."""

    def lost(self, clean: bool) -> None:
        """The connection is gone. ``clean``: by closing."""

    # -- IProtocol, IHalfCloseableProtocol ----------------------------------------------------------------------------------

    def makeConnection(self, transport: Any) -> None:
        self.transport = transport
        set_up(transport, self)
        transport.setTcpKeepAlive(True)  # a session may be silent for hours: the kernel finds out who is not there any more

    def connectionMade(self) -> None:
        """Nothing is said first."""

    def dataReceived(self, data: bytes) -> None:
        raise NotImplementedError

    def readConnectionLost(self) -> None:
        raise NotImplementedError

    def writeConnectionLost(self) -> None:
        """FIN has been sent."""

    def connectionLost(self, reason: Failure) -> None:
        self.gone = self.ended = self.finished = True
        self.lost(reason.check(ConnectionDone) is not None)

    # -- IPushProducer: for its own transport -------------------------------------------------------------------------------

    def pauseProducing(self) -> None:
        self.blocked = True
        self.room(False)

    def resumeProducing(self) -> None:
        self.blocked = False
        self.room(True)

    def stopProducing(self) -> None:
        """The connection is lost, which ``connectionLost`` says too."""
