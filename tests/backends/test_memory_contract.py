"""The fake keeps the contract of backends; that is what makes it worth testing against."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import pytest_twisted
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock

from grandcentral.backends.memory import IMAGE_SIZE, MemoryBackend, MemoryEngine
from grandcentral.core.keys import Key
from grandcentral.core.model import Endpoint, HealthCheck, Launch, Service, StackSpec, Version

from ..contracts.backend import BackendContract

STEP = 0.05  # seconds of the clock
UNREASONABLE = 2000  # steps


class MemoryHarness:
    port = 3000

    def __init__(self) -> None:
        self.clock = Clock()
        self.engine = MemoryEngine(memory={self.key(name): 1 for name in "ab"})
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

    def faltering(self, name: str, status: int) -> Service:
        return Service(name, command=("once", str(status)))

    def sickening(self, name: str) -> Service:
        return Service(name, healthcheck=HealthCheck(("once",)))

    def parting(self, name: str) -> Service:
        return Service(name)

    def farewells(self) -> list[str]:
        return [name for name in self.engine.stopped if name != "web"]

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
        volumes = [f"volume {volume} of {key}" for key, volume in self.engine.kept_volumes]
        return [str(key) for key in self.engine.stacks] + volumes

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


async def launched(harness: MemoryHarness, name: str, version: Version) -> MemoryBackend:
    backend = harness.backend()
    spec = StackSpec((harness.serving("web"),), "web", harness.port)
    await harness.wait(backend.launch(Launch(harness.key(name), 1, version, spec, "x"), lambda progress: None))
    return backend


@pytest_twisted.ensureDeferred
async def test_what_no_stack_needs_and_nobody_keeps_is_reclaimed(harness: MemoryHarness) -> None:
    old, kept, used = (Version(digit * 7) for digit in "abc")
    for version in (old, kept, used):
        backend = await launched(harness, version.name, version)
    for version in (old, kept):
        await harness.wait(backend.halt(harness.key(version.name), False))
    assert await harness.wait(backend.reclaim([kept])) == IMAGE_SIZE
    assert harness.engine.images == {kept, used}


@pytest_twisted.ensureDeferred
async def test_the_engine_counts_what_runs_and_notes_what_is_started_twice(harness: MemoryHarness) -> None:
    for name in "ab":
        backend = await launched(harness, name, Version("db139cf"))
        await harness.wait(backend.stop(harness.key(name)))
    assert (harness.engine.peak, harness.engine.doubled) == (1, [])
    for _ in range(2):
        await harness.wait(backend.restart(harness.engine.stacks[harness.key("a")].launch, lambda progress: None))
    assert harness.engine.doubled == [harness.key("a")]
