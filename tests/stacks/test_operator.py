"""What an operator sees of stacks beside their states."""

from __future__ import annotations

import pytest
from attrs import evolve
from twisted.internet.defer import Deferred, fail

from grandcentral.backends.memory import MemoryBackend
from grandcentral.core.keys import Key
from grandcentral.core.model import Service, StackSpec
from grandcentral.errors import AmbiguousVersion, BackendUnavailable, EngineUnavailable

from .world import World

KEY = Key("app", "0000000")


def outcome(asked: Deferred) -> object:
    got: list[object] = []
    asked.addBoth(lambda result: got.append(getattr(result, "value", result)))
    (result,) = got
    return result


def test_logs_are_those_of_the_stack_that_is_meant(world: World) -> None:
    world.ready()
    (tail,) = outcome(world.table.logs(KEY, 10))
    assert (tail.service, len(tail.lines) > 0) == ("web", True)
    assert outcome(world.table.logs(Key("app", "0000000" + "1" * 33), 10)) == (tail,)


def test_a_stack_of_which_nothing_is_there_has_no_logs(world: World) -> None:
    assert outcome(world.table.logs(Key("app", "1111111"), 10)) == ()


def test_logs_of_an_app_that_is_not_there_are_a_key_error(world: World) -> None:
    with pytest.raises(KeyError):
        world.table.logs(Key("nobody"), 10)


def test_logs_by_a_short_form_of_two_are_ambiguous(world: World) -> None:
    for name in ("abcdef1aaa", "abcdef1bbb"):
        world.versions.versions[name] = evolve(world.versions.versions["0000000"], name=name)
        world.ready(name)
    assert isinstance(outcome(world.table.logs(Key("app", "abcdef1"), 10)), AmbiguousVersion)


def test_an_engine_that_is_away_has_no_logs_for_now(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    world.ready()
    monkeypatch.setattr(MemoryBackend, "logs", lambda *_: fail(EngineUnavailable("Docker does not answer.")))
    refused = outcome(world.table.logs(KEY, 10))
    assert isinstance(refused, BackendUnavailable)
    assert refused.why == "Docker does not answer."


def test_until_when_a_stack_is_pinned_is_shown_running_or_not(world: World) -> None:
    world.ready()
    other = Key("app", "1111111")
    end = world.clock.seconds() + world.wall_offset + 60
    world.table.pin(KEY, True, end)
    world.table.pin(other, True)
    shown = {stack.key: (stack.pinned, stack.pinned_until) for stack in world.table.snapshot()}
    assert shown == {KEY: (True, end), other: (True, None)}
    world.table.pin(KEY, False)
    assert not world.table.snapshot()[0].pinned
    assert world.table.snapshot()[0].pinned_until is None


def test_what_services_said_last_is_shown_with_the_failure(world: World) -> None:
    world.template.spec = StackSpec((Service("web", command=("exit", "1")),), "web", 80)
    world.ask()
    world.pass_time(1)
    (stack,) = world.table.snapshot()
    assert stack.failure is not None
    assert [tail.service for tail in stack.failure_logs] == ["web"]
