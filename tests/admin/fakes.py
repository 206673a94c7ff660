"""A stack table that does what a test says, and a client that speaks to the site without a socket."""

from __future__ import annotations

import json

from attrs import define, field
from twisted.internet.address import IPv4Address, UNIXAddress
from twisted.internet.defer import Deferred, succeed
from twisted.internet.interfaces import IAddress
from twisted.internet.task import Clock
from twisted.internet.testing import StringTransport
from twisted.python.failure import Failure
from zope.interface import implementer

from grandcentral.admin import AdminSite
from grandcentral.core.history import Start
from grandcentral.core.keys import Key
from grandcentral.core.model import StackSnapshot
from grandcentral.core.tickets import Ticket
from grandcentral.interfaces import IStackControl

LOOPBACK = IPv4Address("TCP", "127.0.0.1", 54321)
ELSEWHERE = IPv4Address("TCP", "192.0.2.7", 54321)
SOCKET = UNIXAddress(None)

TOKEN = "s3cret-tökén"
WALL = 1795179845.0  # 2026-11-20T13:04:05Z


@implementer(IStackControl)
@define(slots=False)
class FakeControl:
    """Knows the app "quepid"; ``calls`` is what was asked, with the Deferreds that the test fires."""

    stacks: tuple[StackSnapshot, ...] = ()
    calls: list[tuple[str, Key, Deferred]] = field(factory=list)
    cancelled: list[Key] = field(factory=list)

    def snapshot(self) -> tuple[StackSnapshot, ...]:
        return self.stacks

    def start(self, key: Key) -> Deferred[Ticket]:
        return self._asked("start", key)

    def stop(self, key: Key) -> Deferred[None]:
        return self._asked("stop", key)

    def pin(self, key: Key, pinned: bool) -> Deferred[None]:
        return self._asked("pin" if pinned else "unpin", key)

    def capacity(self) -> tuple[int, int]:
        return len(self.stacks), 20

    def _asked(self, verb: str, key: Key) -> Deferred:
        if key.app != "quepid":
            raise KeyError(key.app)
        answer: Deferred = Deferred(lambda _: self.cancelled.append(key))
        self.calls.append((verb, key, answer))
        return answer


@define
class FakeHistory:
    """As much of a manifest as the admin listener uses."""

    history: tuple[Start, ...] = ()

    def starts(self, key: Key, limit: int) -> Deferred[tuple[Start, ...]]:
        return succeed(tuple(start for start in self.history if start.key == key)[:limit])


@define
class Response:
    status: int
    fields: dict[str, str]
    body: bytes

    @property
    def json(self) -> dict:
        assert self.fields["content-type"] in ("application/json", "application/problem+json")
        return json.loads(self.body)


@define
class Browser:
    """Requests to one site, each on a connection of its own."""

    site: AdminSite
    clock: Clock
    control: FakeControl

    def send(self, method: str, target: str, peer: IAddress = LOOPBACK, body: bytes = b"", **fields: str) -> Exchange:
        """``fields`` are header fields, with "_" for "-"; without a host, it is "localhost:8081"."""
        fields = {"host": "localhost:8081", **({"content-length": str(len(body))} if body else {}), **fields}
        head = "".join(f"{name.replace('_', '-')}: {value}\r\n" for name, value in fields.items())
        transport = StringTransport(peerAddress=peer)
        channel = self.site.buildProtocol(peer)
        channel.callLater = self.clock.callLater
        channel.makeConnection(transport)
        exchange = Exchange(channel, transport)
        channel.dataReceived(f"{method} {target} HTTP/1.1\r\n{head}\r\n".encode() + body)
        return exchange

    def ask(self, method: str, target: str, peer: IAddress = LOOPBACK, body: bytes = b"", **fields: str) -> Response:
        """A request that is answered at once."""
        exchange = self.send(method, target, peer, body, **fields)
        response = exchange.response()
        exchange.leave()
        return response

    def call(self, method: str, target: str, **fields: str) -> Response:
        """``ask`` with the token."""
        return self.ask(method, target, authorization=f"Bearer {TOKEN}", **fields)


@define
class Exchange:
    channel: object
    transport: StringTransport

    @property
    def answered(self) -> bool:
        return bool(self.transport.value())

    def response(self) -> Response:
        head, _, body = self.transport.value().partition(b"\r\n\r\n")
        line, *rows = head.decode("latin-1").split("\r\n")
        fields = dict(row.split(": ", 1) for row in rows)
        return Response(int(line.split(" ")[1]), {name.lower(): value for name, value in fields.items()}, body)

    def leave(self) -> None:
        """The client hangs up."""
        self.channel.connectionLost(Failure(ConnectionResetError()))


def browser(
    stacks: tuple[StackSnapshot, ...] = (), history: tuple[Start, ...] = (), checks: dict | None = None, **options: object
) -> Browser:
    clock = Clock()
    clock.advance(1000)
    control = FakeControl(stacks)
    settings = {"token": TOKEN, **options}
    site = AdminSite(
        control=control,
        manifest=FakeHistory(history),
        checks=checks or {},
        version="1.2.3",
        clock=clock,
        wall=lambda: WALL,
        **settings,
    )
    return Browser(site, clock, control)
