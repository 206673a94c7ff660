"""The front doors of apps' own ports: takes connections, owns what they share, and looks once a second for what is overdue."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from attrs import define
from twisted.internet.defer import Deferred, succeed
from twisted.internet.interfaces import IAddress, IDelayedCall, IProtocolFactory, IReactorTime
from twisted.internet.task import LoopingCall
from twisted.logger import Logger
from twisted.python.failure import Failure
from zope.interface import implementer

from ... import events
from ...core.counters import TcpCounters
from ...core.model import Endpoint
from ...core.tickets import Ticket
from ...errors import Refusal, TooManyConnections
from ...incidents import report
from ...interfaces import IStacks
from ...relay.pool import Connect
from ...relay.streams import Stream
from ...wire.postgresql_server import SessionKey
from ..http.crowd import Crowd
from .client import Client
from .origin import Message
from .settings import TcpSettings
from .speech import Speech

SWEEP = 1.0  # seconds

Interrupt = Callable[[SessionKey, bytes], "Deferred[Any]"]
"""Passes on a cancel request for a session; fires when that is over, whether there is such a session or not."""


def nowhere(session: SessionKey, message: bytes) -> Deferred[Any]:
    """An Interrupt that knows no session."""
    return succeed(None)


class TcpFrontend:
    """
    :param stacks: where stacks are asked for.
    :param clock: monotonic ``seconds()`` and ``callLater``.
    :param connect: opens connections to endpoints.
    :param crowd: counts connections, those of other front doors included; ``others()`` are those of them that count in full.
    :ivar elsewhere: asks other processes about a session that is none of ours.
    """

    _log = Logger(namespace="grandcentral.frontends.tcp")

    def __init__(
        self,
        stacks: IStacks,
        clock: IReactorTime,
        connect: Connect,
        settings: TcpSettings | None = None,
        crowd: Crowd | None = None,
        others: Callable[[], int] = lambda: 0,
    ) -> None:
        self.stacks = stacks
        self.clock = clock
        self.connect = connect
        self.settings = settings or TcpSettings()
        self.seconds: Callable[[], float] = clock.seconds
        self.crowd = crowd or Crowd()
        self.clients: set[Client] = set()
        self.sessions: dict[SessionKey, dict[Client, Endpoint]] = {}  # that can be cancelled, and where
        self.elsewhere: Interrupt = nowhere
        self.counters = TcpCounters()
        self.refusing = False
        self._others = others
        self._leaving: dict[Stream, float] = {}  # until when they may take what was written
        self._asked: set[Ticket] = set()
        self._sweeping = LoopingCall(self._sweep)
        self._sweeping.clock = clock
        self._stopped: list[Deferred[None]] = []
        self._grace: IDelayedCall | None = None

    def door(self, protocol: str, speech: Callable[[], Speech]) -> IProtocolFactory:
        """What listens on a port: each connection gets a speech of its own."""
        return _Door(self, protocol, speech)

    @property
    def connections(self) -> int:
        """How many clients are connected."""
        return len(self.clients)

    def counted(self) -> TcpCounters:
        """What has been counted so far."""
        open_now: dict[str, int] = {}
        for client in self.clients:
            open_now[client.protocol] = open_now.get(client.protocol, 0) + 1
        return TcpCounters(open_now, dict(self.counters.refusals))

    # -- for its clients --------------------------------------------------------------------------------------------------

    def seat(self, peer: str) -> TooManyConnections | None:
        """A seat for one more of this address, or which limit that would exceed."""
        return self.crowd.seat(peer, not peer, self._others() + self.crowd.guests, self.settings)

    def refused(self, protocol: str, refusal: Refusal) -> None:
        """A client was told that."""
        self.counters.refused(protocol, refusal.type)

    def incident(self, what: str, failure: Failure) -> str:
        """Log a fault of our own; returns the number under which the log has it."""
        return report(self._log, failure, what)

    def still_used(self, ticket: Ticket) -> None:
        """Somebody whose session has been silent speaks to a stack that is about to sleep, or does: it is asked for again."""
        if ticket not in self._asked:
            self._asked.add(ticket)
            asked = self.stacks.ensure(ticket.key)
            asked.addErrback(
                lambda failure: self._log.debug(events.SESSION_LOST, key=ticket.key, why=failure.getErrorMessage())
            )
            asked.addBoth(lambda _: self._asked.discard(ticket))

    def let_go(self, stream: Stream) -> None:
        """Close it when all that was written is taken, but wait for that no longer than it is worth."""
        stream.close()
        if not stream.gone:
            self._leaving[stream] = self.seconds() + self.settings.flush_timeout

    def interrupt(self, session: SessionKey, message: bytes) -> Deferred[Any]:
        """Pass on a cancel request, to the server of that session or to nobody. Fires when that is over."""
        return self.interrupt_here(session, message) if session in self.sessions else self.elsewhere(session, message)

    def interrupt_here(self, session: SessionKey, message: bytes) -> Deferred[Any]:
        """The same, of sessions of this process. Servers that give each session the same key cannot be told apart by it: nobody
        may stop what another's server does."""
        there = set(self.sessions.get(session, {}).values())
        if len(there) != 1:
            return succeed(None)
        [endpoint] = there
        delivery = Message(message)
        done = self.connect(endpoint, delivery).addCallback(lambda _: delivery.over)
        done.addTimeout(self.settings.cancel_timeout, self.clock)
        done.addErrback(lambda failure: self._log.debug(events.CANCEL_LOST, why=failure.getErrorMessage()))
        return done

    def session_over(self, session: SessionKey, client: Client) -> None:
        """This client's session has ended; another's may be called the same."""
        those = self.sessions.get(session, {})
        those.pop(client, None)
        if not those:
            self.sessions.pop(session, None)

    def lost(self, client: Client) -> None:
        """A client's connection has gone."""
        self.clients.discard(client)
        if self._stopped and not self.clients:
            waiting, self._stopped = self._stopped, []
            self._finish()
            for stopped in waiting:
                stopped.callback(None)

    # -- from the beginning to the end -----------------------------------------------------------------------------------------

    def start(self) -> None:
        """Begin to look for what is overdue. Connections are taken by whoever listens with a ``door``."""
        self._sweeping.start(SWEEP, now=False)

    def retire(self) -> Deferred[None]:
        """Let every session go on for as long as it likes. Fires with None when all have gone. Stop listening first."""
        return self._when_empty()

    def stop(self) -> Deferred[None]:
        """Fires with None when the last session is over, or when ``settings.grace`` seconds are and the rest was cut off. Who
        has no session yet is refused. Stop listening first."""
        self.refusing = True
        for client in tuple(self.clients):
            client.stop()
        if self.clients:
            self._grace = self.clock.callLater(self.settings.grace, self._cut_off)
        return self._when_empty()

    def _when_empty(self) -> Deferred[None]:
        if not self.clients:
            self._finish()
            return succeed(None)
        stopped: Deferred[None] = Deferred()
        self._stopped.append(stopped)
        return stopped

    def _sweep(self) -> None:
        now = self.seconds()
        for client in [client for client in self.clients if client.deadline <= now]:
            client.overdue()
        for stream, until in list(self._leaving.items()):
            if stream.gone:
                del self._leaving[stream]
            elif until <= now:
                stream.abort()

    def _cut_off(self) -> None:
        for client in tuple(self.clients):
            client.leave()
            client.abort()

    def _finish(self) -> None:
        if self._grace is not None and self._grace.active():
            self._grace.cancel()
        if self._sweeping.running:
            self._sweeping.stop()
        for stream in self._leaving:
            stream.abort()
        self._leaving.clear()


@implementer(IProtocolFactory)
@define(eq=False)
class _Door:
    _front: TcpFrontend
    _protocol: str
    _speech: Callable[[], Speech]
    noisy = False

    def buildProtocol(self, addr: IAddress | None) -> Client | None:
        return None if self._front.refusing else Client(self._front, self._protocol, self._speech())

    def doStart(self) -> None:
        """Called by each port that listens; ``start`` does the work."""

    def doStop(self) -> None:
        """Called by each port that stops; ``stop`` does the work."""
