"""The engine's events, when the engine does not answer."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from queue import SimpleQueue
from typing import Any

import pytest
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock

from grandcentral.backends.docker import stream as stream_module
from grandcentral.backends.docker.lines import Lines
from grandcentral.backends.docker.stream import LATEST, Events
from grandcentral.errors import EngineUnavailable


class Reactor(Clock):
    """A clock, and what threads say, when the test listens to it."""

    def __init__(self) -> None:
        super().__init__()
        self.said: SimpleQueue[Callable[[], object]] = SimpleQueue()

    def callFromThread(self, callable: Callable[..., object], *args: object, **kwargs: object) -> None:
        self.said.put(lambda: callable(*args, **kwargs))

    def listen(self) -> None:
        """Take in one thing that a thread says; it has to come."""
        self.said.get(timeout=10)()


class Engine:
    """Refuses connections, as long as it is away, or ends its events at once."""

    def __init__(self) -> None:
        self.asked = 0
        self.away = True

    def __call__(self, base_url: str, timeout: int, lines: Lines) -> Engine:
        self.asked += 1
        if self.away:
            raise ConnectionRefusedError(111, "Connection refused")
        return self

    def happenings(self, filters: Any, since: str | None) -> Any:
        return Ended()

    def close(self) -> None:
        pass


class Ended:
    def __iter__(self) -> Iterator[Any]:
        return iter(())

    def close(self) -> None:
        pass


@pytest.fixture
def engine(monkeypatch: pytest.MonkeyPatch) -> Engine:
    engine = Engine()
    monkeypatch.setattr(stream_module, "Client", engine)
    return engine


@pytest.fixture
def reactor() -> Reactor:
    return Reactor()


@pytest.fixture
def told() -> list[str]:
    return []


@pytest.fixture
def events(engine: Engine, reactor: Reactor, told: list[str]) -> Iterator[Events]:
    events = Events(
        reactor, "unix:///nowhere", "test", lambda event: None, lambda: told.append("up"), lambda why: told.append("down")
    )
    yield events
    events.close()
    assert reactor.getDelayedCalls() == []


def a_minute(reactor: Reactor, answers: int) -> None:
    """:param answers: how many things a thread says for each attempt."""
    for _ in range(600):
        reactor.advance(0.1)
        if not reactor.getDelayedCalls():  # an attempt is under way
            for _ in range(answers):
                reactor.listen()


def test_an_engine_that_is_away_is_asked_again_every_few_seconds_and_not_more_often(
    events: Events, engine: Engine, reactor: Reactor
) -> None:
    refused: list[type[BaseException] | None] = []
    events.connected().addErrback(lambda failure: refused.append(failure.type))
    reactor.listen()
    assert refused == [EngineUnavailable]
    a_minute(reactor, 1)
    assert 60 / LATEST <= engine.asked <= 60 / LATEST + 8


def test_an_engine_that_ends_its_events_at_once_does_not_make_us_spin(
    events: Events, engine: Engine, reactor: Reactor, told: list[str]
) -> None:
    engine.away = False
    connected: Deferred[None] = events.connected()
    reactor.listen()
    assert connected.called
    reactor.listen()
    a_minute(reactor, 2)
    assert 60 / LATEST <= engine.asked <= 60 / LATEST + 8
    assert told == ["up", "down"] * engine.asked


def test_whoever_needs_the_engine_does_not_wait_for_the_next_attempt(events: Events, engine: Engine, reactor: Reactor) -> None:
    events.connected().addErrback(lambda failure: failure.trap(EngineUnavailable) and None)
    reactor.listen()
    asked = engine.asked
    events.connected().addErrback(lambda failure: failure.trap(EngineUnavailable) and None)
    reactor.listen()
    assert engine.asked == asked + 1
