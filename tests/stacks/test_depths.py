"""How deep a stack sleeps, and what is still there when it wakes."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from attrs import evolve

from grandcentral import errors
from grandcentral.core.keys import Key
from grandcentral.core.lifecycle import Event
from grandcentral.core.model import Condition, Dependency, Hook, IdlePolicy, Service, StackSpec, Version

from .world import LIMITS, ONE_SERVICE, Client, World

KEY = Key("app", "0000000")
WITH_LOADER = StackSpec(
    (
        Service("db"),
        Service("load", command=("exit", "0"), depends_on=(Dependency("db"),)),
        Service("web", depends_on=(Dependency("load", Condition.COMPLETED),)),
    ),
    "web",
    80,
    volumes=("dumps", "cache"),
    disposable=frozenset({"cache"}),
)
KEEPING = IdlePolicy(stop=600.0, remove=3600.0)
DUMP = Hook("db", "true")
BAD_DUMP = Hook("db", "exit 3")


@pytest.fixture
def world() -> Iterator[World]:
    world = World(idle=KEEPING, spec=WITH_LOADER)
    world.open()
    yield world
    world.close()


def choose(world: World, event: Event) -> None:
    world.table.choose(event, KEY, world.table.snapshot()[0].generation)


def stopped(world: World) -> None:
    world.ready()
    choose(world, Event.STOP_CHOSEN)
    world.pass_time(1)
    assert world.state() == "stopped"


def hooks(world: World, *these: Hook) -> None:
    """As if the configuration had had them from the beginning."""
    world.table.apps = {"app": evolve(world.table.apps["app"], before_stop=these)}


class TestStopped:
    def test_a_stopped_stack_holds_no_slot_and_is_still_there(self, world: World) -> None:
        stopped(world)
        assert world.table.capacity() == (0, 3)
        assert world.engine.stacks[KEY].stopped

    def test_it_starts_again_as_it_was_and_its_loader_does_not_run_again(self, world: World) -> None:
        stopped(world)
        world.engine.data[KEY] = 7
        assert world.ready().generation == 1
        assert world.engine.data[KEY] == 7
        assert world.engine.started.count("load") == 1
        assert world.engine.started.count("db") == 2

    def test_a_start_tells_its_phases_to_who_waited_for_it(self, world: World) -> None:
        before = world.ready()
        choose(world, Event.STOP_CHOSEN)
        world.pass_time(1)
        after = world.ready()
        assert after.started > before.last_used
        assert "create" in after.phases
        assert "loader" not in after.phases

    def test_it_is_known_again_after_a_restart_of_the_gateway(self, world: World) -> None:
        stopped(world)
        world.close()
        world.boot()
        world.open()
        assert world.state() == "stopped"
        world.ready()
        assert world.engine.launches == [(KEY, 1)]

    def test_when_it_has_gone_meanwhile_it_is_made_anew(self, world: World) -> None:
        stopped(world)
        del world.engine.stacks[KEY]
        assert world.ready().generation == 2
        assert world.engine.launches == [(KEY, 1), (KEY, 2)]

    def test_when_a_survey_finds_that_it_has_gone_it_is_forgotten(self, world: World) -> None:
        stopped(world)
        del world.engine.stacks[KEY]
        world.table._surveys.renew("memory")
        world.pass_time(1)
        assert world.table.snapshot() == ()

    def test_another_digest_of_the_same_name_is_another_stack(self, world: World) -> None:
        stopped(world)
        world.versions.versions["0000000"] = Version("0000000", digest="sha256:2")
        world.ready()
        assert [key for key in world.engine.halts if key == KEY]
        assert world.engine.launches == [(KEY, 1), (KEY, 2)]

    def test_one_that_dies_behind_our_back_keeps_its_data(self, world: World) -> None:
        world.ready()
        world.engine.data[KEY] = 7
        world.backend.kill(KEY, "web")
        world.pass_time(1)
        assert world.state() == "stopped"
        world.ready()
        assert world.engine.data[KEY] == 7

    def test_one_that_was_never_ready_is_not_kept(self, world: World) -> None:
        world.prober.mishap = errors.NotReady("it answered 503")
        world.ask()
        world.pass_time(200)
        assert world.engine.stacks == {}

    def test_one_that_fails_to_start_again_is_kept_for_one_more_try(self, world: World) -> None:
        stopped(world)
        world.engine.data[KEY] = 7
        world.prober.mishap = errors.NotReady("it answered 503")
        world.ask()
        world.pass_time(121)
        assert world.engine.stacks[KEY].stopped
        world.prober.mishap = None
        world.pass_time(10)
        world.ready()
        assert world.engine.data[KEY] == 7

    def test_one_that_fails_twice_is_made_anew(self, world: World) -> None:
        stopped(world)
        world.prober.mishap = errors.NotReady("it answered 503")
        for _ in range(2):
            world.ask()
            world.pass_time(140)
        assert world.engine.stacks == {}
        world.prober.mishap = None
        world.ready()
        assert world.engine.launches == [(KEY, 1), (KEY, 2)]

    def test_an_engine_that_goes_away_during_a_restart_loses_nothing(self, world: World) -> None:
        stopped(world)
        world.engine.data[KEY] = 7
        client = world.ask()
        world.pass_time(0.05)
        world.engine.away = errors.EngineUnavailable("The engine does not answer.")
        world.pass_time(5)
        assert isinstance(client.error, errors.BackendUnavailable)
        world.engine.away = None
        world.table._surveys.renew("memory")
        world.pass_time(10)
        world.ready()
        assert world.engine.data[KEY] == 7
        assert world.engine.launches == [(KEY, 1)]


class TestPaused:
    def test_a_paused_stack_is_stopped_and_kept(self, world: World) -> None:
        world.ready()
        choose(world, Event.PAUSE_CHOSEN)
        world.pass_time(1)
        assert world.state() == "paused"
        choose(world, Event.STOP_CHOSEN)
        world.pass_time(1)
        assert world.state() == "stopped"

    def test_an_engine_that_is_away_when_a_stack_is_to_be_paused_stops_nothing(self, world: World) -> None:
        world.ready()
        world.engine.away = errors.EngineUnavailable("The engine does not answer.")
        choose(world, Event.PAUSE_CHOSEN)
        world.pass_time(5)
        assert world.state() == "paused"
        world.engine.away = None
        assert world.ready().generation == 1
        assert world.engine.stops == []


class TestRemoved:
    def test_volumes_outlive_a_stack_unless_they_are_disposable(self, world: World) -> None:
        stopped(world)
        choose(world, Event.REMOVE_CHOSEN)
        world.pass_time(1)
        assert world.state() == "cold"
        assert world.engine.stacks == {}
        assert world.engine.kept_volumes == {(KEY, "dumps")}

    def test_the_next_request_makes_it_anew(self, world: World) -> None:
        stopped(world)
        choose(world, Event.REMOVE_CHOSEN)
        world.pass_time(1)
        world.ready()
        assert world.engine.started.count("load") == 2

    def test_a_request_that_comes_while_it_is_removed_is_served_by_what_is_left_or_a_new_one(self, world: World) -> None:
        stopped(world)
        choose(world, Event.REMOVE_CHOSEN)
        assert world.state() == "removing"
        world.pass_time(0.05)
        world.ready()
        assert world.engine.doubled == []

    def test_what_cannot_be_removed_now_is_removed_later(self, world: World) -> None:
        stopped(world)
        world.engine.away = errors.EngineUnavailable("The engine does not answer.")
        choose(world, Event.REMOVE_CHOSEN)
        world.pass_time(5)
        assert world.state() == "removing"
        world.engine.away = None
        world.pass_time(5)
        assert world.engine.stacks == {}

    def test_an_operator_removes_even_a_busy_one(self, world: World) -> None:
        world.ready().begin(world.clock.seconds())
        removed = world.table.remove(KEY)
        world.pass_time(2)
        assert removed.called
        assert world.engine.stacks == {}
        assert world.engine.kept_volumes == {(KEY, "dumps")}

    def test_and_its_volumes_only_if_they_ask_for_that(self, world: World) -> None:
        world.ready()
        world.table.remove(KEY)
        world.pass_time(2)
        removed = world.table.remove(KEY, volumes=True)  # though nothing else of it is left
        world.pass_time(2)
        assert removed.called
        assert world.engine.kept_volumes == set()
        assert world.table.snapshot() == ()


class TestBeforeStop:
    def test_its_commands_run_before_it_stops(self, world: World) -> None:
        hooks(world, DUMP)
        stopped(world)
        assert world.engine.hooks == [(KEY, DUMP)]

    def test_they_run_in_a_paused_one_too(self, world: World) -> None:
        hooks(world, DUMP)
        world.ready()
        choose(world, Event.PAUSE_CHOSEN)
        world.pass_time(1)
        choose(world, Event.STOP_CHOSEN)
        world.pass_time(1)
        assert world.engine.hooks == [(KEY, DUMP)]
        assert world.state() == "stopped"

    def test_if_one_fails_the_stack_goes_on_and_is_let_be_for_a_while(self, world: World) -> None:
        hooks(world, BAD_DUMP)
        world.ready()
        choose(world, Event.STOP_CHOSEN)
        world.pass_time(1)
        assert world.state() == "ready"
        (shown,) = world.table.snapshot()
        assert shown.keep_until == pytest.approx(world.clock.seconds() + 60, abs=2)
        assert world.ask().ticket is not None

    def test_a_request_that_comes_meanwhile_is_served_at_once(self, world: World) -> None:
        hooks(world, Hook("db", "hang"))
        world.ready()
        choose(world, Event.STOP_CHOSEN)
        world.pass_time(1)
        assert world.state() == "saving"
        client = world.ask()
        world.pass_time(0.5)
        assert client.ticket is not None
        assert world.state() == "ready"
        assert world.engine.stops == []

    def test_an_operator_is_told_why_a_stack_was_not_stopped(self, world: World) -> None:
        hooks(world, BAD_DUMP)
        world.ready()
        refused: list[object] = []
        world.table.stop(KEY).addErrback(lambda failure: refused.append(failure.value))
        world.pass_time(1)
        assert isinstance(refused[0], errors.NotSaved)
        assert world.state() == "ready"

    def test_and_may_insist(self, world: World) -> None:
        hooks(world, BAD_DUMP)
        world.ready()
        done = world.table.stop(KEY, force=True)
        world.pass_time(1)
        assert done.called
        assert world.engine.hooks == []
        assert world.state() == "stopped"

    def test_who_asks_for_a_stack_that_an_operator_is_stopping_is_told(self, world: World) -> None:
        hooks(world, Hook("db", "hang"))
        world.ready()
        world.table.stop(KEY)
        world.pass_time(0.5)
        assert isinstance(world.ask().error, errors.StackStopped)
        assert world.state() == "closing"


class TestWaking:
    def test_a_request_that_does_not_wake_is_told_that_the_stack_is_asleep(self, world: World) -> None:
        stopped(world)
        errors_seen: list[object] = []
        world.table.ensure(KEY, wakes=False).addErrback(lambda failure: errors_seen.append(failure.value))
        assert isinstance(errors_seen[0], errors.Asleep)
        world.pass_time(5)
        assert world.state() == "stopped"

    def test_nothing_is_looked_up_for_it(self, world: World) -> None:
        world.table.ensure(KEY, wakes=False).addErrback(lambda _: None)
        assert world.versions.asked == []

    def test_it_is_held_like_the_others_when_somebody_else_has_woken_the_stack(self, world: World) -> None:
        world.ask()
        tickets: list[object] = []
        world.table.ensure(KEY, wakes=False).addCallback(tickets.append)
        world.pass_time(2)
        assert len(tickets) == 1


    def test_it_reaches_a_stack_that_is_ready_by_any_spelling_of_its_commit(self, world: World) -> None:
        world.ready()
        tickets: list[object] = []
        world.table.ensure(Key("app", "0000000" + 33 * "0"), wakes=False).addCallback(tickets.append)
        assert len(tickets) == 1


class TestStartsPerClient:
    @pytest.fixture
    def world(self) -> Iterator[World]:
        world = World(limits=evolve(LIMITS, starts_per_client=2.0), idle=KEEPING, spec=WITH_LOADER)
        world.open()
        yield world
        world.close()

    def ask(self, world: World, name: str, client: str = "192.0.2.7") -> Client:
        return Client(world.table.ensure(Key("app", name), client=client))

    def test_one_client_starts_no_more_than_so_many_a_minute_and_others_are_not_counted_with_it(self, world: World) -> None:
        self.ask(world, "0000000")
        self.ask(world, "1111111")
        refused = self.ask(world, "2222222").error
        assert isinstance(refused, errors.TooManyStarts)
        assert refused.retry_after == pytest.approx(30, abs=1)
        assert not self.ask(world, "2222222", "192.0.2.8").answered
        world.pass_time(31)
        assert self.ask(world, "3333333").error is None

    def test_what_starts_or_runs_already_costs_nothing(self, world: World) -> None:
        for _ in range(10):
            self.ask(world, "0000000")
        world.pass_time(2)
        for _ in range(10):
            assert self.ask(world, "0000000").ticket is not None
        assert not self.ask(world, "1111111").answered

    def test_an_operator_is_not_counted(self, world: World) -> None:
        for name in ("0000000", "1111111", "2222222"):
            assert not Client(world.table.start(Key("app", name))).answered


class TestPinsThatEnd:
    def test_a_pin_ends_when_its_time_is_over_and_not_before(self, world: World) -> None:
        world.ready()
        world.table.pin(KEY, True, until=world.clock.seconds() + world.wall_offset + 100)
        world.pass_time(95)
        assert world.table.snapshot()[0].pinned
        world.pass_time(15)
        assert not world.table.snapshot()[0].pinned

    def test_one_that_ended_while_the_gateway_was_away_has_ended(self, world: World) -> None:
        world.table.pin(KEY, True, until=world.clock.seconds() + world.wall_offset + 100)
        world.pass_time(1)
        world.close()
        world.clock.advance(200)
        world.boot()
        world.open()
        assert world.table.snapshot() == ()


def test_an_app_without_a_policy_for_removal_keeps_nothing() -> None:
    world = World(idle=IdlePolicy(stop=600.0, remove=0.0), spec=ONE_SERVICE)
    world.open()
    world.ready()
    choose(world, Event.STOP_CHOSEN)
    world.pass_time(1)
    assert world.engine.stacks == {}
    world.close()
