"""SocketProber, against small servers on the loopback interface and, where the network misbehaves, a reactor in memory."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable

import pytest
import pytest_twisted
from twisted.internet import reactor
from twisted.internet.address import IPv4Address
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.protocol import Factory, Protocol, connectionDone
from twisted.internet.testing import MemoryReactorClock
from twisted.logger import capturedLogs
from twisted.python.failure import Failure
from zope.interface.verify import verifyObject

from grandcentral.core.model import Endpoint, ReadyPolicy
from grandcentral.errors import NotReady
from grandcentral.interfaces import IProber
from grandcentral.probes import SocketProber

PAGE = ReadyPolicy(http="/up")
PORT_ONLY = ReadyPolicy(http=None)


class Server(Protocol):
    """Says ``greeting``, and ``answer`` once it has got a request; hangs up if told to. Remembers what it saw."""

    greeting = b""
    answer = b""
    hangs_up = False

    def connectionMade(self) -> None:
        self.received = b""
        self.gone: Deferred[None] = Deferred()
        self.factory.connections.append(self)
        self.factory.all_connections.append(self)
        if self.greeting:
            self.transport.write(self.greeting)
        if self.hangs_up and not self.answer:
            self.transport.loseConnection()

    def dataReceived(self, data: bytes) -> None:
        self.received += data
        if b"\r\n\r\n" in self.received and self.answer:
            self.transport.write(self.answer)

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        self.gone.callback(None)


Serve = Callable[..., Awaitable[tuple[Endpoint, list[Server]]]]


@pytest_twisted.async_yield_fixture
async def serve() -> AsyncIterator[Serve]:
    """Starts servers; ``await serve(answer=…)`` gives the endpoint and the list of connections it will have had."""
    ports = []
    every_connection: list[Server] = []

    async def start(interface: str = "127.0.0.1", **behaviour: object) -> tuple[Endpoint, list[Server]]:
        factory = Factory.forProtocol(type("Server", (Server,), behaviour))
        factory.noisy = False
        factory.connections = connections = []
        factory.all_connections = every_connection
        port = reactor.listenTCP(0, factory, interface=interface)
        ports.append(port)
        return Endpoint(interface, port.getHost().port), connections

    yield start
    for port in ports:
        await port.stopListening()
    for connection in every_connection:
        connection.transport.abortConnection()
        await connection.gone


async def refusal(probe: Deferred[None]) -> str:
    with pytest.raises(NotReady) as caught:
        await probe
    return str(caught.value)


def test_it_is_a_prober() -> None:
    assert verifyObject(IProber, SocketProber(reactor))


@pytest_twisted.ensureDeferred
async def test_an_answer_is_ready_and_the_connection_is_closed(serve: Serve) -> None:
    endpoint, connections = await serve(answer=b"HTTP/1.1 200 OK\r\n\r\nhello")
    assert await SocketProber(reactor).probe(endpoint, PAGE, "db139cf.review.example.com", 5) is None
    await connections[0].gone


@pytest.mark.parametrize("policy", [PAGE, PORT_ONLY])
@pytest_twisted.ensureDeferred
async def test_the_log_does_not_hear_of_each_attempt(serve: Serve, policy: ReadyPolicy) -> None:
    endpoint, connections = await serve(answer=b"HTTP/1.1 200 OK\r\n\r\n")
    with capturedLogs() as logged:
        await SocketProber(reactor).probe(endpoint, policy, "db139cf.review.example.com", 5)
        await connections[0].gone
    assert logged == []


@pytest.mark.failure(25)
@pytest_twisted.ensureDeferred
async def test_it_asks_with_the_public_host(serve: Serve) -> None:
    """An application that allows only its own hosts, as Rails does, must not see the container's address."""
    endpoint, connections = await serve(answer=b"HTTP/1.1 200 OK\r\n\r\n")
    await SocketProber(reactor).probe(endpoint, PAGE, "db139cf.review.example.com", 5)
    line, *fields = connections[0].received.decode().split("\r\n")
    assert line == "GET /up HTTP/1.1"
    assert "Host: db139cf.review.example.com" in fields
    assert "Connection: close" in fields
    assert any(field.startswith("User-Agent: grandcentral-probe/") for field in fields)


@pytest_twisted.ensureDeferred
async def test_a_path_is_encoded(serve: Serve) -> None:
    endpoint, connections = await serve(answer=b"HTTP/1.1 200 OK\r\n\r\n")
    await SocketProber(reactor).probe(endpoint, ReadyPolicy(http="/a b?c=%20&d=ü\r\nX: y"), "example.com", 5)
    assert connections[0].received.startswith(b"GET /a%20b?c=%20&d=%C3%BC%0D%0AX:%20y HTTP/1.1\r\n")


@pytest.mark.failure(7)
@pytest.mark.parametrize("status", [301, 401, 404, 499])
@pytest_twisted.ensureDeferred
async def test_any_status_below_500_is_ready_and_a_redirect_is_not_followed(serve: Serve, status: int) -> None:
    endpoint, connections = await serve(answer=b"HTTP/1.1 %d Whatever\r\nLocation: http://127.0.0.1:1/\r\n\r\n" % status)
    await SocketProber(reactor).probe(endpoint, PAGE, "example.com", 5)
    assert len(connections) == 1


@pytest.mark.failure(7)
@pytest_twisted.ensureDeferred
async def test_a_status_that_is_too_high_is_not_ready(serve: Serve) -> None:
    endpoint, _ = await serve(answer=b"HTTP/1.1 503 Service Unavailable\r\n\r\n")
    assert await refusal(SocketProber(reactor).probe(endpoint, PAGE, "example.com", 5)) == "answered 503"


@pytest_twisted.ensureDeferred
async def test_what_is_too_high_is_the_policys_to_say(serve: Serve) -> None:
    endpoint, _ = await serve(answer=b"HTTP/1.1 404 Not Found\r\n\r\n")
    assert await refusal(SocketProber(reactor).probe(endpoint, ReadyPolicy(below=400), "example.com", 5)) == "answered 404"


@pytest_twisted.ensureDeferred
async def test_interim_answers_do_not_count(serve: Serve) -> None:
    endpoint, _ = await serve(answer=b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 502 Bad Gateway\r\n\r\n")
    assert await refusal(SocketProber(reactor).probe(endpoint, PAGE, "example.com", 5)) == "answered 502"


@pytest_twisted.ensureDeferred
async def test_nobody_listens(serve: Serve) -> None:
    port = reactor.listenTCP(0, Factory(), interface="127.0.0.1")
    endpoint = Endpoint("127.0.0.1", port.getHost().port)
    await port.stopListening()
    assert await refusal(SocketProber(reactor).probe(endpoint, PAGE, "example.com", 5)) == "refused the connection"


@pytest_twisted.ensureDeferred
async def test_it_hangs_up(serve: Serve) -> None:
    endpoint, _ = await serve(hangs_up=True)
    assert await refusal(SocketProber(reactor).probe(endpoint, PAGE, "example.com", 5)) == "hung up without an answer"


@pytest_twisted.ensureDeferred
async def test_it_is_silent(serve: Serve) -> None:
    endpoint, connections = await serve()
    assert await refusal(SocketProber(reactor).probe(endpoint, PAGE, "example.com", 0.2)) == "did not answer within 200 ms"
    await connections[0].gone


@pytest_twisted.ensureDeferred
async def test_it_speaks_something_else(serve: Serve) -> None:
    endpoint, _ = await serve(greeting=b"SSH-2.0-OpenSSH_9.2\r\n")
    why = await refusal(SocketProber(reactor).probe(endpoint, PAGE, "example.com", 5))
    assert why == r"answered b'SSH-2.0-OpenSSH_9.2\r\n', which is not HTTP"


@pytest_twisted.ensureDeferred
async def test_over_ipv6(serve: Serve) -> None:
    try:
        endpoint, _ = await serve(interface="::1", answer=b"HTTP/1.1 200 OK\r\n\r\n")
    except OSError:
        pytest.skip("this machine has no ::1")
    await SocketProber(reactor).probe(endpoint, PAGE, "example.com", 5)


@pytest_twisted.ensureDeferred
async def test_without_a_path_an_open_port_is_ready_and_nothing_is_sent(serve: Serve) -> None:
    endpoint, connections = await serve()
    await SocketProber(reactor).probe(endpoint, PORT_ONLY, "example.com", 5)
    await connections[0].gone
    assert connections[0].received == b""


@pytest_twisted.ensureDeferred
async def test_without_a_path_a_greeting_is_ready_at_once(serve: Serve) -> None:
    endpoint, _ = await serve(greeting=b"220 mail.example.com ESMTP\r\n")
    await SocketProber(reactor).probe(endpoint, PORT_ONLY, "example.com", 5)


@pytest_twisted.ensureDeferred
async def test_a_port_that_hangs_up_at_once_is_not_open(serve: Serve) -> None:
    """The engine's proxy accepts on a published port before anybody listens inside, and then hangs up."""
    endpoint, _ = await serve(hangs_up=True)
    assert await refusal(SocketProber(reactor).probe(endpoint, PORT_ONLY, "example.com", 5)) == "hung up at once"


@pytest.mark.failure(7)
def test_packets_that_are_dropped_take_no_longer_than_the_timeout() -> None:
    memory = MemoryReactorClock()
    probe = SocketProber(memory).probe(Endpoint("10.0.0.9", 80), PAGE, "example.com", 0.2)
    memory.advance(0.19)
    assert not probe.called
    memory.advance(0.02)
    assert str(memory_failure(probe)) == "did not answer within 200 ms"
    assert memory.connectors[0].stoppedConnecting
    assert memory.getDelayedCalls() == []


def test_a_probe_that_is_cancelled_says_so_and_stops_connecting() -> None:
    memory = MemoryReactorClock()
    probe = SocketProber(memory).probe(Endpoint("10.0.0.9", 80), PAGE, "example.com", 5)
    probe.cancel()
    assert isinstance(memory_failure(probe), CancelledError)
    assert memory.connectors[0].stoppedConnecting
    assert memory.getDelayedCalls() == []


def test_a_probe_that_is_cancelled_while_it_listens_hangs_up() -> None:
    memory = MemoryReactorClock()
    probe = SocketProber(memory).probe(Endpoint("10.0.0.9", 80), PORT_ONLY, "example.com", 5)
    protocol = memory.tcpClients[0][2].buildProtocol(IPv4Address("TCP", "10.0.0.9", 80))
    transport = Hanging()
    protocol.makeConnection(transport)
    probe.cancel()
    assert isinstance(memory_failure(probe), CancelledError)
    assert transport.aborted
    protocol.connectionLost(Failure(connectionDone.value))
    assert memory.getDelayedCalls() == []


class Hanging:
    aborted = False

    def abortConnection(self) -> None:
        self.aborted = True


def memory_failure(probe: Deferred[None]) -> BaseException:
    failures: list[Failure] = []
    probe.addErrback(failures.append)
    return failures[0].value
