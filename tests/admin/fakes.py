"""A stack table that does what a test says, and a client that speaks to the site without a socket."""

from __future__ import annotations

import json

from attrs import define, field
from twisted.internet.address import IPv4Address, UNIXAddress
from twisted.internet.defer import Deferred, fail, succeed
from twisted.internet.interfaces import IAddress
from twisted.internet.task import Clock
from twisted.internet.testing import StringTransport
from twisted.python.failure import Failure
from zope.interface import implementer

from grandcentral.admin import AdminSite
from grandcentral.core.history import Start
from grandcentral.core.keys import Key
from grandcentral.core.model import App, LogTail, StackSnapshot
from grandcentral.core.provisions import Provision
from grandcentral.core.tickets import Ticket
from grandcentral.core.wanted import Wanted
from grandcentral.errors import NotProvisioned, Refusal
from grandcentral.interfaces import IProvisioning, IStackControl

LOOPBACK = IPv4Address("TCP", "127.0.0.1", 54321)
ELSEWHERE = IPv4Address("TCP", "192.0.2.7", 54321)
SOCKET = UNIXAddress(None)

TOKEN = "s3cret-tökén"
WALL = 1795179845.0  # 2026-11-20T13:04:05Z


@implementer(IStackControl)
@define(slots=False)
class FakeControl:
    """Knows the apps "quepid" and "hoodie"; ``calls`` is what was asked, with the Deferreds that the test fires."""

    stacks: tuple[StackSnapshot, ...] = ()
    calls: list[tuple[str, Key, Deferred]] = field(factory=list)
    said: list[dict] = field(factory=list)  # how each of them was asked for
    cancelled: list[Key] = field(factory=list)

    def snapshot(self) -> tuple[StackSnapshot, ...]:
        return self.stacks

    def start(self, key: Key) -> Deferred[Ticket]:
        return self._asked("start", key)

    def stop(self, key: Key, force: bool = False) -> Deferred[None]:
        return self._asked("stop", key, force=force)

    def remove(self, key: Key, volumes: bool = False) -> Deferred[None]:
        return self._asked("remove", key, volumes=volumes)

    def pin(self, key: Key, pinned: bool, until: float | None = None) -> Deferred[None]:
        return self._asked("pin" if pinned else "unpin", key, until=until)

    def logs(self, key: Key, lines: int) -> Deferred[tuple[LogTail, ...]]:
        return self._asked("logs", key, lines=lines)

    def capacity(self) -> tuple[int, int]:
        return len(self.stacks), 20

    def _asked(self, verb: str, key: Key, **how: object) -> Deferred:
        if key.app not in ("quepid", "hoodie"):
            raise KeyError(key.app)
        answer: Deferred = Deferred(lambda _: self.cancelled.append(key))
        self.calls.append((verb, key, answer))
        self.said.append(how)
        return answer


@define
class FakeHistory:
    """As much of a manifest as the admin listener uses."""

    history: tuple[Start, ...] = ()
    broken: Exception | None = None

    def starts(self, key: Key, limit: int) -> Deferred[tuple[Start, ...]]:
        if self.broken is not None:
            return fail(self.broken)
        return succeed(tuple(start for start in self.history if start.key == key)[:limit])

    def check(self) -> Deferred[None]:
        return succeed(None) if self.broken is None else fail(self.broken)


@implementer(IProvisioning)
@define
class FakeProvisioning:
    """Has the apps "hoodie", with places for user and app, and "postgres", with one for the user. ``answers`` are the Deferreds
    of deprovisions, which the test fires."""

    rows: dict[Key, Provision] = field(factory=dict)
    asked: list[Wanted] = field(factory=list)
    refusal: Refusal | None = None
    answers: list[Deferred[bool]] = field(factory=list)

    def apps(self) -> dict[str, App]:
        return {
            "hoodie": App("hoodie", "docker", ("{app}.{user}.example.com",), provisioned=True),
            "postgres": App("postgres", "docker", ("{user}.example.org",), provisioned=True),
        }

    def provision(self, wanted: Wanted) -> Deferred[tuple[Provision, bool]]:
        self.asked.append(wanted)
        if self.refusal is not None:
            return fail(self.refusal)
        made = wanted.key not in self.rows
        row = Provision(wanted.key, wanted.user, wanted.appname, wanted.email, "p4ss", WALL, wanted.expires)
        return succeed((self.rows.setdefault(wanted.key, row), made))

    def deprovision(self, key: Key) -> Deferred[bool]:
        if self.rows.pop(key, None) is None:
            return succeed(False)
        self.answers.append(Deferred())
        return self.answers[-1]

    def find(self, key: Key) -> Deferred[Provision]:
        return succeed(self.rows[key]) if key in self.rows else fail(NotProvisioned(key))

    def provisions(self) -> Deferred[tuple[Provision, ...]]:
        return succeed(tuple(self.rows.values()))


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
    stacks: tuple[StackSnapshot, ...] = (),
    history: tuple[Start, ...] = (),
    checks: dict | None = None,
    broken: Exception | None = None,
    **options: object,
) -> Browser:
    """``broken`` is what every call of the manifest fails with."""
    clock = Clock()
    clock.advance(1000)
    control = FakeControl(stacks)
    settings = {"token": TOKEN, **options}
    site = AdminSite(
        control=control,
        manifest=FakeHistory(history, broken),
        checks=checks or {},
        version="1.2.3",
        clock=clock,
        wall=lambda: WALL,
        **settings,
    )
    return Browser(site, clock, control)
