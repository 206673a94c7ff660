"""Stacks at rest: little is remembered of them, and all that matters."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import pytest
from attrs import evolve
from twisted.internet.defer import Deferred

from grandcentral.core.keys import GIT_HASH, Ambiguous, Key, unify
from grandcentral.core.lifecycle import Event, State
from grandcentral.core.model import App, IdlePolicy, Version
from grandcentral.errors import Asleep, NotReady
from grandcentral.stacks import directory
from grandcentral.stacks.rested import Rested
from grandcentral.stacks.table import FORGET_FAILURE

from .world import Client, World

KEY = Key("app", "0000000")
LONG = Key("app", "0000000" + "1" * 33)


@pytest.fixture
def world() -> Iterator[World]:
    world = World(idle=IdlePolicy(stop=600.0, remove=86_400.0))
    world.open()
    yield world
    world.close()


def at_rest(world: World) -> Rested:
    world.ready()
    world.table.stop(KEY)
    world.pass_time(1)
    (rested,) = world.table._directory
    assert isinstance(rested, Rested)
    return rested


def test_it_goes_on_under_the_ticket_that_it_had(world: World) -> None:
    """Workers know it by key and generation, and their counts go on."""
    rested = at_rest(world)
    assert world.table.ticket(KEY, 1) is rested.ticket
    rested.ticket.requests += 3  # they tell late
    assert [stack.requests for stack in world.table.snapshot()] == [3]
    assert world.ready() is rested.ticket


def test_what_it_has_carried_counts(world: World) -> None:
    at_rest(world).ticket.bytes_out += 1000
    assert world.table.traffic() == (0, 1000)
    world.table.remove(KEY)
    world.pass_time(1)
    assert world.table.snapshot() == ()
    assert world.table.traffic() == (0, 1000)


def test_its_last_use_is_written_down_though_it_came_to_rest_before_it_could_be(world: World) -> None:
    world.ready()
    world.pass_time(7)
    ticket = world.ready()
    ticket.begin(world.clock.seconds())
    ticket.end(world.clock.seconds())
    used = world.wall()
    world.table.stop(KEY)
    world.pass_time(5)
    assert world.manifest.last_used().result[KEY] == pytest.approx(used)


@pytest.mark.parametrize("spelling", [KEY, LONG], ids=["short", "long"])
def test_who_does_not_wake_it_is_told_that_it_sleeps_and_it_rests_on(world: World, spelling: Key) -> None:
    rested = at_rest(world)
    for _ in range(2):
        assert isinstance(Client(world.table.ensure(spelling, wakes=False)).error, Asleep)
    assert world.table._directory.find(spelling) is rested


def test_every_spelling_that_led_to_it_still_does(world: World) -> None:
    world.ready(LONG.name)
    rested = at_rest(world)
    assert set(rested.spellings) == {KEY, LONG}
    ticket = world.ready()
    assert world.table.peek(LONG) is ticket


def test_an_operator_may_pin_it_and_then_it_is_not_removed(world: World) -> None:
    at_rest(world)
    world.table.pin(KEY, True)
    world.clock.advance(90_000)
    world.pass_time(10)
    (stack,) = world.table.snapshot()
    assert (stack.state, stack.pinned) == ("stopped", True)
    world.table.choose(Event.REMOVE_CHOSEN, KEY, 1)
    assert isinstance(world.table._directory.get(KEY), Rested)
    world.table.pin(KEY, False)
    world.pass_time(10)
    assert world.engine.stacks == {}


def test_stopping_it_is_nothing_to_do(world: World) -> None:
    rested = at_rest(world)
    stopped: Deferred[None] = world.table.stop(KEY)
    assert stopped.called
    assert world.table._directory.get(KEY) is rested


def test_when_another_backend_runs_its_app_what_the_first_has_kept_goes(world: World) -> None:
    at_rest(world)
    upstream = App("app", "memory", template=world.template, upstream=world.ready("1111111").endpoint)
    table = world.table
    done = Deferred.fromCoroutine(table.reconfigure({"app": upstream}, table._backends, table.versions, world.limits))
    world.pass_time(1)
    assert done.called
    assert world.engine.stacks == {}


def test_after_a_failure_that_is_long_ago_it_rests_like_any_other(world: World) -> None:
    at_rest(world)
    world.prober.mishap = NotReady("it answered 503")
    world.ask()
    world.pass_time(200)
    (failed,) = world.table._directory
    assert not isinstance(failed, Rested)
    assert failed.state is State.COLD
    world.clock.advance(FORGET_FAILURE)
    world.clock.advance(10)
    (rested,) = world.table._directory
    assert isinstance(rested, Rested)


def test_what_is_kept_of_a_stack_that_queues_goes_with_its_app(world: World) -> None:
    """Whoever is sent away from the queue comes to rest, and nobody looks at what rests of an app that is not there."""
    at_rest(world)
    for name in ("1111111", "2222222", "3333333"):
        world.ready(name)  # and younger than min_uptime
    world.ask()
    assert world.state() == "queued"
    table = world.table
    apps = dict(table.apps)
    for those in ({}, apps):
        Deferred.fromCoroutine(table.reconfigure(those, table._backends, table.versions, world.limits))
        world.pass_time(5)
    assert world.engine.stacks == {}
    assert not list(table._directory)


def test_names_that_nobody_has_are_compared_with_few_of_those_at_rest(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """A crawler may ask for one after the other, of a gateway that has ten thousand at rest."""
    at_rest(world)
    world.table.apps = {**world.table.apps, "app2": evolve(world.table.apps["app"], name="app2")}
    world.table._directory.stack(Key("app2", "0000002"), Version("0000002"))
    compared: list[str] = []

    def seen(name: str, known: Iterable[str]) -> str | Ambiguous:
        names = list(known)
        compared.extend(names)
        return unify(name, names)

    monkeypatch.setattr(directory, "unify", seen)
    for digit in "123456789abcdef":
        world.table._directory.stack(Key("app", digit * 7), Version(digit * 7))
    assert world.table._directory.meant(LONG, GIT_HASH) is world.table._directory.get(KEY)
    assert world.table._directory.meant(Key("app", "00000001"), GIT_HASH) is world.table._directory.get(KEY)
    assert world.table._directory.meant(Key("app", "0000001"), GIT_HASH) is None
    assert world.table._directory.meant(Key("app2", KEY.name), GIT_HASH) is None
    assert compared == [KEY.name] * 2
    world.table._directory.drop(world.table._directory.stack(KEY, Version(KEY.name)))
    assert world.table._directory.meant(LONG, GIT_HASH) is None
