"""Starting worker processes."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Sequence
from typing import Any

from twisted.internet.protocol import ProcessProtocol
from twisted.python.failure import Failure

from .assignment import FIRST_DESCRIPTOR, Assignment

_OURS_ALONE = ("NOTIFY_SOCKET", "WATCHDOG_PID", "WATCHDOG_USEC", "LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES")


def spawner(reactor: Any) -> Callable[[Assignment, Sequence[int], Callable[[int], None]], int]:
    """A ``crew.Spawn`` that starts ``python -m grandcentral.workers``; it says what it logs where we do."""
    environment = {name: value for name, value in os.environ.items() if name not in _OURS_ALONE}

    def spawn(assignment: Assignment, descriptors: Sequence[int], ended: Callable[[int], None]) -> int:
        process = reactor.spawnProcess(
            _Process(assignment.write(), ended),
            sys.executable,
            [sys.executable, "-P", "-m", "grandcentral.workers"],
            environment,
            childFDs={0: "w", 1: 1, 2: 2, **dict(enumerate(descriptors, FIRST_DESCRIPTOR))},
        )
        return int(process.pid)

    return spawn


class _Process(ProcessProtocol):
    def __init__(self, told: bytes, ended: Callable[[int], None]) -> None:
        self._told = told
        self._ended = ended
        self._pid = 0

    def connectionMade(self) -> None:
        assert self.transport is not None
        self._pid = self.transport.pid
        self.transport.write(self._told)
        self.transport.closeStdin()

    def processExited(self, reason: Failure) -> None:
        self._ended(self._pid)
