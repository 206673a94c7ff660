"""Calls that an engine takes and never answers, when the backend closes."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable

import pytest
import pytest_twisted
from twisted.internet import reactor
from twisted.internet.defer import Deferred

from grandcentral.backends.docker.calls import GRACE, LAST, Calls
from grandcentral.backends.docker.client import Client
from grandcentral.backends.docker.lines import Lines
from grandcentral.errors import EngineUnavailable


@pytest_twisted.ensureDeferred
async def test_a_call_that_does_not_end_is_cut_off_after_its_grace() -> None:
    with socket.create_server(("127.0.0.1", 0)) as engine:
        calls = Calls(reactor, f"tcp://127.0.0.1:{engine.getsockname()[1]}")
        calls.start()
        call = Deferred.fromCoroutine(calls.lifecycle(lambda client: client.info()))
        began = reactor.seconds()
        await calls.stop()
        assert GRACE <= reactor.seconds() - began < GRACE + LAST
        with pytest.raises(EngineUnavailable):
            await call


@pytest_twisted.ensureDeferred
async def test_a_call_that_cannot_be_cut_off_is_left_behind() -> None:
    """Of a thread that is in connect(), nobody has the socket: here it waits for something else."""
    with socket.create_server(("127.0.0.1", 0)) as engine:
        calls = Calls(reactor, f"tcp://127.0.0.1:{engine.getsockname()[1]}")
        calls.start()
        over, took = threading.Event(), threading.Event()
        stuck = waiting_for(calls, over, took)
        assert took.wait(5)
        await calls.stop()
        over.set()
        await stuck


def waiting_for(calls: Calls, over: threading.Event, took: threading.Event) -> Deferred[None]:
    """A call whose thread waits for ``over`` before it has a client."""

    def attempt(lane: object, call: Callable[[Client], None]) -> None:
        took.set()
        over.wait(30)

    calls._attempt = attempt  # type: ignore[assignment]
    return Deferred.fromCoroutine(calls.quick(lambda client: None))


def test_who_begins_to_call_when_all_is_cut_gets_an_error_and_does_not_wait() -> None:
    with socket.create_server(("127.0.0.1", 0)) as engine:
        lines = Lines()
        lines.cut()
        with pytest.raises(Exception, match="closing its connections"):
            Client(f"tcp://127.0.0.1:{engine.getsockname()[1]}", 30, lines)
