"""The whole HTTP front door between a client and an application made of memory: both sides see bytes, and nothing else.

Transports behave as Twisted's do: connections are lost a moment later, not inside the call; a full buffer pauses its producer;
a paused reader gets what came when it reads again.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from attrs import define, field
from twisted.internet.defer import Deferred
from twisted.internet.error import ConnectionAborted, ConnectionDone, ConnectionLost, ConnectionRefusedError
from twisted.internet.interfaces import IProtocolFactory, ITCPTransport
from twisted.internet.task import Clock
from twisted.python.failure import Failure
from zope.interface import implementer

from grandcentral.core.keys import Key
from grandcentral.core.model import App, Endpoint
from grandcentral.core.routing import Routes
from grandcentral.core.tickets import Ticket
from grandcentral.errors import Asleep, Refusal
from grandcentral.frontends.http.frontend import HttpFrontend
from grandcentral.frontends.http.settings import HttpSettings

FULL = 64 * 1024
HOST = b"abc.review.test"
WALL = 1_800_000_000.0
DATE = b"Fri, 15 Jan 2027 08:00:00 GMT"


@define
class Address:
    host: str
    port: int = 40000


@implementer(ITCPTransport)
class MemoryTransport:
    """One end of a connection. ``sent`` is all that its protocol wrote and the other side took."""

    def __init__(self, clock: Clock, protocol: Any, peer: str) -> None:
        self.clock = clock
        self.protocol = protocol
        self.peer = peer
        self.sent = bytearray()
        self.pending = bytearray()  # written, but not taken by the other side
        self.taking = True
        self.finished = False  # FIN was sent
        self.aborted = False
        self.gone = False
        self.producer: Any = None
        self.reading = True
        self._paused_producer = False
        self._closing = False
        self._finishing = False
        self._inbox = bytearray()
        self._fin = False

    # -- what the protocol calls

    def write(self, data: bytes) -> None:
        assert isinstance(data, bytes)
        if self.gone or self.finished or not data:
            return
        if self.taking:
            self.sent += data
            return
        self.pending += data
        if self.producer is not None and len(self.pending) > FULL and not self._paused_producer:
            self._paused_producer = True
            self.producer.pauseProducing()

    def writeSequence(self, parts: Any) -> None:
        self.write(b"".join(parts))

    def registerProducer(self, producer: Any, streaming: bool) -> None:
        assert streaming
        assert self.producer is None
        self.producer = producer

    def unregisterProducer(self) -> None:
        self.producer = None

    def pauseProducing(self) -> None:
        self.reading = False

    def resumeProducing(self) -> None:
        assert not self._fin or self._inbox, "reading again after FIN: a real transport would spin"
        self.reading = True
        self.clock.callLater(0, self._deliver)

    def stopProducing(self) -> None:
        self.loseConnection()

    def loseConnection(self) -> None:
        self._closing = True
        self.reading = False
        self._maybe_close()

    def loseWriteConnection(self) -> None:
        self._finishing = True
        self._maybe_close()

    def abortConnection(self) -> None:
        if not self.gone and not self.aborted:
            self.aborted = True
            self.reading = False
            self.pending.clear()
            self.clock.callLater(0, self._lose, ConnectionAborted())

    def getPeer(self) -> Address:
        return Address(self.peer)

    def getHost(self) -> Address:
        return Address("127.0.0.1")

    def setTcpNoDelay(self, enabled: bool) -> None: ...
    def getTcpNoDelay(self) -> bool:
        return True

    def setTcpKeepAlive(self, enabled: bool) -> None: ...
    def getTcpKeepAlive(self) -> bool:
        return False

    # -- what the other side does

    def deliver(self, data: bytes) -> None:
        self._inbox += data
        self._deliver()

    def finish(self) -> None:
        """The other side sends FIN."""
        self._fin = True
        self._deliver()

    def reset(self) -> None:
        self._lose(ConnectionLost())

    def take(self, taking: bool = True) -> None:
        """The other side reads what we send, or stops to."""
        self.taking = taking
        if taking:
            self.sent += self.pending
            self.pending.clear()
            if self._paused_producer:
                self._paused_producer = False
                if self.producer is not None:
                    self.producer.resumeProducing()
            self._maybe_close()

    # -- within

    def _deliver(self) -> None:
        while self.reading and self._inbox and not self.gone:
            data = bytes(self._inbox[:FULL])
            del self._inbox[:FULL]
            self.protocol.dataReceived(data)
        if self._fin and not self._inbox and self.reading and not self.gone:
            self.reading = False
            self.protocol.readConnectionLost()

    def _maybe_close(self) -> None:
        if self.gone or self.pending:
            return
        if self._closing:
            self.clock.callLater(0, self._lose, ConnectionDone())
        elif self._finishing and not self.finished:
            self.finished = True
            self.clock.callLater(0, self.protocol.writeConnectionLost)

    def _lose(self, why: Exception) -> None:
        if not self.gone:
            self.gone = True
            self.reading = False
            self.protocol.connectionLost(Failure(why))


@define
class Answer:
    status: int
    reason: bytes
    fields: list[tuple[str, bytes]]
    body: bytes
    raw: bytes

    def __getitem__(self, name: str) -> bytes:
        return b", ".join(value for key, value in self.fields if key == name.lower())

    def __contains__(self, name: str) -> bool:
        return any(key == name.lower() for key, _ in self.fields)


class Incomplete(Exception):
    pass


def read_answer(data: bytes, method: bytes = b"GET", ended: bool = False) -> tuple[Answer, bytes]:
    """The first HTTP/1.1 response in data, and the rest; a parser of its own, as simple as a correct sender allows."""
    head, found, rest = data.partition(b"\r\n\r\n")
    if not found:
        raise Incomplete(data)
    line, *lines = head.split(b"\r\n")
    version, status_text, reason = line.split(b" ", 2)
    assert version == b"HTTP/1.1"
    status = int(status_text)
    fields = [(name.decode().lower(), value.strip()) for name, value in (each.split(b":", 1) for each in lines)]
    answer = Answer(status, reason, fields, b"", data)
    if status < 200 or status in (204, 304) or method == b"HEAD":
        body = b""
    elif "transfer-encoding" in answer:
        assert answer["transfer-encoding"] == b"chunked"
        body, rest = read_chunks(rest)
    elif "content-length" in answer:
        size = int(answer["content-length"])
        if len(rest) < size:
            raise Incomplete(data)
        body, rest = rest[:size], rest[size:]
    elif ended:
        body, rest = rest, b""
    else:
        raise Incomplete(data)
    answer.body = body
    answer.raw = data[: len(data) - len(rest)]
    return answer, rest


def read_chunks(data: bytes) -> tuple[bytes, bytes]:
    """(content, rest) of a chunked body with or without trailers."""
    body = b""
    while True:
        line, found, data = data.partition(b"\r\n")
        if not found:
            raise Incomplete(data)
        size = int(line, 16)
        if not size:
            while True:
                line, found, data = data.partition(b"\r\n")
                if not found:
                    raise Incomplete(data)
                if not line:
                    return body, data
        if len(data) < size + 2:
            raise Incomplete(data)
        body += data[:size]
        assert data[size : size + 2] == b"\r\n"
        data = data[size + 2 :]


@define(eq=False)
class Peer:
    """The far end of one connection, as a test plays it."""

    clock: Clock
    transport: MemoryTransport

    @property
    def received(self) -> bytes:
        return bytes(self.transport.sent)

    @property
    def closed(self) -> bool:
        """The gateway has sent FIN, or let the connection go."""
        return self.transport.finished or self.transport.gone or self.transport.aborted

    @property
    def reset(self) -> bool:
        return self.transport.aborted

    def send(self, data: bytes, piece: int = 0) -> None:
        for at in range(0, len(data), piece or len(data) or 1):
            self.transport.deliver(data[at : at + (piece or len(data))])
            self.clock.advance(0)

    def finish(self) -> None:
        self.transport.finish()
        self.clock.advance(0)
        self.clock.advance(0)

    def break_off(self) -> None:
        self.transport.reset()
        self.clock.advance(0)
        self.clock.advance(0)

    def answers(self, *methods: bytes) -> list[Answer]:
        """Every answer received, which must be whole; ``methods`` are those of the requests, GET if not said."""
        found: list[Answer] = []
        rest = self.received
        final = 0
        while rest:
            method = methods[final] if final < len(methods) else b"GET"
            answer, rest = read_answer(rest, method, self.closed)
            found.append(answer)
            final += answer.status >= 200
        return found

    def answer(self, method: bytes = b"GET") -> Answer:
        """The only answer received."""
        [found] = self.answers(method)
        return found


def split_request(data: bytes) -> tuple[bytes, list[tuple[str, bytes]], bytes]:
    """(request line, fields, what follows) of what an application received."""
    head, _, body = data.partition(b"\r\n\r\n")
    line, *lines = head.split(b"\r\n")
    return line, [(name.decode().lower(), value.strip()) for name, value in (each.split(b":", 1) for each in lines)], body


@define(eq=False)
class Stacks:
    """IStacks with every key ready at one endpoint, unless it is ``cold``: then a test fires what waits. ``asleep``: nothing
    has begun to start it, and requests that do not wake are told so."""

    cold: bool = False
    asleep: bool = False
    cold_when_lost: bool = False
    ready: dict[Key, Ticket] = field(factory=dict)
    waiting: list[Deferred[Ticket]] = field(factory=list)
    reported: list[Ticket] = field(factory=list)
    asked: list[tuple[bool, str]] = field(factory=list)  # wakes, client
    cancelled: int = 0
    text: tuple[str, float] | None = ("pulling images", 12.0)

    def ticket(self, key: Key) -> Ticket:
        if key not in self.ready:
            self.ready[key] = Ticket(key, 1, Endpoint("10.0.0.1", 3000))
        return self.ready[key]

    def peek(self, key: Key) -> Ticket | None:
        return None if self.cold else self.ticket(key)

    def ensure(self, key: Key, wakes: bool = True, client: str = "") -> Deferred[Ticket]:
        self.asked.append((wakes, client))
        def cancel(_: object) -> None:
            self.cancelled += 1

        deferred: Deferred[Ticket] = Deferred(cancel)
        if self.cold and self.asleep and not wakes:
            deferred.errback(Asleep(key, retry_after=30))
        elif self.cold:
            self.waiting.append(deferred)
        else:
            deferred.callback(self.ticket(key))
        return deferred

    def wake(self) -> None:
        self.cold = False
        waiting, self.waiting = self.waiting, []
        for deferred in waiting:
            if not deferred.called:
                deferred.callback(self.ticket(Key("app", "abc")))

    def refuse(self, why: Refusal | Exception) -> None:
        waiting, self.waiting = self.waiting, []
        for deferred in waiting:
            deferred.errback(why)

    def lost(self, ticket: Ticket) -> None:
        self.reported.append(ticket)
        self.cold = self.cold or self.cold_when_lost

    def progress(self, key: Key) -> tuple[str, float] | None:
        return self.text


APPS = (App(name="app", backend="static", hosts=("{version}.review.test",), version="name"),)


class Gateway:
    """``origin`` holds the application's ends of the connections made to it, in order."""

    def __init__(self, settings: HttpSettings | None = None, cold: bool = False) -> None:
        self.clock = Clock()
        self.stacks = Stacks(cold)
        self.origin: list[Peer] = []
        self.refuses = False  # the application's port is closed
        self.takes = True  # what is sent on a new connection; otherwise a test says when
        self.slow: list[tuple[Deferred[Any], Callable[[], None]]] | None = None  # dials that a test completes
        self.cancelled_dials = 0
        self.front = HttpFrontend(self.stacks, Routes(APPS), self.clock, self._connect, settings, lambda: WALL)
        self.front.start()

    def _connect(self, endpoint: Endpoint, factory: IProtocolFactory) -> Deferred[Any]:
        def cancel(_: object) -> None:
            self.cancelled_dials += 1

        deferred: Deferred[Any] = Deferred(cancel)

        def connected() -> None:
            protocol = factory.buildProtocol(None)
            self.origin.append(self._attach(protocol, endpoint.host, self.takes))
            deferred.callback(protocol)

        if self.slow is not None:
            self.slow.append((deferred, connected))
        elif self.refuses:
            deferred.errback(ConnectionRefusedError())
        else:
            connected()
        return deferred

    def _attach(self, protocol: Any, peer: str, takes: bool = True) -> Peer:
        transport = MemoryTransport(self.clock, protocol, peer)
        transport.taking = takes
        protocol.makeConnection(transport)
        return Peer(self.clock, transport)

    def client(self, peer: str = "192.0.2.7") -> Peer:
        protocol = self.front.buildProtocol(None)
        assert protocol is not None
        return self._attach(protocol, peer)

    def wait(self, seconds: float) -> None:
        """Let time pass, second by second."""
        for _ in range(int(seconds)):
            self.clock.advance(1.0)
        self.clock.advance(seconds % 1)

    def ask(self, request: bytes, answer: bytes, piece: int = 0) -> tuple[Peer, Peer]:
        """Send a request, and the application's answer to it; returns both ends."""
        client = self.client()
        client.send(request, piece)
        origin = self.origin[-1]
        origin.send(answer, piece)
        return client, origin


def get(target: bytes = b"/", *fields: bytes, method: bytes = b"GET", host: bytes = HOST) -> bytes:
    """A request without a body."""
    return b"%s %s HTTP/1.1\r\nHost: %s\r\n%s\r\n" % (method, target, host, b"".join(line + b"\r\n" for line in fields))


OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
