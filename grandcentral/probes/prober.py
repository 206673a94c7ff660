"""SocketProber: one HTTP request, or one TCP connection, and what came of it in words."""

from __future__ import annotations

from typing import Generic, TypeVar
from urllib.parse import quote

from twisted.internet import error
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.endpoints import TCP4ClientEndpoint, TCP6ClientEndpoint
from twisted.internet.interfaces import IReactorTCP, IReactorTime, ITCPTransport
from twisted.internet.protocol import Factory, Protocol, connectionDone
from twisted.python.failure import Failure
from zope.interface import implementer

from .. import __version__
from ..core.model import Endpoint, ReadyPolicy
from ..errors import NotReady
from ..interfaces import IProber
from .answer import NotHTTP, status_of

SETTLE = 0.05
"""Seconds that a connection must stay open when nothing is asked over it.

A port that the engine publishes is accepted by the engine's own proxy whether or not anybody listens inside; when nobody
does, the proxy hangs up at once. A service that greets first is believed at its first byte.
"""

Outcome = TypeVar("Outcome")


class _Exchange(Protocol, Generic[Outcome]):
    """A connection with one outcome. When ``outcome`` has fired, or was cancelled, the connection is on its way out."""

    transport: ITCPTransport

    def __init__(self) -> None:
        self.outcome: Deferred[Outcome] = Deferred(lambda _: self.transport.abortConnection())

    def succeed(self, value: Outcome) -> None:
        if not self.outcome.called:
            self.outcome.callback(value)
            self.transport.loseConnection()

    def fail(self, why: str) -> None:
        if not self.outcome.called:
            self.outcome.errback(NotReady(why))
            self.transport.abortConnection()


class _Page(_Exchange[int]):
    """Asks for a page; the outcome is the status of the answer."""

    def __init__(self, request: bytes) -> None:
        super().__init__()
        self._request = request
        self._received = b""

    def connectionMade(self) -> None:
        self.transport.write(self._request)

    def dataReceived(self, data: bytes) -> None:
        self._received += data
        try:
            status = status_of(self._received)
        except NotHTTP as reason:
            self.fail(f"answered {reason.args[0]!r}, which is not HTTP")
        else:
            if status is not None:
                self.succeed(status)

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        self.fail("hung up without an answer")


class _Visit(_Exchange[None]):
    """Asks nothing; it is a success to be let stay, or to be spoken to."""

    def __init__(self, clock: IReactorTime) -> None:
        super().__init__()
        self._clock = clock

    def connectionMade(self) -> None:
        self._settled = self._clock.callLater(SETTLE, self.succeed, None)

    def dataReceived(self, data: bytes) -> None:
        self.succeed(None)

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        if self._settled.active():
            self._settled.cancel()
        self.fail("hung up at once")


@implementer(IProber)
class SocketProber:
    """Asks as a browser would that came through the gateway: with the public host, and without following redirects.

    :param reactor: provides IReactorTCP and IReactorTime.
    """

    def __init__(self, reactor: IReactorTCP) -> None:
        self._reactor = reactor
        self._clock = IReactorTime(reactor)

    def probe(self, endpoint: Endpoint, policy: ReadyPolicy, host: str, timeout: float) -> Deferred[None]:
        """See IProber. Any HTTP answer below ``policy.below`` is ready, whatever it says."""

        def too_late(result: object, seconds: float) -> None:
            raise NotReady(f"did not answer within {_duration(seconds)}")

        attempt = Deferred.fromCoroutine(self._probe(endpoint, policy, host))
        return attempt.addTimeout(timeout, self._clock, onTimeoutCancel=too_late)

    async def _probe(self, endpoint: Endpoint, policy: ReadyPolicy, host: str) -> None:
        if policy.http is None:
            await self._exchange(endpoint, _Visit(self._clock))
            return
        status = await self._exchange(endpoint, _Page(request(policy.http, host)))
        if status >= policy.below:
            raise NotReady(f"answered {status}")

    async def _exchange(self, endpoint: Endpoint, exchange: _Exchange[Outcome]) -> Outcome:
        family = TCP6ClientEndpoint if ":" in endpoint.host else TCP4ClientEndpoint
        factory: Factory = Factory.forProtocol(lambda: exchange)
        factory.noisy = False  # a start that takes a minute is probed hundreds of times
        try:
            await family(self._reactor, endpoint.host, endpoint.port).connect(factory)
        except error.ConnectionRefusedError:
            raise NotReady("refused the connection") from None
        except error.ConnectingCancelledError:
            raise CancelledError from None
        except (error.ConnectError, error.DNSLookupError) as reason:
            raise NotReady(f"cannot be connected to: {reason}") from None
        return await exchange.outcome


def request(path: str, host: str) -> bytes:
    """The bytes of one probe. ``path`` is as a person wrote it: what may not stand in a request line is percent-encoded."""
    return (
        f"GET {quote(path, safe='/?&=%:@!$()*+,;~-._')} HTTP/1.1\r\n"
        f"Host: {host}\r\n"
        f"User-Agent: grandcentral-probe/{__version__}\r\n"
        "Accept: */*\r\n"
        "Connection: close\r\n"
        "\r\n"
    ).encode("ascii")


def _duration(seconds: float) -> str:
    return f"{seconds * 1000:.0f} ms" if seconds < 1 else f"{seconds:.3g} s"
