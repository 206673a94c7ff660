"""Interleavings that have hurt, or would: each test is one, told in the order in which things happen."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TypeVar

import pytest
from attrs import evolve
from twisted.internet.defer import Deferred, fail, succeed

from grandcentral import errors
from grandcentral.backends.memory import MemoryBackend
from grandcentral.core.keys import Key
from grandcentral.core.lifecycle import Event
from grandcentral.core.model import App, Hook, IdlePolicy, Service, StackSpec
from grandcentral.core.tickets import Ticket

from .world import LIMITS, World

T = TypeVar("T")

KEY = Key("app", "0000000")
KEEPING = IdlePolicy(pause=300.0, stop=600.0, remove=3600.0)
WITH_VOLUME = StackSpec((Service("web"),), "web", 80, volumes=("data",))


@pytest.fixture
def world() -> Iterator[World]:
    world = World(idle=KEEPING, spec=WITH_VOLUME)
    world.open()
    yield world
    world.close()


def choose(world: World, event: Event) -> None:
    world.table.choose(event, KEY, world.table.snapshot()[0].generation)


def done(world: World, deferred: Deferred[T]) -> T:
    """Its outcome, once the fake has come to it."""
    outcome: list[T] = []
    deferred.addCallback(outcome.append)
    world.clock.advance(0)
    return outcome[0]


class TestDraining:
    def test_a_worker_that_cannot_be_asked_keeps_nobody_busy_with_asking_it(self) -> None:
        """It is away; the next look at the queue is another look."""
        asked: list[Ticket] = []

        def not_now(ticket: Ticket) -> Deferred[bool]:
            asked.append(ticket)
            return succeed(len(asked) > 1000)  # or this would never end

        world = World(limits=evolve(LIMITS, max_stacks=1))
        world.open()
        world.ready()
        world.table.on_drain = not_now
        world.pass_time(6)
        world.ask("1111111")
        world.pass_time(1)
        assert 0 < len(asked) < 10
        world.table.on_drain = lambda ticket: succeed(True)
        world.pass_time(1)
        assert world.state("1111111") == "ready"
        world.close()

    def test_use_that_workers_tell_of_when_they_are_asked_is_use(self, world: World) -> None:
        """What the gateway knows of it is a second old."""
        world.asking = True
        ticket = world.ready()
        world.pass_time(305)
        assert world.state() == "dozing"
        ticket.last_used = world.clock.seconds()
        world.answer(True)
        assert world.state() == "ready"

    def test_a_pin_calls_off_a_stop(self, world: World) -> None:
        world.asking = True
        world.ready()
        choose(world, Event.STOP_CHOSEN)
        world.table.pin(KEY, True)
        world.answer(True)
        world.pass_time(1)
        assert world.state() == "ready"

    def test_a_pin_calls_off_a_stop_that_is_being_prepared(self, world: World) -> None:
        world.table.apps = {"app": evolve(world.table.apps["app"], before_stop=(Hook("web", "hang"),))}
        world.ready()
        choose(world, Event.STOP_CHOSEN)
        assert world.state() == "saving"
        world.table.pin(KEY, True)
        world.pass_time(1)
        assert world.state() == "ready"


class TestRemoval:
    def test_who_has_it_removed_is_told_though_somebody_wants_it_again(self, world: World) -> None:
        world.ready()
        removed = world.table.remove(KEY)
        world.ask()
        world.pass_time(1)
        assert removed.called
        assert world.state() == "ready"

    def test_who_has_it_stopped_is_told_though_somebody_wants_it_again(self, world: World) -> None:
        world.ready()
        stopped = world.table.stop(KEY)
        world.ask()
        world.pass_time(1)
        assert stopped.called
        assert world.state() == "ready"

    def test_what_was_written_after_a_removal_is_not_removed_by_it(self, world: World) -> None:
        world.ready()
        world.table.remove(KEY)
        world.ask()
        world.pass_time(1)
        world.engine.data[KEY] = 7
        choose(world, Event.STOP_CHOSEN)
        world.pass_time(1)
        assert world.state() == "stopped"
        world.ready()
        assert world.engine.data[KEY] == 7

    def test_a_removal_that_is_called_off_is_over(self, world: World) -> None:
        world.ready()
        world.table.stop(KEY)
        world.pass_time(1)
        removed = world.table.remove(KEY)
        assert world.state() == "removing"
        world.ask()
        world.pass_time(1)
        assert removed.called
        assert world.state() == "ready"

    def test_volumes_that_were_to_be_removed_once_stay_the_next_time(self, world: World) -> None:
        world.ready()
        world.table.stop(KEY)
        world.pass_time(1)
        world.table.remove(KEY, volumes=True)
        world.ask()  # and calls that off
        world.pass_time(1)
        world.engine.kept_volumes.add((KEY, "data"))
        choose(world, Event.STOP_CHOSEN)
        world.pass_time(1)
        choose(world, Event.REMOVE_CHOSEN)
        world.pass_time(1)
        assert world.state() == "cold"
        assert world.engine.kept_volumes == {(KEY, "data")}

    def test_volumes_go_though_the_rest_is_just_being_removed(self, world: World) -> None:
        world.ready()
        world.table.stop(KEY)
        world.pass_time(1)
        choose(world, Event.REMOVE_CHOSEN)
        world.pass_time(0.05)
        removed = world.table.remove(KEY, volumes=True)
        world.pass_time(1)
        assert removed.called
        assert world.engine.kept_volumes == set()

    def test_volumes_go_if_one_of_two_wants_it(self, world: World) -> None:
        world.ready()
        world.engine.files.add((KEY, "data", "/data/written"))
        world.table.stop(KEY)
        world.table.remove(KEY, volumes=True)
        world.table.remove(KEY)
        world.ask()
        world.pass_time(1)
        assert world.state() == "ready"
        assert world.engine.files == set()

    def test_volumes_of_an_app_that_goes_meanwhile_are_not_looked_for(self, world: World) -> None:
        world.prober.mishap = errors.NotReady("it answered 503")
        world.ask()
        world.pass_time(1)
        refused: list[object] = []
        world.table.remove(KEY, volumes=True).addErrback(lambda failure: refused.append(failure.value))
        done = world.table.reconfigure({}, {"memory": world.backend}, {}, world.limits)
        assert Deferred.fromCoroutine(done).called
        world.pass_time(1)
        assert [type(refusal) for refusal in refused] == [errors.AppGone]

    def test_volumes_go_though_a_failed_start_is_just_being_removed(self, world: World) -> None:
        world.prober.mishap = errors.NotReady("it answered 503")
        world.ask()
        world.pass_time(120.15)
        assert world.state() == "failing"
        removed = world.table.remove(KEY, volumes=True)
        world.pass_time(1)
        assert removed.called
        assert world.engine.kept_volumes == set()


class TestSurveys:
    def test_what_an_engine_that_is_away_still_runs_is_not_said_to_be_gone(self, world: World) -> None:
        """The gateway was started while the engine was away: it does not know of the stack, which goes on running and takes
        a place. To be told now that it is removed, or that it is on its way, would be wrong."""
        world.ready()
        world.close()
        world.engine.away = errors.EngineUnavailable("the engine is away")
        world.boot()
        world.open()
        for order in (world.table.stop(KEY), world.table.remove(KEY), world.table.remove(KEY, volumes=True)):
            world.pass_time(0.1)
            assert isinstance(order.result.value, errors.BackendUnavailable)
            order.addErrback(lambda _: None)
        world.engine.away = None
        world.table._surveys.renew("memory")
        world.pass_time(1)
        assert world.state() == "ready"
        assert world.table.capacity() == (1, 3)

    def test_a_look_at_a_stack_that_was_stopped_and_started_again_meanwhile_says_nothing(self, world: World) -> None:
        """Its generation is the same, and so is its state."""
        world.ready()
        before = world.table._adoption.standing("memory")
        world.table.stop(KEY)
        world.pass_time(0.5)
        (found,) = done(world, world.backend.survey())
        assert not found.running
        world.ready()
        world.table._adoption.reconcile("memory", before, (found,))
        assert world.state() == "ready"

    def test_a_look_at_a_stack_that_is_just_being_frozen_says_nothing(self, world: World) -> None:
        """Some of its services are, and others not yet."""
        world.ready()
        choose(world, Event.PAUSE_CHOSEN)
        assert world.state() == "paused"
        before = world.table._adoption.standing("memory")
        (found,) = done(world, world.backend.survey())
        world.table._adoption.reconcile("memory", before, (evolve(found, endpoint=None),))
        assert world.state() == "paused"


class TestClocks:
    """The wall clock is set while the gateway runs; what was written down by it is read by the next gateway."""

    @pytest.mark.parametrize("jump", [1_000_000.0, -500_000.0])
    def test_last_uses_that_are_written_down_already_are_written_anew(self, world: World, jump: float) -> None:
        world.ready()
        world.pass_time(20)
        world.wall_offset += jump
        world.pass_time(10)
        restart(world)
        world.pass_time(200)
        assert world.state() == "ready"
        world.pass_time(100)
        assert world.state() == "paused"

    def test_a_use_that_a_worker_tells_of_late_is_written_down_too(self, world: World) -> None:
        ticket = world.ready()
        world.pass_time(200)
        ticket.last_used = world.clock.seconds() - 6.0
        world.pass_time(10)
        assert not world.engine.away
        restart(world)
        world.pass_time(200)
        assert world.state() == "ready"

    def test_a_pin_outlives_a_clock_that_is_wrong_for_a_while(self, world: World) -> None:
        world.ready()
        world.table.pin(KEY, True, until=world.wall_offset + 5000.0)
        world.wall_offset += 200_000
        world.pass_time(20)
        world.wall_offset -= 200_000
        world.pass_time(20)
        assert world.table.snapshot()[0].pinned
        restart(world)
        world.pass_time(3000)
        assert world.state() == "ready"
        world.pass_time(3000)
        assert world.state() != "ready"


def restart(world: World) -> None:
    """The gateway ends, and begins anew."""
    world.close()
    world.boot()
    world.open()
    world.pass_time(1)


class Unfreezable(MemoryBackend):
    """The engine will not freeze anything."""

    def pause(self, key: Key) -> Deferred[None]:
        return fail(errors.EngineRefused("The freezer is not available."))


class TestPausing:
    def test_one_that_cannot_be_frozen_is_saved_before_it_is_stopped(self, world: World) -> None:
        save = Hook("web", "true")
        world.table.apps = {"app": evolve(world.table.apps["app"], before_stop=(save,))}
        world.table._backends["memory"] = Unfreezable(world.clock, world.engine)
        world.ready()
        choose(world, Event.PAUSE_CHOSEN)
        world.pass_time(1)
        assert world.state() == "stopped"
        assert world.engine.hooks == [(KEY, save)]

    def test_one_that_an_operator_has_woken_is_awake_for_as_long_as_any(self, world: World) -> None:
        world.ready()
        world.pass_time(400)
        assert world.state() == "paused"
        world.table.start(KEY)
        world.pass_time(250)
        assert world.state() == "ready"


class TestDisk:
    def test_an_engine_that_is_away_keeps_nobody_else_from_making_room(self) -> None:
        world = World(idle=KEEPING, limits=evolve(LIMITS, disk_min_free=1000))
        away = MemoryBackend(world.clock, name="away")
        away.engine.away = errors.EngineUnavailable("The engine does not answer.")
        world.table._backends |= {"away": away, "memory": world.table._backends.pop("memory")}
        world.open()
        world.ready()
        choose(world, Event.STOP_CHOSEN)
        world.machine.disk_now = 10
        world.pass_time(15)
        assert world.engine.reclaims
        assert world.state() == "cold"
        world.close()


class TestSpellings:
    def test_a_spelling_that_means_another_stack_by_now_is_of_that_one_alone(self, world: World) -> None:
        """The first is stopped and kept, and then gets a name that is spelt otherwise."""
        other = Key("app", "1111111")
        world.ready()
        choose(world, Event.STOP_CHOSEN)
        world.pass_time(1)
        world.versions.versions["0000000"] = world.versions.versions["1111111"]
        ticket = world.ready()
        assert ticket.key == other
        world.table.choose(Event.REMOVE_CHOSEN, KEY, 1)
        world.pass_time(1)
        assert world.table.peek(KEY) is ticket
        removed = world.table.remove(KEY)
        world.pass_time(1)
        assert removed.called
        assert world.engine.stacks == {}
        assert world.table.snapshot() == ()


class TestLeftovers:
    """What an earlier gateway ran of an app that is no more."""

    def left(self, world: World) -> App:
        world.ready()
        world.close()
        world.boot()
        app = world.table.apps["app"]
        world.table.apps = {}
        world.open()
        return app

    def test_an_app_that_comes_back_starts_when_that_is_gone(self, world: World) -> None:
        app = self.left(world)
        done = world.table.reconfigure({"app": app}, {"memory": world.backend}, {"app": world.versions}, world.limits)
        assert Deferred.fromCoroutine(done).called
        world.ready()
        assert world.engine.doubled == []
        assert world.engine.stacks[KEY].whole

    def test_what_cannot_be_removed_is_tried_again(self, world: World) -> None:
        self.left(world)
        world.engine.away = errors.EngineUnavailable("The engine does not answer.")
        world.pass_time(10)
        assert KEY in world.engine.stacks
        world.engine.away = None
        world.pass_time(60)
        assert world.engine.stacks == {}
