"""Another configuration under a table that runs."""

from __future__ import annotations

import pytest
from attrs import evolve
from twisted.internet.defer import Deferred

from grandcentral import errors
from grandcentral.backends.memory import MemoryBackend
from grandcentral.core.keys import Key
from grandcentral.core.model import App, Launch, Limits, Version
from grandcentral.versions.memory import MemoryVersions

from .world import ONE_SERVICE, World

KEY = Key("app", "0000000")
LONG = "0000000" + "1" * 33


@pytest.fixture
def other(world: World) -> MemoryBackend:
    return MemoryBackend(world.clock, name="other")


def reconfigure(world: World, apps: dict[str, App], *more: MemoryBackend, limits: Limits | None = None) -> Deferred[None]:
    backends = {"memory": world.backend, **{backend.name: backend for backend in more}}
    return Deferred.fromCoroutine(world.table.reconfigure(apps, backends, {"app": world.versions}, limits or world.limits))


def test_what_runs_of_an_app_that_has_gone_is_stopped_and_its_host_unknown(world: World) -> None:
    world.ready().begin(world.clock.seconds())
    done = reconfigure(world, {})
    world.pass_time(1)
    assert done.called
    assert world.engine.stacks == {}
    assert world.table.snapshot() == ()
    assert isinstance(world.ask().error, errors.AppGone)


def test_who_waits_for_a_start_of_an_app_that_goes_is_told(world: World) -> None:
    client = world.ask()
    world.pass_time(0.05)
    reconfigure(world, {})
    assert isinstance(client.error, errors.StackStopped)


def test_what_runs_of_an_app_that_stays_stays(world: World) -> None:
    ticket = world.ready()
    reconfigure(world, {"app": evolve(world.table.apps["app"], start_within=1.0)})
    world.pass_time(1)
    assert world.table.peek(KEY) is ticket


@pytest.mark.parametrize("name", ["0000000", LONG])
def test_an_app_that_moves_to_another_backend_starts_there_when_it_has_stopped_here(
    world: World, other: MemoryBackend, name: str
) -> None:
    world.ready()
    moved = evolve(world.table.apps["app"], backend="other")
    reconfigure(world, {"app": moved}, other)
    early = world.ask(name)
    world.pass_time(0.05)
    assert isinstance(early.error, errors.StackStopped)
    world.pass_time(1)
    assert world.engine.launches == [(KEY, 1)]
    late = world.ask(name)
    world.pass_time(1)
    assert late.ticket is not None
    assert list(other.engine.stacks) == [KEY]
    assert world.engine.stacks == {}


def test_an_app_that_went_and_comes_back_finds_what_was_left_of_it_removed_once(world: World) -> None:
    world.ready()
    world.close()
    world.boot()
    app = world.table.apps["app"]
    world.table.apps = {}
    world.open()  # found, and of no app
    world.table._surveys.renew("memory")
    world.pass_time(0.05)
    assert world.engine.halts.count(KEY) == 1
    world.pass_time(1)
    assert world.engine.stacks == {}
    reconfigure(world, {"app": app})
    world.ready()


def test_more_slots_serve_who_waits_for_one(world: World) -> None:
    for digit in "012":
        world.ready(digit * 7)
    waiting = world.ask("3333333")
    world.pass_time(1)
    assert not waiting.answered
    reconfigure(world, dict(world.table.apps), limits=evolve(world.limits, max_stacks=4))
    world.pass_time(1)
    assert waiting.ticket is not None
    assert len(world.engine.stacks) == 4


def test_an_app_that_goes_while_its_version_is_looked_up_is_unknown(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    looked_up: Deferred[Version] = Deferred()
    monkeypatch.setattr(MemoryVersions, "resolve", lambda versions, name: looked_up)
    client = world.ask()
    reconfigure(world, {})
    looked_up.callback(Version("0000000"))
    assert isinstance(client.error, errors.AppGone)


def test_what_an_earlier_gateway_ran_elsewhere_is_removed_there_and_not_taken_for_this_backends(
    world: World, other: MemoryBackend
) -> None:
    world.ready()
    world.close()
    world.boot()
    reconfigure(world, {"app": evolve(world.table.apps["app"], backend="other")}, other)
    world.open()
    world.pass_time(1)
    assert world.engine.stacks == {}
    assert world.ready().endpoint
    assert list(other.engine.stacks) == [KEY]


def test_what_is_found_elsewhere_does_not_touch_what_rests_here(world: World, other: MemoryBackend) -> None:
    world.idle = evolve(world.idle, remove=86_400.0)
    app = evolve(world.table.apps["app"], idle=world.idle)
    reconfigure(world, {"app": app})
    world.ready()
    world.table.stop(KEY)
    world.pass_time(1)
    other.launch(Launch(KEY, 7, Version(KEY.name), ONE_SERVICE, "a.test"), lambda progress: None)
    reconfigure(world, {"app": app, "app2": App("app2", "other", template=world.template)}, other)
    world.pass_time(1)
    (rested,) = world.table.snapshot()
    assert (rested.generation, rested.state) == (1, "stopped")
    assert other.engine.stacks == {}
