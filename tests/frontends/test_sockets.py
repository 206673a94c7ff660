"""The front door over real loopback sockets: what memory cannot show of FIN, reset, buffers and refused connections."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest_twisted
from attrs import define, field
from twisted.internet import reactor
from twisted.internet.defer import Deferred
from twisted.internet.endpoints import TCP4ClientEndpoint, TCP4ServerEndpoint, connectProtocol
from twisted.internet.interfaces import IHalfCloseableProtocol
from twisted.internet.protocol import Factory, Protocol
from twisted.internet.task import deferLater
from twisted.python.failure import Failure
from zope.interface import implementer

from grandcentral.core.keys import Key
from grandcentral.core.model import Endpoint
from grandcentral.core.routing import Routes
from grandcentral.core.tickets import Ticket
from grandcentral.frontends.http.frontend import HttpFrontend
from grandcentral.relay.dialling import dialler

from .rig import APPS, OK, Stacks, get, read_answer, split_request

KEY = Key("app", "abc")


@implementer(IHalfCloseableProtocol)
class End(Protocol):
    """One end of a socket. ``finished``: FIN came; ``lost``: why the connection has gone."""

    def __init__(self, heard: Callable[[End, bytes], None] | None = None) -> None:
        self.received = bytearray()
        self.finished = False
        self.lost: Failure | None = None
        self._heard = heard

    def dataReceived(self, data: bytes) -> None:
        self.received += data
        if self._heard is not None:
            self._heard(self, data)

    def readConnectionLost(self) -> None:
        self.finished = True

    def writeConnectionLost(self) -> None: ...

    def connectionLost(self, reason: Failure = Failure(Exception())) -> None:  # noqa: B008
        self.lost = reason


@define
class Site:
    """A frontend on a port, before an application on another."""

    front: HttpFrontend
    stacks: Stacks
    port: int
    ends: list[End] = field(factory=list)
    heard: Callable[[End, bytes], None] | None = None

    async def connect(self) -> Any:
        return await connectProtocol(TCP4ClientEndpoint(reactor, "127.0.0.1", self.port), End())


async def until(condition: Callable[[], Any]) -> None:
    for _ in range(1000):
        if condition():
            return
        await deferLater(reactor, 0.01)
    raise AssertionError("it did not happen within ten seconds")


@pytest_twisted.async_yield_fixture
async def site() -> AsyncIterator[Site]:
    stacks = Stacks()
    front = HttpFrontend(stacks, Routes(APPS), reactor, dialler(reactor))
    listening = await TCP4ServerEndpoint(reactor, 0, interface="127.0.0.1").listen(front)
    found = Site(front, stacks, listening.getHost().port)

    class Application(Factory):
        noisy = False

        def buildProtocol(self, addr: object) -> End:
            found.ends.append(End(found.heard))
            return found.ends[-1]

    application = await TCP4ServerEndpoint(reactor, 0, interface="127.0.0.1").listen(Application())
    stacks.ready[KEY] = Ticket(KEY, 1, Endpoint("127.0.0.1", application.getHost().port))
    front.start()
    yield found
    await listening.stopListening()
    await application.stopListening()
    for client in tuple(front.clients):
        client.abort()
    await front.stop()
    for end in found.ends:
        end.transport.abortConnection()
    await until(lambda: all(end.lost for end in found.ends))


def ok(end: End, data: bytes) -> None:
    if data.endswith(b"\r\n\r\n"):
        end.transport.write(OK)


@pytest_twisted.ensureDeferred
async def test_requests_over_kept_connections(site: Site) -> None:
    site.heard = ok
    client = await site.connect()
    for number in range(1, 4):
        client.transport.write(get())
        await until(lambda count=number: client.received.count(b"\r\n\r\nok") == count)
    assert len(site.ends) == 1


@pytest_twisted.ensureDeferred
async def test_a_client_that_closes_takes_its_request_along(site: Site) -> None:
    client = await site.connect()
    client.transport.write(get())
    await until(lambda: site.ends and site.ends[0].received)
    client.transport.loseConnection()
    await until(lambda: site.ends[0].lost)
    await until(lambda: site.stacks.ready[KEY].in_flight == 0)


@pytest_twisted.ensureDeferred
async def test_an_application_that_breaks_off_cuts_the_client(site: Site) -> None:
    client = await site.connect()
    client.transport.write(get())
    await until(lambda: site.ends and site.ends[0].received)
    site.ends[0].transport.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n")
    await until(lambda: b"abc" in client.received)
    site.ends[0].transport.abortConnection()
    await until(lambda: client.finished or client.lost)
    assert not client.received.endswith(b"0\r\n\r\n")
    client.transport.loseConnection()


@pytest_twisted.ensureDeferred
async def test_an_early_refusal_reaches_a_client_that_is_still_sending(site: Site) -> None:
    client = await site.connect()
    client.transport.write(get(b"/", b"Content-Length: 3000000", method=b"POST", host=b"nobody.test"))
    client.transport.write(b"x" * 3_000_000)
    await until(lambda: client.finished)
    answer, _ = read_answer(bytes(client.received))
    assert answer.status == 404
    client.transport.loseConnection()
    await until(lambda: client.lost)


@pytest_twisted.ensureDeferred
async def test_a_tunnel_and_its_half_close(site: Site) -> None:
    client = await site.connect()
    client.transport.write(get(b"/", b"Connection: Upgrade", b"Upgrade: websocket") + b"early")
    await until(lambda: site.ends and site.ends[0].received)
    [end] = site.ends
    end.transport.write(b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\nfirst")
    await until(lambda: end.received.endswith(b"early") and client.received.endswith(b"first"))
    client.transport.loseWriteConnection()
    await until(lambda: end.finished)
    end.transport.write(b"last")
    await until(lambda: client.received.endswith(b"last"))
    end.transport.loseConnection()
    await until(lambda: client.finished or client.lost)
    client.transport.loseConnection()
    await until(lambda: site.stacks.ready[KEY].streams == 0)


@pytest_twisted.ensureDeferred
async def test_a_large_body_each_way(site: Site) -> None:
    size = 16 * 1024 * 1024
    body = bytes(range(256)) * (size // 256)

    def echo(end: End, data: bytes) -> None:
        if b"\r\n\r\n" in end.received and len(split_request(bytes(end.received[:4096]))[2]) + len(end.received) >= size:
            _, _, content = split_request(bytes(end.received))
            if len(content) == size:
                end.transport.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % size + content)

    site.heard = echo
    client = await site.connect()
    client.transport.write(get(b"/", b"Content-Length: %d" % size, method=b"PUT") + body)
    await until(lambda: len(client.received) > size)
    answer, _ = read_answer(bytes(client.received))
    assert answer.body == body


@pytest_twisted.ensureDeferred
async def test_a_closed_port_is_502(site: Site) -> None:
    listening = await TCP4ServerEndpoint(reactor, 0, interface="127.0.0.1").listen(Factory.forProtocol(Protocol))
    port = listening.getHost().port
    await listening.stopListening()
    site.stacks.ready[KEY] = Ticket(KEY, 1, Endpoint("127.0.0.1", port))
    client = await site.connect()
    client.transport.write(get())
    await until(lambda: client.received)
    answer, _ = read_answer(bytes(client.received))
    assert answer.status == 502
    assert len(site.stacks.reported) == 2


@pytest_twisted.ensureDeferred
async def test_a_dial_can_be_cancelled(site: Site) -> None:
    failures: list[Failure] = []
    dial: Deferred[Any] = dialler(reactor)(Endpoint("127.0.0.1", site.port), Factory.forProtocol(Protocol))
    dial.addErrback(failures.append)
    dial.cancel()
    await until(lambda: failures)
