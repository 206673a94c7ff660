"""One HTTP exchange over real sockets, with servers that behave as servers do when something is wrong with them."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable

import pytest
import pytest_twisted
from twisted.internet import reactor
from twisted.internet.defer import CancelledError, Deferred, maybeDeferred
from twisted.internet.protocol import Factory, Protocol
from twisted.internet.task import deferLater
from twisted.web.client import Agent, HTTPConnectionPool

from grandcentral.errors import RegistryUnavailable
from grandcentral.versions.http import exchange, follow, is_loopback, origin


class _Said(Protocol):
    def __init__(self, server: Server) -> None:
        self._server = server
        self._request = b""

    def dataReceived(self, data: bytes) -> None:
        self._request += data
        head, end, body = self._request.partition(b"\r\n\r\n")
        tls = data.startswith(b"\x16\x03")
        if tls or (end and (b"POST" not in head or body)):
            self._server.asked.append(self._request)
            self._request = b""
            self._server.says(self)

    def connectionLost(self, reason: object = None) -> None:
        self._server.lost += 1


class Server:
    """Says what it is told to say to each request, and records what it was asked."""

    def __init__(self) -> None:
        self.asked: list[bytes] = []
        self.lost = 0
        self.says: Callable[[Protocol], None] = self.text(b"HTTP/1.1 200 OK\r\nX-Thing: 2\r\nContent-Length: 2\r\n\r\nok")
        self.port = reactor.listenTCP(0, Factory.forProtocol(lambda: _Said(self)), interface="127.0.0.1")
        self.pool = HTTPConnectionPool(reactor, persistent=False)
        self.agent = Agent(reactor, pool=self.pool)

    @property
    def host(self) -> str:
        return f"127.0.0.1:{self.port.getHost().port}"

    @staticmethod
    def text(*texts: bytes) -> Callable[[Protocol], None]:
        """Says the texts one after another, one to each request."""
        left = list(texts)
        return lambda protocol: protocol.transport.write(left.pop(0))  # type: ignore[union-attr]

    def get(self, path: str = "/", **options: object) -> Deferred:
        return Deferred.fromCoroutine(exchange(self.agent, "GET", f"http://{self.host}{path}", {}, **options))  # type: ignore[arg-type]

    async def all_gone(self) -> None:
        deadline = reactor.seconds() + 5
        while self.lost < 1:
            assert reactor.seconds() < deadline, "the connection is still open"
            await deferLater(reactor, 0.005)


@pytest_twisted.async_yield_fixture
async def server() -> AsyncIterator[Server]:
    server = Server()
    yield server
    await maybeDeferred(server.port.stopListening)
    await server.pool.closeCachedConnections()


@pytest_twisted.ensureDeferred
async def test_an_answer_has_status_fields_and_body(server: Server) -> None:
    answer = await server.get()
    assert (answer.status, answer.header("x-thing"), answer.header("Absent"), answer.body) == (200, "2", "", b"ok")
    assert server.asked[0].startswith(b"GET / HTTP/1.1\r\n")
    assert b"User-Agent: grandcentral/" in server.asked[0]


@pytest_twisted.ensureDeferred
async def test_a_form_is_posted_with_its_length(server: Server) -> None:
    await exchange(server.agent, "POST", f"http://{server.host}/", {"Content-Type": "text/plain"}, b"a=b")
    assert server.asked[0].endswith(b"\r\n\r\na=b")
    assert b"Content-Length: 3\r\n" in server.asked[0]


@pytest_twisted.ensureDeferred
async def test_an_answer_to_head_needs_no_body(server: Server) -> None:
    server.says = server.text(b"HTTP/1.1 200 OK\r\nContent-Length: 2000\r\n\r\n")
    answer = await exchange(server.agent, "HEAD", f"http://{server.host}/", {})
    assert (answer.status, answer.body) == (200, b"")


REDIRECT = b"HTTP/1.1 307 Temporary Redirect\r\nLocation: %s\r\nContent-Length: 0\r\n\r\n"


@pytest_twisted.ensureDeferred
async def test_a_redirect_on_the_same_host_is_followed(server: Server) -> None:
    server.says = server.text(REDIRECT % b"/there", b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nthere")
    assert (await server.get()).body == b"there"
    assert server.asked[1].startswith(b"GET /there ")


@pytest.mark.parametrize("target", [b"http://127.0.0.1:1/", b"https://evil.test/", b"//evil.test/", b"file:///etc/passwd"])
@pytest_twisted.ensureDeferred
async def test_a_redirect_elsewhere_is_not(server: Server, target: bytes) -> None:
    server.says = server.text(REDIRECT % target)
    with pytest.raises(RegistryUnavailable, match="nothing of ours is sent") as caught:
        await server.get()
    assert caught.value.status == 502


def hang_up(protocol: Protocol) -> None:
    protocol.transport.loseConnection()  # type: ignore[union-attr]


def half(protocol: Protocol) -> None:
    protocol.transport.write(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\nhalf")  # type: ignore[union-attr]
    protocol.transport.loseConnection()  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("says", "status", "words"),
    [
        (hang_up, 503, "hung up"),
        (half, 503, "hung up"),
        (Server.text(b"SSH-2.0-OpenSSH_9.2p1\r\n\r\n"), 502, "does not answer as a registry does"),
        (Server.text(b"HTTP/1.1 200 OK\r\nContent-Length: -5\r\n\r\n"), 502, "does not answer as a registry does"),
    ],
)
@pytest_twisted.ensureDeferred
async def test_a_broken_answer_is_told_by_host_and_kind(
    server: Server, says: Callable[[Protocol], None], status: int, words: str
) -> None:
    server.says = says
    with pytest.raises(RegistryUnavailable, match=words) as caught:
        await server.get()
    assert caught.value.status == status
    assert server.host in str(caught.value)


@pytest_twisted.ensureDeferred
async def test_a_refused_connection_is_told(server: Server) -> None:
    url = f"http://{server.host}/"
    await server.port.stopListening()
    with pytest.raises(RegistryUnavailable, match="cannot be reached") as caught:
        await exchange(server.agent, "GET", url, {})
    assert caught.value.status == 503


@pytest_twisted.ensureDeferred
async def test_plain_http_where_tls_should_be_is_told(server: Server) -> None:
    with pytest.raises(RegistryUnavailable, match="TLS") as caught:
        await exchange(server.agent, "GET", f"https://{server.host}/", {})
    assert caught.value.status == 502


@pytest_twisted.ensureDeferred
async def test_a_body_that_gets_too_long_is_cut_off(server: Server) -> None:
    server.says = server.text(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n" + b"x" * 500)
    with pytest.raises(RegistryUnavailable, match="an answer without end"):
        await server.get(largest=100)
    await server.all_gone()


@pytest.mark.parametrize("start", [b"", b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf"], ids=["silent", "half"])
@pytest_twisted.ensureDeferred
async def test_giving_up_closes_the_connection(server: Server, start: bytes) -> None:
    asked: Deferred[None] = Deferred()

    def says(protocol: Protocol) -> None:
        protocol.transport.write(start)  # type: ignore[union-attr]
        reactor.callLater(0, asked.callback, None)

    server.says = says
    answer = server.get()
    await asked
    await deferLater(reactor, 0.01)  # the half answer is on its way
    answer.cancel()
    with pytest.raises(CancelledError):
        await answer
    await server.all_gone()


@pytest.mark.parametrize(
    ("url", "known"),
    [
        ("http://a.test/x", ("http", "a.test", 80)),
        ("https://A.test:443", ("https", "a.test", 443)),
        ("http://[::1]:5000/", ("http", "::1", 5000)),
        ("ftp://a.test/", None),
        ("http:///x", None),
        ("http://[::1/", None),
        ("http://a.test:99999/", None),
        ("http://a.test/\r\nX: y", None),
        ("/x", None),
    ],
)
def test_the_origin_of_a_url(url: str, known: tuple[str, str, int] | None) -> None:
    assert origin(url) == known


def test_only_what_stays_on_its_host_is_followed() -> None:
    assert follow("http://a.test/v2/x?n=1", "/v2/y") == "http://a.test/v2/y"
    assert follow("http://a.test/v2/x", "http://a.test:80/y") == "http://a.test:80/y"
    for elsewhere in ("https://a.test/", "http://a.test:81/", "http://b.test/", "//b.test", "http://[", "mailto:x"):
        assert follow("http://a.test/v2/x", elsewhere) is None


def test_which_names_are_loopback() -> None:
    assert all(map(is_loopback, ["localhost", "registry.localhost", "127.0.0.1", "127.8.8.8", "::1"]))
    assert not any(map(is_loopback, ["localhost.test", "128.0.0.1", "registry.test", "::2", "", "0.0.0.0"]))
