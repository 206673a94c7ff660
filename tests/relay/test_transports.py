"""What our protocols rely on in a transport and in those who open one: Twisted's own, and those of the event loop.

These run on whatever reactor is installed; test_uvloop.py runs them once more on uvloop's.
"""

from __future__ import annotations

import socket
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
import pytest_twisted
from attrs import define, field
from twisted.internet import reactor
from twisted.internet.address import IPv4Address, IPv6Address
from twisted.internet.defer import CancelledError, Deferred, maybeDeferred
from twisted.internet.error import (
    ConnectionAborted,
    ConnectionDone,
    ConnectionLost,
    ConnectionRefusedError,
    TimeoutError,
    UserError,
)
from twisted.internet.interfaces import IHalfCloseableProtocol, IPushProducer
from twisted.internet.protocol import Factory, Protocol
from twisted.internet.task import deferLater
from twisted.python.failure import Failure
from zope.interface import implementer

from grandcentral.core.model import Endpoint
from grandcentral.relay.dialling import dialler, listener

LARGE = bytes(range(256)) * 32 * 1024  # 8 MiB: more than the kernel buffers


@implementer(IPushProducer)
class Plain(Protocol):
    """Notes what it is told, as a protocol and as the producer for its own transport."""

    def __init__(self, heard: Callable[[Plain, bytes], None] | None = None) -> None:
        self.received = bytearray()
        self.finished = False  # readConnectionLost
        self.flushed = False  # writeConnectionLost
        self.lost: Failure | None = None
        self.blocked = False
        self.stopped = False
        self.heard = heard

    def dataReceived(self, data: bytes) -> None:
        assert type(data) is bytes
        self.received += data
        if self.heard is not None:
            self.heard(self, data)

    def connectionLost(self, reason: Failure = Failure(Exception())) -> None:  # noqa: B008
        assert self.lost is None, "told twice"
        self.lost = reason

    def pauseProducing(self) -> None:
        assert not self.blocked
        self.blocked = True

    def resumeProducing(self) -> None:
        assert self.blocked
        self.blocked = False

    def stopProducing(self) -> None:
        self.stopped = True


@implementer(IHalfCloseableProtocol)
class Half(Plain):
    def readConnectionLost(self) -> None:
        assert not self.finished, "told twice"
        self.finished = True

    def writeConnectionLost(self) -> None:
        self.flushed = True


async def until(condition: Callable[[], Any]) -> None:
    for _ in range(1000):
        if condition():
            return
        await deferLater(reactor, 0.01)
    raise AssertionError("it did not happen within ten seconds")


@define
class Place:
    """A port, and all that was connected to it; ``make`` builds its next protocol."""

    port: Any
    ends: list[Any] = field(factory=list)
    dialled: list[Any] = field(factory=list)
    make: Callable[[], Any] = Half

    @property
    def endpoint(self) -> Endpoint:
        return Endpoint(self.port.getHost().host, self.port.getHost().port)

    async def dial(self, protocol: Any = None) -> Any:
        made = await dialler(reactor)(self.endpoint, _factory(lambda: protocol or Half()))
        self.dialled.append(made)
        return made

    async def pair(self, near: Any = None, far: Callable[[], Any] = Half) -> tuple[Any, Any]:
        """The dialling end and the accepting one of a new connection."""
        self.make = far
        count = len(self.ends)
        end = await self.dial(near)
        await until(lambda: len(self.ends) > count and self.ends[-1].transport is not None)
        return end, self.ends[-1]


def _factory(make: Callable[[], Any]) -> Factory:
    factory = Factory()
    factory.noisy = False
    factory.buildProtocol = lambda addr: make()  # type: ignore[method-assign,assignment]
    return factory


def bound(family: socket.AddressFamily = socket.AF_INET, backlog: int = 128) -> socket.socket:
    listening = socket.socket(family, socket.SOCK_STREAM)
    listening.bind(("::1" if family == socket.AF_INET6 else "127.0.0.1", 0))
    listening.listen(backlog)
    listening.setblocking(False)
    return listening


async def open_place(family: socket.AddressFamily = socket.AF_INET) -> Place:
    place = Place(None)

    def build() -> Any:
        made = place.make()
        if made is not None:
            place.ends.append(made)
        return made

    with bound(family) as listening:
        place.port = listener(reactor)(listening, _factory(build))
    return place


async def close_place(place: Place) -> None:
    await maybeDeferred(place.port.stopListening)
    both = [end for end in place.ends + place.dialled if end.transport is not None]
    for end in both:
        end.transport.abortConnection()
    await until(lambda: all(end.lost for end in both))


@pytest_twisted.async_yield_fixture
async def place() -> AsyncIterator[Place]:
    found = await open_place()
    yield found
    await close_place(found)


# -- bytes ----------------------------------------------------------------------------------------------------------------


@pytest_twisted.ensureDeferred
async def test_bytes_go_both_ways_and_each_end_knows_both_addresses(place: Place) -> None:
    near, far = await place.pair()
    near.transport.write(b"ping")
    near.transport.write(b"")
    near.transport.writeSequence([b" ", b"pong"])
    await until(lambda: far.received == b"ping pong")
    far.transport.write(b"pang")
    await until(lambda: near.received == b"pang")
    assert isinstance(near.transport.getPeer(), IPv4Address)
    assert near.transport.getPeer() == far.transport.getHost() == place.port.getHost()
    assert near.transport.getHost() == far.transport.getPeer()


@pytest_twisted.ensureDeferred
async def test_ipv6() -> None:
    place = await open_place(socket.AF_INET6)
    near, far = await place.pair()
    near.transport.write(b"six")
    await until(lambda: far.received == b"six")
    assert isinstance(far.transport.getPeer(), IPv6Address)
    assert (near.transport.getPeer().host, near.transport.getPeer().port) == ("::1", place.port.getHost().port)
    await close_place(place)


@pytest_twisted.ensureDeferred
async def test_names_are_looked_up(place: Place) -> None:
    made = await dialler(reactor)(Endpoint("localhost", place.endpoint.port), _factory(Half))
    place.dialled.append(made)
    await until(lambda: place.ends)


@pytest_twisted.ensureDeferred
async def test_one_large_write_arrives_whole(place: Place) -> None:
    near, far = await place.pair()
    near.transport.write(LARGE)
    near.transport.write(b"end")
    await until(lambda: len(far.received) == len(LARGE) + 3)
    assert far.received == LARGE + b"end"


@pytest_twisted.ensureDeferred
async def test_socket_options(place: Place) -> None:
    near, _ = await place.pair()
    for wanted in (True, False, True):
        near.transport.setTcpNoDelay(wanted)
        assert bool(near.transport.getTcpNoDelay()) is wanted
        near.transport.setTcpKeepAlive(wanted)
        assert bool(near.transport.getTcpKeepAlive()) is wanted


# -- back-pressure ----------------------------------------------------------------------------------------------------------


@pytest_twisted.ensureDeferred
async def test_a_producer_is_paused_while_the_other_side_does_not_read(place: Place) -> None:
    near, far = await place.pair()
    near.transport.registerProducer(near, True)
    far.transport.pauseProducing()
    near.transport.write(b"little")
    assert not near.blocked
    near.transport.write(LARGE)
    await until(lambda: near.blocked)
    far.transport.resumeProducing()
    await until(lambda: not near.blocked)
    await until(lambda: len(far.received) == len(LARGE) + 6)
    near.transport.unregisterProducer()


@pytest_twisted.ensureDeferred
async def test_nothing_is_read_while_paused_and_nothing_is_lost(place: Place) -> None:
    near, far = await place.pair(far=lambda: Half(lambda end, data: end.transport.pauseProducing()))
    near.transport.write(LARGE)
    await until(lambda: far.received)
    once = len(far.received)
    await deferLater(reactor, 0.05)  # time in which nothing is to happen
    assert len(far.received) == once
    far.heard = None
    far.transport.pauseProducing()
    far.transport.resumeProducing()
    far.transport.resumeProducing()
    await until(lambda: far.received == LARGE)


@pytest_twisted.ensureDeferred
async def test_a_protocol_may_pause_before_it_has_read_anything(place: Place) -> None:
    class Shy(Half):
        def connectionMade(self) -> None:
            self.transport.pauseProducing()

    near, far = await place.pair(near=Shy())
    far.transport.write(b"early")
    near.transport.write(b"late")
    await until(lambda: far.received == b"late")
    near.transport.resumeProducing()
    await until(lambda: near.received == b"early")


# -- half-closed --------------------------------------------------------------------------------------------------------------


@pytest_twisted.ensureDeferred
async def test_one_side_finishes_and_the_other_goes_on(place: Place) -> None:
    near, far = await place.pair()
    near.transport.write(b"request")
    near.transport.loseWriteConnection()
    await until(lambda: far.finished and near.flushed)
    assert far.received == b"request"
    far.transport.resumeProducing()  # after FIN it has no meaning, and does no harm
    far.transport.write(LARGE)
    far.transport.loseConnection()
    await until(lambda: near.finished and far.lost)
    assert near.received == LARGE
    near.transport.loseConnection()
    await until(lambda: near.lost)
    assert near.lost.check(ConnectionDone)
    assert far.lost.check(ConnectionDone)


@pytest_twisted.ensureDeferred
async def test_writing_is_over_only_when_everything_is_sent(place: Place) -> None:
    near, far = await place.pair()
    far.transport.pauseProducing()
    near.transport.write(LARGE)
    near.transport.loseWriteConnection()
    near.transport.loseWriteConnection()
    await deferLater(reactor, 0.05)
    assert not near.flushed
    far.transport.resumeProducing()
    await until(lambda: far.finished and near.flushed)
    assert far.received == LARGE


@pytest_twisted.ensureDeferred
async def test_who_knows_no_half_close_is_told_the_end(place: Place) -> None:
    near, far = await place.pair(far=Plain)
    near.transport.write(b"all")
    near.transport.loseWriteConnection()
    await until(lambda: far.lost)
    assert far.received == b"all"
    assert far.lost.check(ConnectionDone)
    await until(lambda: near.finished)


# -- the end ------------------------------------------------------------------------------------------------------------------


@pytest_twisted.ensureDeferred
async def test_closing_sends_what_was_written(place: Place) -> None:
    near, far = await place.pair()
    near.transport.write(LARGE)
    near.transport.loseConnection()
    near.transport.loseConnection()
    await until(lambda: far.finished)
    assert far.received == LARGE
    await until(lambda: near.lost)
    assert near.lost.check(ConnectionDone)


@pytest_twisted.ensureDeferred
async def test_closing_while_paused(place: Place) -> None:
    near, far = await place.pair()
    near.transport.pauseProducing()
    far.transport.write(b"unread")
    near.transport.write(b"last")
    near.transport.loseConnection()
    near.transport.resumeProducing()
    await until(lambda: near.lost)
    await until(lambda: far.received == b"last" or far.lost)
    assert near.received == b""


@pytest_twisted.ensureDeferred
async def test_aborting_resets_the_connection_and_drops_what_is_buffered(place: Place) -> None:
    near, far = await place.pair()
    far.transport.pauseProducing()
    near.transport.write(LARGE)
    near.transport.abortConnection()
    near.transport.abortConnection()
    assert near.lost is None, "inside the call"
    await until(lambda: near.lost)
    assert near.lost.check(ConnectionAborted)
    far.transport.resumeProducing()
    await until(lambda: far.lost)
    assert far.lost.check(ConnectionLost)
    assert len(far.received) < len(LARGE)
    assert not far.finished


@pytest_twisted.ensureDeferred
async def test_aborting_is_a_reset_even_if_nothing_is_buffered(place: Place) -> None:
    near, far = await place.pair()
    near.transport.write(b"half an answer")
    await until(lambda: far.received)
    near.transport.abortConnection()
    await until(lambda: far.lost)
    assert far.lost.check(ConnectionLost)
    assert not far.finished


@pytest_twisted.ensureDeferred
async def test_aborting_ends_a_close_that_does_not_come_to_an_end(place: Place) -> None:
    near, far = await place.pair()
    far.transport.pauseProducing()
    near.transport.write(LARGE)
    near.transport.loseConnection()
    await deferLater(reactor, 0.05)
    assert near.lost is None
    near.transport.abortConnection()
    await until(lambda: near.lost)


@pytest_twisted.ensureDeferred
async def test_nothing_is_heard_after_an_abort_from_within(place: Place) -> None:
    near, far = await place.pair(far=lambda: Half(lambda end, data: end.transport.abortConnection()))
    near.transport.write(LARGE)
    await until(lambda: far.lost)
    heard = len(far.received)
    await until(lambda: near.lost)
    assert len(far.received) == heard < len(LARGE)


@pytest_twisted.ensureDeferred
async def test_calls_on_a_connection_that_has_gone_do_nothing(place: Place) -> None:
    near, far = await place.pair()
    near.transport.registerProducer(near, True)
    far.transport.abortConnection()
    await until(lambda: near.lost)
    assert near.stopped
    transport = near.transport
    transport.write(b"?")
    transport.writeSequence([b"?"])
    transport.pauseProducing()
    transport.resumeProducing()
    transport.unregisterProducer()
    transport.loseConnection()
    transport.abortConnection()


@pytest_twisted.ensureDeferred
async def test_writing_to_who_has_reset_the_connection_ends_it(place: Place) -> None:
    near, far = await place.pair()
    near.transport.pauseProducing()
    far.transport.abortConnection()
    await until(lambda: far.lost)
    near.transport.write(b"x")
    near.transport.write(b"y")
    near.transport.resumeProducing()
    await until(lambda: near.lost)
    assert near.lost.check(ConnectionLost)


@pytest_twisted.ensureDeferred
async def test_a_protocol_that_raises_loses_its_connection_and_is_logged(place: Place, clean_reactor: list[Failure]) -> None:
    def heard(end: Plain, data: bytes) -> None:
        raise ZeroDivisionError

    near, far = await place.pair(far=lambda: Half(heard))
    near.transport.write(b"x")
    await until(lambda: far.lost and (near.finished or near.lost))
    assert any(failure.check(ZeroDivisionError) for failure in clean_reactor)
    clean_reactor.clear()


# -- ports --------------------------------------------------------------------------------------------------------------------


@pytest_twisted.ensureDeferred
async def test_a_factory_may_turn_a_connection_away(place: Place) -> None:
    place.make = lambda: None
    near = await place.dial()
    await until(lambda: near.finished or near.lost)
    assert place.ends == []


@pytest_twisted.ensureDeferred
async def test_a_port_that_does_not_read_leaves_connections_in_the_kernel(place: Place) -> None:
    place.port.stopReading()
    near = await place.dial()
    near.transport.write(b"hello")
    await deferLater(reactor, 0.05)
    assert place.ends == []
    place.port.startReading()
    await until(lambda: place.ends and place.ends[0].received == b"hello")


@pytest_twisted.ensureDeferred
async def test_a_port_that_stopped_refuses_and_leaves_connections_alone(place: Place) -> None:
    near, far = await place.pair()
    endpoint = place.endpoint
    await maybeDeferred(place.port.stopListening)
    with pytest.raises(ConnectionRefusedError):
        await dialler(reactor)(endpoint, _factory(Half))
    near.transport.write(b"still here")
    await until(lambda: far.received == b"still here")


# -- dialling -----------------------------------------------------------------------------------------------------------------


@pytest_twisted.ensureDeferred
async def test_a_dial_that_nobody_answers_fails_in_time() -> None:
    with bound(backlog=0) as listening:
        crowd = [socket.socket() for _ in range(4)]  # the queue is full, and further SYNs are dropped
        for each in crowd:
            each.setblocking(False)
            each.connect_ex(listening.getsockname())
        with pytest.raises(TimeoutError):
            await dialler(reactor, timeout=0.2)(Endpoint(*listening.getsockname()), _factory(Half))
        for each in crowd:
            each.close()


@pytest_twisted.ensureDeferred
async def test_a_cancelled_dial_connects_nobody(place: Place) -> None:
    made: list[Half] = []

    def make() -> Half:
        made.append(Half())
        return made[-1]

    dial: Deferred[Any] = dialler(reactor)(place.endpoint, _factory(make))
    dial.cancel()
    with pytest.raises((CancelledError, UserError)):
        await dial
    await place.dial()
    await until(lambda: all(protocol.lost for protocol in made if protocol.transport is not None))
