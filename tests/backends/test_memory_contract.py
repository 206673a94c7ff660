"""The fake keeps the contract of backends; that is what makes it worth testing against."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock

from grandcentral.backends.memory import MemoryBackend, MemoryEngine
from grandcentral.core.keys import Key
from grandcentral.core.model import Endpoint, HealthCheck, Service, Version

from ..contracts.backend import BackendContract

STEP = 0.05  # seconds of the clock
UNREASONABLE = 2000  # steps


class MemoryHarness:
    port = 3000

    def __init__(self) -> None:
        self.clock = Clock()
        self.engine = MemoryEngine()
        self.backends: list[MemoryBackend] = []

    def backend(self) -> MemoryBackend:
        self.backends.append(MemoryBackend(self.clock, self.engine))
        return self.backends[-1]

    def key(self, name: str) -> Key:
        return Key("app", name)

    def version(self) -> Version:
        return Version("db139cf")

    def serving(self, name: str) -> Service:
        return Service(name)

    def running(self, name: str) -> Service:
        return Service(name)

    def ending(self, name: str, status: int) -> Service:
        return Service(name, command=("exit", str(status)))

    def checked(self, name: str, healthy: bool) -> Service:
        return Service(name, healthcheck=HealthCheck(("true",) if healthy else ("false",)))

    def journal(self) -> list[str]:
        return list(self.engine.started)

    def reachable(self, endpoint: Endpoint) -> bool:
        return any(
            stack.endpoint == endpoint and stack.launch.spec.serves in stack.running and not stack.paused
            for stack in self.engine.stacks.values()
        )

    def kill(self, key: Key, service: str) -> None:
        self.backends[-1].kill(key, service)

    def leftovers(self) -> list[str]:
        return [str(key) for key in self.engine.stacks]

    async def wait(self, deferred: Deferred[Any]) -> Any:
        for _ in range(UNREASONABLE):
            if deferred.called and not deferred.paused:
                break
            self.clock.advance(STEP)
        else:
            deferred.addErrback(lambda failure: None).cancel()
            raise AssertionError("it did not fire")
        return await deferred

    async def eventually(self, holds: Callable[[], object]) -> None:
        for _ in range(UNREASONABLE):
            if holds():
                return
            self.clock.advance(STEP)
        raise AssertionError("it did not come to hold")


@pytest.fixture
def harness() -> MemoryHarness:
    return MemoryHarness()


class TestMemoryBackendContract(BackendContract):
    pass
