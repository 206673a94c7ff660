"""The HTTP front door: takes connections, owns what they share, and looks once a second for what is overdue."""

from __future__ import annotations

import time
from collections.abc import Callable
from email.utils import formatdate
from typing import Protocol

from attrs import evolve
from twisted.internet.defer import Deferred, succeed
from twisted.internet.interfaces import IAddress, IDelayedCall, IProtocolFactory, IReactorTime
from twisted.internet.task import LoopingCall
from twisted.logger import Logger
from twisted.python.failure import Failure
from zope.interface import implementer

from ... import events
from ...core import leases
from ...core.counters import HttpCounters
from ...core.forwarding import plain_address, trusted
from ...core.keys import Key
from ...core.model import Endpoint
from ...core.routing import Unrouted
from ...core.serving import Served
from ...core.tickets import Ticket
from ...core.waking import Judges
from ...incidents import report
from ...interfaces import IStacks
from ...relay.pool import Connect, Pool
from ...wire.http1_request import Known
from .answers import Answer
from .client import ClientConnection
from .crowd import Crowd
from .exchange import Exchange
from .proxied import ProxiedConnection
from .recorded import NoLog, RecordedExchange, Rejected, RequestLog
from .settings import HttpSettings
from .spool import Spools
from .upstream import UpstreamConnection, UpstreamFactory
from .waits import Start

SWEEP = 1.0  # seconds
LAST_CALL = 5.0  # seconds that an idle client has for one more request, when the frontend retires
LAST_START = 0.5  # seconds that starts which somebody waits for have to come about, when the frontend stops


class Router(Protocol):
    """What a frontend asks of ``core.routing.Routes``."""

    def match(self, host: bytes) -> Key | Unrouted:
        """The key that a Host field names."""


@implementer(IProtocolFactory)
class HttpFrontend:
    """
    :param stacks: where stacks are asked for.
    :param routes: which host is which stack; assign ``routes`` anew when the configuration has changed.
    :param clock: monotonic ``seconds()`` and ``callLater``.
    :param connect: opens connections to endpoints.
    :param wall: the time of day, in seconds since the epoch, for Date fields.
    :param log: where every request is noted when it is over; it is started and stopped with the frontend.
    :param token: what the services of a stack prove themselves with, by its canonical key. None: nobody can.
    :ivar judges: which requests wake which stack, and keep it awake; to be assigned anew with ``routes``.
    """

    noisy = False
    _log = Logger()

    def __init__(
        self,
        stacks: IStacks,
        routes: Router,
        clock: IReactorTime,
        connect: Connect,
        settings: HttpSettings | None = None,
        wall: Callable[[], float] = time.time,
        log: RequestLog | None = None,
        token: Callable[[Key], str] | None = None,
    ) -> None:
        self.stacks = stacks
        self.routes = routes
        self.judges = Judges()
        self.token = token
        self.connect = connect
        self.settings = settings = settings or HttpSettings()
        self.seconds: Callable[[], float] = clock.seconds
        self.pool: Pool[UpstreamConnection] = Pool(clock, settings.pool_size, settings.pool_idle, settings.unproven)
        self.upstreams = UpstreamFactory(self)
        self.clients: set[ClientConnection] = set()
        self.crowd = Crowd()
        self.spools = Spools(settings.spool_directory, settings.max_held_bodies)
        self.known: Known = {}  # fields of requests; to be cleared when the limits change
        self.counters = HttpCounters()
        self.exchange: type[Exchange] = Exchange if log is None else RecordedExchange
        self._requests: RequestLog = log or NoLog()
        self.stopping = False  # every answer is the last on its connection
        self.refusing = False  # new requests are refused
        self.date = b""
        self._clock = clock
        self._wall = wall
        self._sweeping = LoopingCall(self._sweep)
        self._sweeping.clock = clock
        self._stopped: list[Deferred[None]] = []
        self._ending: tuple[IDelayedCall, ...] = ()
        self._tell_time()

    @property
    def connections(self) -> int:
        """How many clients are connected."""
        return len(self.clients)

    def start(self) -> None:
        """Begin to look for what is overdue. Connections are taken by whoever listens with this factory."""
        self._requests.start()
        self._sweeping.start(SWEEP, now=False)

    def retire(self) -> Deferred[None]:
        """Let everybody finish, however long it takes: each client gets an answer to its next request, as the last one on its
        connection; one that asks nothing for LAST_CALL seconds is let go. Fires with None when all have gone. Stop listening
        first."""
        self.stopping = True
        self.settings = evolve(self.settings, idle_timeout=min(self.settings.idle_timeout, LAST_CALL))
        now = self.seconds()
        for client in self.clients:
            client.last_call(now)
        return self._when_empty()

    def stop(self) -> Deferred[None]:
        """Take no more requests. Fires with None when those in flight are answered and every connection is closed, or when
        ``settings.grace`` seconds are over and the rest was cut off. Who waits for a start that does not come about within
        LAST_START is refused: it is going to be given up. Stop listening first."""
        self.stopping = self.refusing = True
        now = self.seconds()
        for client in tuple(self.clients):
            client.stop(now)
        if self.clients:
            later = self._clock.callLater
            self._ending = later(LAST_START, self._refuse_held), later(self.settings.grace, self._cut_off)
        return self._when_empty()

    def _when_empty(self) -> Deferred[None]:
        if not self.clients:
            self._finish()
            return succeed(None)
        stopped: Deferred[None] = Deferred()
        self._stopped.append(stopped)
        return stopped

    def log_to(self, log: RequestLog | None) -> None:
        """Note requests there from now on, and no longer where they were noted; None: nowhere."""
        before, self._requests = self._requests, log or NoLog()
        self.exchange = Exchange if log is None else RecordedExchange
        if self._sweeping.running:
            self._requests.start()
            before.stop()

    def forget(self, endpoint: Endpoint) -> None:
        """What listened there has stopped: keep no connection to it."""
        self.pool.forget(endpoint)

    def incident(self, what: str, failure: Failure) -> str:
        """Log a fault of our own; returns the number under which the log has it."""
        return report(self._log, failure, what)

    def asked(self, ticket: Ticket, value: bytes) -> None:
        """An answer of this stack had the field by which it asks to be kept awake."""
        seconds = leases.seconds(value)
        if seconds is None:
            self._log.debug(events.LEASE_NONSENSE, key=ticket.key, value=value.decode("latin-1"))
        else:
            self.lease(ticket, seconds)

    def lease(self, ticket: Ticket, seconds: int) -> float:
        """Keep it awake for so long, but for no longer than the limit. Until when, in wall seconds."""
        most = min(seconds, self.settings.max_lease)
        ticket.lease(self.seconds(), most)
        return self._wall() + most

    def counted(self) -> HttpCounters:
        """What has been counted so far."""
        return evolve(self.counters, connections=self.connections)

    def note(self, served: Served) -> None:
        """A request is over."""
        if not self._requests.note(served):
            self.counters.unlogged += 1

    def rejected(self, peer: str, answer: Answer) -> None:
        """What a client has sent is no request that we serve."""
        self.counters.count(b"", answer.status)
        self.note(Rejected(peer, answer.status, len(answer.body)))

    def lost(self, client: ClientConnection) -> None:
        """A client's connection has gone."""
        self.clients.discard(client)
        if self._stopped and not self.clients:
            waiting, self._stopped = self._stopped, []
            self._finish()
            for stopped in waiting:
                stopped.callback(None)

    # -- IProtocolFactory ------------------------------------------------------------------------------------------------

    def buildProtocol(self, addr: IAddress | None) -> ClientConnection | None:
        if self.refusing:
            return None
        balancers = self.settings.proxy_protocol
        if balancers and trusted(plain_address(getattr(addr, "host", "")), balancers):
            return ProxiedConnection(self)
        return ClientConnection(self)

    def doStart(self) -> None:
        """Called by each port that listens; ``start`` does the work."""

    def doStop(self) -> None:
        """Called by each port that stops; ``stop`` does the work."""

    # -- once a second ---------------------------------------------------------------------------------------------------

    def _sweep(self) -> None:
        self._tell_time()
        now = self.seconds()
        for client in [client for client in self.clients if client.deadline <= now]:
            client.overdue(now)
        self.pool.sweep(now)

    def _tell_time(self) -> None:
        self.date = formatdate(self._wall(), usegmt=True).encode("ascii")

    def _refuse_held(self) -> None:
        for client in tuple(self.clients):
            if client.exchange is not None and isinstance(client.exchange.wait, Start):
                client.exchange.wait.closing()

    def _cut_off(self) -> None:
        for client in tuple(self.clients):
            client.abort()

    def _finish(self) -> None:
        for timer in self._ending:
            if timer.active():
                timer.cancel()
        if self._sweeping.running:
            self._sweeping.stop()
        self.pool.close()
        self._requests.stop()
