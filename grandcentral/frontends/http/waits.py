"""What a request may have to wait for before it is sent: its stack, a place in the line for connections, a connection.

An exchange waits for one thing at a time, which is its ``wait``. Each knows what follows when it comes, when it will not come,
and when it is overdue. If the stack is ready and a connection is in the pool, nothing of this exists.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from math import inf
from typing import TYPE_CHECKING, Generic, TypeVar, cast

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.error import UserError
from twisted.internet.interfaces import IProtocol
from twisted.python.failure import Failure

from ...core.serving import client_of
from ...core.tickets import Ticket
from ...core.timeline import server_timing
from ...errors import Refusal, ShuttingDown, UpstreamFailed, UpstreamTimeout
from ...relay.pool import Gone, Opening
from .answers import waiting
from .upload import refuse_large
from .upstream import UpstreamConnection

if TYPE_CHECKING:
    from .exchange import Exchange

T = TypeVar("T")


def wake(exchange: Exchange) -> None:
    """Ask for the stack and wait: a person until it is time for a page, everybody else for as long as the table says."""
    front, client, head = exchange.front, exchange.client, exchange.head
    now = front.seconds()
    client.deadline = now + front.settings.waiting_page_after if exchange.audience().navigates else inf
    wakes = front.judges.wakes(exchange.asked_for.app, head.method, head.target, head.fields.raw)
    proxies = front.settings.trusted_proxies
    asker = client_of(client.peer, head.fields.values(b"x-forwarded-for"), proxies) if wakes else ""
    start = Start(exchange, now)
    start.begin(front.stacks.ensure(exchange.asked_for, wakes, asker))
    if wakes and exchange.wait is start and front.settings.too_large(head.fields.body):
        refuse_large(exchange)  # the start goes on
    client.flow()


def connect(exchange: Exchange, now: float, takes_used: bool) -> None:
    """Open a connection, or wait until there is one.

    :param takes_used: whether one that was used before will do.
    """
    front = exchange.front
    opening = front.pool.opening(exchange.shelf)
    if opening is not None:
        dial(exchange, opening, now)
        return
    exchange.client.deadline = now + front.settings.response_timeout
    Line(exchange).begin(front.pool.stand_in_line(exchange.shelf, takes_used))
    exchange.client.flow()


def dial(exchange: Exchange, opening: Opening, now: float) -> None:
    """Open a connection to the application."""
    front = exchange.front
    exchange.client.deadline = now + front.settings.connect_timeout
    Dial(exchange, opening).begin(front.connect(exchange.ticket.endpoint, front.upstreams))
    exchange.client.flow()


def try_elsewhere(exchange: Exchange, why: str, delivered: bool, answered: bool = False) -> None:
    """This endpoint does not work: have the table look at it, and ask again once if the request may be repeated."""
    if not delivered:
        exchange.attempts += 1
    exchange.end_use()
    exchange.front.stacks.lost(exchange.ticket)
    if exchange.repeats(delivered, answered):
        wake(exchange)
    else:
        exchange.refuse(UpstreamFailed(exchange.asked_for, why))


class Wait(ABC, Generic[T]):
    """For one thing, which may have come when ``begin`` returns."""

    __slots__ = ("awaited", "exchange")
    awaited: Deferred[T]

    def __init__(self, exchange: Exchange) -> None:
        self.exchange = exchange

    def begin(self, awaited: Deferred[T]) -> None:
        self.awaited = awaited
        self.exchange.wait = self
        awaited.addCallbacks(self._came, self._failed)
        awaited.addErrback(self.exchange.fault)

    def _came(self, found: T) -> None:
        self.exchange.wait = None
        self.came(found)

    def _failed(self, failure: Failure) -> None:
        self.exchange.wait = None
        self.failed(failure)

    @abstractmethod
    def came(self, found: T) -> None:
        """It is there. The exchange may be over."""

    @abstractmethod
    def failed(self, failure: Failure) -> None:
        """It will not come; if the exchange is over, because it was cancelled."""

    @abstractmethod
    def overdue(self) -> None:
        """The client's deadline has passed."""


class Start(Wait[Ticket]):
    """For the stack to be ready. ``since``: monotonic seconds."""

    __slots__ = ("_since",)

    def __init__(self, exchange: Exchange, since: float) -> None:
        super().__init__(exchange)
        self._since = since

    def came(self, found: Ticket) -> None:
        exchange = self.exchange
        if not exchange.over:
            held = exchange.front.seconds() - self._since
            exchange.front.counters.held.observe(held)
            exchange.timing = server_timing(held, found.phases if found.started >= self._since else {})
            exchange.use(found)

    def failed(self, failure: Failure) -> None:
        exchange = self.exchange
        if exchange.over:
            return
        if isinstance(failure.value, Refusal):
            exchange.refuse(failure.value)
        else:
            exchange.fault(failure)

    def overdue(self) -> None:
        exchange = self.exchange
        key = exchange.asked_for
        progress = exchange.front.stacks.progress(key)
        exchange.say(waiting(key, progress, exchange.audience(), exchange.instance, exchange.trace))

    def closing(self) -> None:
        """The frontend is to end, and its start may take minutes."""
        self.exchange.refuse(ShuttingDown(retry_after=5))


class Line(Wait[UpstreamConnection | Opening]):
    """For a connection that is idle, or for leave to open one."""

    __slots__ = ()

    def came(self, found: UpstreamConnection | Opening) -> None:
        now = self.exchange.front.seconds()
        if isinstance(found, Opening):
            dial(self.exchange, found, now)
        else:
            self.exchange.send(found, now)

    def failed(self, failure: Failure) -> None:
        exchange = self.exchange
        if not exchange.over:  # the client has not left: the endpoint has gone
            failure.trap(Gone)
            exchange.end_use()
            wake(exchange)

    def overdue(self) -> None:
        exchange = self.exchange
        exchange.refuse(UpstreamTimeout(exchange.asked_for, exchange.front.settings.response_timeout))


class Dial(Wait[IProtocol]):
    """For a connection that is being opened."""

    __slots__ = ("_opening",)

    def __init__(self, exchange: Exchange, opening: Opening) -> None:
        super().__init__(exchange)
        self._opening = opening

    def came(self, found: IProtocol) -> None:
        exchange = self.exchange
        upstream = cast(UpstreamConnection, found)
        upstream.shelf = exchange.shelf
        upstream.opening = self._opening
        if exchange.over:
            upstream.close()
        else:
            exchange.send(upstream, exchange.front.seconds())

    def failed(self, failure: Failure) -> None:
        exchange = self.exchange
        exchange.front.pool.ended(exchange.shelf, self._opening)
        if not exchange.over:
            late = f"no answer within {exchange.front.settings.connect_timeout:g} s"
            why = late if failure.check(CancelledError, UserError) else failure.getErrorMessage()
            try_elsewhere(exchange, f"It cannot be connected to: {why}", delivered=False)

    def overdue(self) -> None:
        self.awaited.cancel()
