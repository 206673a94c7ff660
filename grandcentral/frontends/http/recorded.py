"""Exchanges that a log is kept of: the same, with what the log wants to know. Who keeps none pays nothing for it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from attrs import frozen

from ...core.keys import Key
from ...core.serving import CLIENT_LEFT, Served
from ...core.tickets import Ticket
from ...wire.http1_request import RequestHead
from ...wire.http1_response import ResponseHead
from .answers import Answer
from .exchange import Exchange

if TYPE_CHECKING:
    from .client import ClientConnection
    from .frontend import HttpFrontend
    from .upstream import UpstreamConnection


class RequestLog(Protocol):
    """Where requests are noted that are over."""

    def start(self) -> None:
        """Begin to write."""

    def stop(self) -> None:
        """Write what is left."""

    def note(self, served: Served) -> bool:
        """Take in a request that is over, at once. False if there was no room for it."""


class NoLog:
    """Notes nothing."""

    def start(self) -> None: ...

    def stop(self) -> None: ...

    def note(self, served: Served) -> bool:
        return True


@frozen
class Rejected:
    """Bytes that were no request, and what they were answered with."""

    peer: str
    status: int
    sent: int
    head: None = None
    key: None = None
    received: int = 0
    held: float = 0.0
    upstream_time: float = 0.0
    total: float = 0.0
    trace: str = ""


class RecordedExchange(Exchange):
    """Is ``Served`` when it is over, and noted once."""

    __slots__ = ("_answered", "_began", "_noted", "_used", "received", "sent", "status", "total")

    def __init__(self, client: ClientConnection, front: HttpFrontend, head: RequestHead) -> None:
        super().__init__(client, front, head)
        self._began = front.seconds()
        self._used = self._answered = 0.0  # when it went to an application first, and was answered
        self._noted = False
        self.received = 0
        self.sent = 0
        self.status = CLIENT_LEFT
        self.total = 0.0

    # -- Served -----------------------------------------------------------------------------------------------------------

    @property
    def peer(self) -> str:
        return self.client.peer

    @property
    def key(self) -> Key | None:
        """By its canonical name, if the request got that far."""
        return self.ticket.key if self._used else getattr(self, "asked_for", None)

    @property
    def held(self) -> float:
        return self._used - self._began if self._used else self.total if self.key else 0.0

    @property
    def upstream_time(self) -> float:
        if not self._used:
            return 0.0
        return (self._answered or self._began + self.total) - self._used

    # -- what is noticed ----------------------------------------------------------------------------------------------------

    def use(self, ticket: Ticket) -> None:
        if not self._used:
            self._used = self.front.seconds()
        super().use(ticket)

    def answered(self, head: ResponseHead, data: bytes, done: bool, trailers: bytes = b"") -> None:
        self._answered = self.front.seconds()
        self.status = head.status
        self.sent += len(data)
        super().answered(head, data, done, trailers)

    def content(self, data: bytes, done: bool, trailers: bytes) -> None:
        self.sent += len(data)
        super().content(data, done, trailers)

    def switched(self, upstream: UpstreamConnection, head: ResponseHead, data: bytes) -> None:
        self._answered = self.front.seconds()
        self.status = head.status
        super().switched(upstream, head, data)

    # -- the ways in which it ends -------------------------------------------------------------------------------------------

    def _complete(self) -> None:
        self._note()
        super()._complete()

    def say(self, answer: Answer) -> None:
        self.status = answer.status
        self.sent = 0 if self.to_head else len(answer.body)
        self._note()
        super().say(answer)

    def let_go(self) -> None:
        self._note()
        super().let_go()

    def _note(self) -> None:
        if not self._noted:
            self._noted = True
            self.total = self.front.seconds() - self._began
            if self.upload is not None:
                self.received = self.upload.received
            if self.tunnel is not None:
                self.received += self.tunnel.received
                self.sent += self.tunnel.sent
            self.front.note(self)
