"""A front door of an app's own port between a client and a server made of memory: both sides see bytes, and nothing else."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from attrs import define, field
from twisted.internet.defer import Deferred
from twisted.internet.error import ConnectionRefusedError
from twisted.internet.interfaces import IProtocolFactory
from twisted.internet.task import Clock

from grandcentral.core.keys import Key
from grandcentral.core.model import Endpoint
from grandcentral.core.tickets import Ticket
from grandcentral.errors import Refusal, UnknownVersion
from grandcentral.frontends.tcp import TcpFrontend, TcpSettings
from grandcentral.frontends.tcp.plain import PlainSpeech
from grandcentral.frontends.tcp.postgresql import PostgresqlSpeech
from grandcentral.frontends.tcp.redis import RedisSpeech
from grandcentral.frontends.tcp.speech import Speech

from .rig import MemoryTransport, Peer

NAMES = ("alice", "bob")
SPEECHES: dict[str, Callable[[], Speech]] = {
    "postgresql": lambda: PostgresqlSpeech("db", lambda name: name.islower()),
    "redis": lambda: RedisSpeech("db", lambda name: name.islower()),
    "tcp": lambda: PlainSpeech("db"),
}


@define(eq=False)
class Stacks:
    """IStacks with a stack for each of NAMES, and one without a name; a test wakes what is cold."""

    warm: bool = True
    tickets: dict[Key, Ticket] = field(factory=dict)
    asked: list[tuple[Key, str]] = field(factory=list)  # key, client
    waiting: list[tuple[Key, Deferred[Ticket]]] = field(factory=list)
    given_up: int = 0
    reported: list[Key] = field(factory=list)  # as lost

    def ticket(self, name: str = "alice") -> Ticket:
        number = 1 + ("", *NAMES).index(name)
        return self.tickets.setdefault(Key("db", name), Ticket(Key("db", name), 1, Endpoint(f"10.0.0.{number}", 5432)))

    def peek(self, key: Key) -> Ticket | None:
        ticket = self.tickets.get(key)
        return ticket if self.warm and ticket is not None and ticket.open else None

    def ensure(self, key: Key, wakes: bool = True, client: str = "") -> Deferred[Ticket]:
        def cancel(_: object) -> None:
            self.given_up += 1

        self.asked.append((key, client))
        waits: Deferred[Ticket] = Deferred(cancel)
        if key.name not in ("", *NAMES):
            waits.errback(UnknownVersion(key, "/srv/secret.git"))
        elif self.warm:
            waits.callback(self.ticket(key.name))
        else:
            self.waiting.append((key, waits))
        return waits

    def wake(self) -> None:
        self.warm = True
        waiting, self.waiting = self.waiting, []
        for key, waits in waiting:
            waits.callback(self.ticket(key.name))

    def refuse(self, why: Refusal | Exception) -> None:
        waiting, self.waiting = self.waiting, []
        for _, waits in waiting:
            waits.errback(why)

    def lost(self, ticket: Ticket) -> None:
        self.reported.append(ticket.key)

    def progress(self, key: Key) -> tuple[str, float] | None:
        return None


class Port:
    """``servers`` has the server's ends of the connections made to stacks, in order; ``dialled`` says where to."""

    def __init__(self, protocol: str, settings: TcpSettings | None = None, warm: bool = True) -> None:
        self.clock = Clock()
        self.stacks = Stacks(warm)
        self.servers: list[Peer] = []
        self.dialled: list[str] = []
        self.refuses = 0  # so many attempts to connect from now on
        self.hangs = False  # attempts to connect come to nothing
        self.hung_up = 0  # of those, given up
        self.front = TcpFrontend(self.stacks, self.clock, self._connect, settings)
        self.door = self.front.door(protocol, SPEECHES[protocol])
        self.front.start()

    def _connect(self, endpoint: Endpoint, factory: IProtocolFactory) -> Deferred[Any]:
        def cancel(_: object) -> None:
            self.hung_up += 1

        self.dialled.append(endpoint.host)
        connected: Deferred[Any] = Deferred(cancel)
        if self.hangs:
            return connected
        if self.refuses:
            self.refuses -= 1
            connected.errback(ConnectionRefusedError())
            return connected
        protocol = factory.buildProtocol(None)
        self.servers.append(self._attach(protocol, endpoint.host))
        connected.callback(protocol)
        return connected

    def _attach(self, protocol: Any, peer: str) -> Peer:
        transport = MemoryTransport(self.clock, protocol, peer)
        protocol.makeConnection(transport)
        return Peer(self.clock, transport)

    def client(self, peer: str = "192.0.2.7") -> Peer:
        protocol = self.door.buildProtocol(None)
        assert protocol is not None
        return self._attach(protocol, peer)

    @property
    def server(self) -> Peer:
        return self.servers[-1]

    def wait(self, seconds: float) -> None:
        """Let time pass, in steps of a tenth of a second."""
        for _ in range(round(seconds * 10)):
            self.clock.advance(0.1)
