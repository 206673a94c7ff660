"""Ending the processes of a stack, when the gateway ends meanwhile."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator

import pytest
import pytest_twisted
from twisted.internet import reactor
from twisted.internet.defer import CancelledError, Deferred, succeed

from grandcentral.backends.process import halting, proc
from grandcentral.backends.process.home import Running


@pytest.fixture
def stubborn() -> Iterator[subprocess.Popen[bytes]]:
    """A process that hears SIGTERM and takes its time."""
    line = "trap 'echo heard' TERM; echo runs; while :; do sleep 0.05; done"
    with subprocess.Popen(["/bin/sh", "-c", line], stdout=subprocess.PIPE, start_new_session=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"runs\n"
        yield process
        process.kill()


@pytest_twisted.ensureDeferred
async def test_a_halt_that_is_called_off_ends_there_and_kills_nobody(stubborn: subprocess.Popen[bytes]) -> None:
    seen = proc.look(stubborn.pid)
    assert seen is not None
    watched = set(reactor.getReaders())
    services = {"web": Running(seen.pid, seen.started, 20000, 15, 30.0)}
    looks: list[None] = []

    def look() -> Deferred[tuple[proc.Seen, ...]]:
        looks.append(None)
        return succeed((seen,))

    halted = Deferred.fromCoroutine(halting.end(reactor, look, services, grace=True))
    assert stubborn.stdout is not None
    assert stubborn.stdout.readline() == b"heard\n"
    halted.cancel()
    with pytest.raises(CancelledError):
        await halted
    assert len(looks) == 1
    assert stubborn.poll() is None
    assert set(reactor.getReaders()) == watched
