"""A look at everything, while things happen."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from attrs import evolve
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock

from grandcentral.backends.docker import DockerBackend, verbs
from grandcentral.backends.docker.labels import of_service
from grandcentral.backends.docker.seen import Seen
from grandcentral.backends.docker.translate import Condition
from grandcentral.core.keys import Key
from grandcentral.core.model import Launch, Service, StackSpec, Version
from grandcentral.errors import Mishap

from .docker_seen import seen

KEY = Key("quepid", "db139cf")
LAUNCH = Launch(KEY, 1, Version("db139cf"), StackSpec((Service("web"),), "web", 3000), "db139cf.example.com")
LABELS = of_service("test", LAUNCH, "web", "2026-01-01T00:00:00+00:00")
RUNS = seen(LABELS)
DIED = evolve(RUNS, condition=Condition.ENDED, status=1, addresses={})
DEATH = {"Action": "die", "Actor": {"ID": "c0ffee", "Attributes": {**LABELS, "exitCode": "1"}}}


class Engine:
    """What each look at the containers finds, in turn; the last one goes on."""

    def __init__(self) -> None:
        self.looks: list[list[Seen]] = []
        self.removing: Deferred[list[str]] = Deferred()

    @property
    def lifecycle(self) -> Any:
        return self.quick

    async def quick(self, call: Callable[..., Any]) -> Any:
        what: Any = call
        if what.func is verbs.containers:
            return self.looks.pop(0) if len(self.looks) > 1 else self.looks[0]
        if what.func is verbs.container_ids:
            return await self.removing
        return {verbs.networks: {}, verbs.volumes: {}, verbs.look: DIED, verbs.tail: ("last words",)}[what.func]


@pytest.fixture
def engine() -> Engine:
    return Engine()


@pytest.fixture
def vanished() -> list[tuple[Key, int, Mishap]]:
    return []


@pytest.fixture
def backend(engine: Engine, vanished: list[tuple[Key, int, Mishap]]) -> DockerBackend:
    backend = DockerBackend(Clock(), "unix:///nowhere", "test")  # type: ignore[arg-type]
    backend._calls = backend._vigil._calls = engine  # type: ignore[assignment]
    backend.watch(lambda *facts: vanished.append(facts), lambda: None)
    return backend


def survey(backend: DockerBackend, engine: Engine, *looks: list[Seen]) -> bool:
    """Whether our stack was found whole."""
    engine.looks = list(looks)
    found: list[Any] = []
    Deferred.fromCoroutine(backend._survey()).addCallback(found.extend)
    return any(one.whole for one in found)


def test_what_was_found_whole_is_watched(backend: DockerBackend, engine: Engine, vanished: list[Any]) -> None:
    assert survey(backend, engine, [RUNS], [RUNS])
    backend._vigil.heard(DEATH)
    ((key, generation, mishap),) = vanished
    assert (key, generation) == (KEY, 1)
    assert mishap.logs[0].lines == ("last words",)


def test_what_dies_between_the_two_looks_is_found_half_made_and_not_told_of(
    backend: DockerBackend, engine: Engine, vanished: list[Any]
) -> None:
    assert not survey(backend, engine, [RUNS], [DIED])
    backend._vigil.heard(DEATH)
    assert vanished == []


def test_a_death_that_a_later_survey_saw_before_its_event_came_is_still_told(
    backend: DockerBackend, engine: Engine, vanished: list[Any]
) -> None:
    """Who asked for that survey may have asked on account of another stack."""
    survey(backend, engine, [RUNS], [RUNS])
    assert not survey(backend, engine, [RUNS], [DIED])
    backend._vigil.heard(DEATH)
    assert [key for key, _, _ in vanished] == [KEY]


def test_what_is_being_halted_is_not_watched_and_its_death_not_told(
    backend: DockerBackend, engine: Engine, vanished: list[Any]
) -> None:
    survey(backend, engine, [RUNS], [RUNS])
    halted = backend.halt(KEY, grace=False)
    survey(backend, engine, [RUNS], [RUNS])
    backend._vigil.heard(DEATH)
    assert vanished == []
    engine.removing.callback([])
    assert halted.called
    survey(backend, engine, [RUNS], [RUNS])
    backend._vigil.heard(DEATH)
    assert len(vanished) == 1
