"""Stacks that somebody else runs."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import pytest_twisted
from twisted.internet.defer import Deferred
from zope.interface.verify import verifyObject

from grandcentral.backends.static import StaticBackend
from grandcentral.core.keys import Key
from grandcentral.core.model import Endpoint, Hook, Launch, Progress, Service, StackSpec, Version
from grandcentral.errors import EngineRefused, HookFailed
from grandcentral.interfaces import IBackend

from ..contracts.backend import CAPABILITIES, BackendContract

DOCS = Key("docs")
UPSTREAM = Endpoint("127.0.0.1", 9001)


@pytest.fixture
def backend() -> StaticBackend:
    return StaticBackend({"docs": UPSTREAM})


def start(key: Key) -> Launch:
    return Launch(key=key, generation=1, version=Version(""), spec=StackSpec((), "", 0), host="docs.example.com")


def ignore(progress: Progress) -> None:
    pass


def test_it_is_a_backend(backend: StaticBackend) -> None:
    verifyObject(IBackend, backend)


@pytest_twisted.ensureDeferred
async def test_it_is_launched_at_once_where_the_configuration_says(backend: StaticBackend) -> None:
    await backend.open()
    await backend.check()
    assert await backend.launch(start(DOCS), ignore) == UPSTREAM
    await backend.close()


@pytest_twisted.ensureDeferred
async def test_sleep_leaves_it_as_it_is(backend: StaticBackend) -> None:
    await backend.pause(DOCS)
    assert await backend.resume(DOCS) == UPSTREAM
    await backend.stop(DOCS)
    assert await backend.restart(start(DOCS), ignore) == UPSTREAM
    await backend.halt(DOCS, grace=True, volumes=True)
    assert await backend.launch(start(DOCS), ignore) == UPSTREAM


@pytest_twisted.ensureDeferred
async def test_no_hook_can_be_run_in_it(backend: StaticBackend) -> None:
    with pytest.raises(HookFailed, match="docs is run by somebody else"):
        await backend.execute(DOCS, Hook("web", "true"), 1.0)


@pytest_twisted.ensureDeferred
async def test_there_is_nothing_to_find_and_nothing_to_read(backend: StaticBackend) -> None:
    await backend.launch(start(DOCS), ignore)
    assert await backend.survey() == ()
    assert await backend.logs(DOCS, 10) == ()


@pytest_twisted.ensureDeferred
async def test_an_app_without_an_upstream_is_refused(backend: StaticBackend) -> None:
    with pytest.raises(EngineRefused, match="other"):
        await backend.launch(start(Key("other")), ignore)


class StaticHarness:
    """Something listens, and always has; services are named and never started."""

    port = 0

    def __init__(self, listening: socket.socket) -> None:
        self.upstream = Endpoint("127.0.0.1", listening.getsockname()[1])

    def backend(self) -> StaticBackend:
        return StaticBackend({"docs": self.upstream})

    def key(self, name: str) -> Key:
        return Key("docs", name)

    def version(self) -> Version:
        return Version("")

    def serving(self, name: str) -> Service:
        return Service(name)

    def leftovers(self) -> list[str]:
        return []

    def reachable(self, endpoint: Endpoint) -> bool:
        with socket.socket() as probe:
            return probe.connect_ex((endpoint.host, endpoint.port)) == 0

    async def wait(self, deferred: Deferred[Any]) -> Any:
        return await deferred

    async def eventually(self, holds: Callable[[], object]) -> None:
        assert holds()


@pytest.fixture
def harness() -> Iterator[StaticHarness]:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        yield StaticHarness(listening)


class TestContract(BackendContract):
    lacks = frozenset(CAPABILITIES)  # somebody else runs it
