"""The stack table over the fakes, on a clock."""

from __future__ import annotations

import sqlite3

import pytest
from twisted.internet.defer import Deferred
from twisted.python.failure import Failure

from grandcentral import errors
from grandcentral.core.keys import Key
from grandcentral.core.lifecycle import Event
from grandcentral.core.model import App, Condition, Dependency, Limits, Service, StackSnapshot, StackSpec, Version
from grandcentral.core.problems import Invalid, Problem
from grandcentral.core.tickets import Ticket
from grandcentral.stacks.stack import Stack
from grandcentral.stacks.table import StackTable

from .world import ONE_SERVICE, Client, FixedTemplate, World

KEY = Key("app", "0000000")


def test_the_first_request_starts_the_stack_and_gets_its_endpoint(world: World) -> None:
    client = world.ask()
    assert not client.answered
    world.pass_time(1)
    assert client.ticket is not None
    assert client.ticket.endpoint == world.engine.stacks[KEY].endpoint
    assert world.table.peek(KEY) is client.ticket


def test_five_hundred_requests_at_once_make_one_look_up_and_one_start(world: World) -> None:
    clients = [world.ask() for _ in range(500)]
    world.pass_time(1)
    assert {id(client.ticket) for client in clients} == {id(world.table.peek(KEY))}
    assert world.engine.launches == [(KEY, 1)]
    assert world.versions.asked == ["0000000"]


def test_a_client_who_leaves_frees_his_place_and_the_start_goes_on(world: World) -> None:
    client = world.ask()
    world.pass_time(0.05)
    client.leave()
    assert world.table.snapshot()[0].waiting == 0
    world.pass_time(1)
    assert world.state() == "ready"


def test_one_who_leaves_takes_nobody_with_him(world: World) -> None:
    leaver, stayer = world.ask(), world.ask()
    leaver.leave()
    world.pass_time(1)
    assert stayer.ticket is not None


def test_short_and_long_form_of_one_commit_are_one_stack(world: World) -> None:
    short, long = "0000000", "0000000" + "1" * 33
    a, b = world.ask(short), world.ask(long)
    world.pass_time(1)
    assert a.ticket is b.ticket
    assert world.table.peek(Key("app", long)) is world.table.peek(Key("app", short))
    assert len(world.engine.launches) == 1


def test_a_version_that_does_not_exist_is_refused_and_leaves_no_trace(world: World) -> None:
    client = world.ask("ddddd99")
    assert isinstance(client.error, errors.UnknownVersion)
    assert world.table.snapshot() == ()


def test_a_registry_that_is_away_is_not_absence(world: World) -> None:
    world.versions.away = errors.RegistryUnavailable("registry.test does not answer.")
    assert world.ask().error.status == 503


class TestFailures:
    def test_a_service_that_exits_fails_all_who_wait_with_the_cause_and_its_last_lines(self, world: World) -> None:
        world.template.spec = StackSpec((Service("web", command=("exit", "1")),), "web", 80)
        clients = [world.ask() for _ in range(5)]
        world.pass_time(0.2)
        for client in clients:
            assert isinstance(client.error, errors.StartFailed)
            assert "status 1" in str(client.error)
            assert client.error.cause.logs[0].lines[-1] == "web ended with status 1"

    def test_a_failing_loader_fails_the_start_and_the_application_is_never_created(self, world: World) -> None:
        loader = Service("loader", command=("exit", "1"))
        web = Service("web", depends_on=(Dependency("loader", Condition.COMPLETED),))
        world.template.spec = StackSpec((loader, web), "web", 80)
        client = world.ask()
        world.pass_time(0.15)
        assert "loader ended with status 1" in str(client.error)

    def test_a_failure_is_remembered_so_that_there_is_no_crash_loop(self, world: World) -> None:
        world.template.spec = StackSpec((Service("web", command=("exit", "1")),), "web", 80)
        world.ask()
        world.pass_time(1)
        again = world.ask()
        assert isinstance(again.error, errors.StartFailed)
        assert 1 <= again.error.retry_after <= 5
        assert len(world.engine.launches) == 1

    def test_after_the_back_off_the_next_request_tries_again_and_the_back_off_doubles(self, world: World) -> None:
        world.template.spec = StackSpec((Service("web", command=("exit", "1")),), "web", 80)
        world.ask()
        world.pass_time(6)
        world.ask()
        world.pass_time(6)
        assert isinstance(world.ask().error, errors.StartFailed)
        assert len(world.engine.launches) == 2
        world.pass_time(5)
        world.template.spec = ONE_SERVICE
        world.ready()
        assert world.table.snapshot()[0].failure is None

    def test_an_operator_may_ask_for_a_retry_at_once(self, world: World) -> None:
        world.template.spec = StackSpec((Service("web", command=("exit", "1")),), "web", 80)
        world.ask()
        world.pass_time(1)
        world.template.spec = ONE_SERVICE
        started = world.table.start(KEY)
        world.pass_time(1)
        assert started.result.open

    def test_a_launch_that_never_ends_is_given_up_and_removed(self, world: World) -> None:
        world.backend.step_seconds = 10_000
        client = world.ask()
        world.pass_time(61)
        assert isinstance(client.error, errors.StartTimeout)
        assert world.state() == "starting"
        world.backend.step_seconds = 0.1
        world.pass_time(541)
        assert world.state() == "failed"
        assert world.engine.stacks == {}

    def test_a_stack_that_never_answers_fails_with_the_last_answer(self, world: World) -> None:
        world.prober.mishap = errors.NotReady("it answered 503")
        early = world.ask()
        world.pass_time(119)
        assert isinstance(early.error, errors.StartTimeout)
        assert "it answered 503" in str(early.error)
        late = world.ask()
        world.pass_time(2)
        assert isinstance(late.error, errors.StartFailed)
        assert "not ready within 120 s: it answered 503" in str(late.error)
        assert world.engine.stacks == {}

    def test_a_service_that_dies_while_probed_fails_the_start_at_once(self, world: World) -> None:
        world.prober.mishap = errors.NotReady("it refused the connection")
        client = world.ask()
        world.pass_time(0.5)
        world.backend.kill(KEY, "web", 137)
        assert "status 137" in str(client.error)

    def test_a_template_that_cannot_be_rendered_is_a_failed_start_with_the_place(self, world: World) -> None:
        world.template.invalid = Invalid([Problem("app.compose.yaml:3: services.web.ports", "not a port")])
        client = world.ask()
        world.pass_time(1)
        assert "app.compose.yaml:3" in str(client.error)


class TestSleep:
    def test_an_idle_stack_is_stopped_and_the_next_request_boots_it(self, world: World) -> None:
        world.ready()
        world.pass_time(620)
        assert world.state() == "cold"
        assert world.engine.stacks == {}
        world.ready()
        assert [generation for _, generation in world.engine.launches] == [1, 1]

    def test_a_request_in_flight_keeps_it_and_so_does_a_stream_that_talks(self, world: World) -> None:
        ticket = world.ready()
        ticket.begin(world.clock.seconds())
        world.pass_time(1500)
        assert world.state() == "ready"
        ticket.stream_opened(world.clock.seconds())
        world.pass_time(1500)
        assert world.state() == "ready"
        ticket.stream_closed(world.clock.seconds())
        ticket.end(world.clock.seconds())
        world.pass_time(620)
        assert world.state() == "cold"

    def test_a_stream_that_is_silent_for_too_long_does_not(self, world: World) -> None:
        ticket = world.ready()
        ticket.begin(world.clock.seconds())
        ticket.stream_opened(world.clock.seconds())
        world.pass_time(5)
        world.clock.advance(world.limits.max_stream_idle)
        world.pass_time(10)
        assert world.state() == "cold"

    def test_a_pinned_stack_stays(self, world: World) -> None:
        world.ready()
        world.table.pin(KEY, True)
        world.pass_time(2000)
        assert world.state() == "ready"
        world.table.pin(KEY, False)
        world.pass_time(10)
        assert world.state() == "cold"

    def test_a_request_that_comes_while_it_stops_waits_and_is_served_by_the_next_generation(self, world: World) -> None:
        world.ready()
        world.table.choose(Event.STOP_CHOSEN, KEY, 1)
        assert world.state() == "stopping"
        client = world.ask()
        assert world.state() == "stopping, wanted"
        world.pass_time(1)
        assert client.ticket is not None
        assert client.ticket.generation == 2
        assert world.engine.launches == [(KEY, 1), (KEY, 2)]

    def test_a_plan_that_is_stale_does_nothing(self, world: World) -> None:
        ticket = world.ready()
        world.table.choose(Event.STOP_CHOSEN, KEY, 0)
        assert world.state() == "ready"
        ticket.begin(0)
        world.table.choose(Event.STOP_CHOSEN, KEY, 1)
        assert world.state() == "ready"
        assert world.table.peek(KEY) is ticket

    def test_a_paused_stack_wakes_with_the_same_generation(self, world: World) -> None:
        ticket = world.ready()
        world.table.choose(Event.PAUSE_CHOSEN, KEY, 1)
        assert world.state() == "paused"
        world.pass_time(0.1)
        assert world.engine.stacks[KEY].paused
        assert world.table.peek(KEY) is None
        client = world.ask()
        world.pass_time(0.1)
        assert client.ticket is ticket
        assert not world.engine.stacks[KEY].paused
        assert len(world.engine.launches) == 1

    def test_a_paused_stack_keeps_its_memory_while_the_engine_is_away(self, world: World) -> None:
        ticket = world.ready()
        world.table.choose(Event.PAUSE_CHOSEN, KEY, 1)
        world.pass_time(0.1)
        world.engine.away = errors.EngineUnavailable("The engine does not answer.")
        refused = world.ask()
        world.pass_time(1)
        assert isinstance(refused.error, errors.BackendUnavailable)
        assert world.state() == "paused"
        world.engine.away = None
        client = world.ask()
        world.pass_time(1)
        assert client.ticket is ticket
        assert world.engine.launches == [(KEY, 1)]

    def test_a_stack_that_is_stopped_while_an_engine_that_is_away_should_thaw_it_is_stopped(self, world: World) -> None:
        world.ready()
        world.table.choose(Event.PAUSE_CHOSEN, KEY, 1)
        world.pass_time(0.1)
        world.engine.away = errors.EngineUnavailable("The engine does not answer.")
        world.ask()
        stopped = world.table.stop(KEY)
        world.pass_time(1)
        world.engine.away = None
        world.pass_time(5)
        assert stopped.called
        assert world.engine.stacks == {}

    def test_a_paused_stack_that_has_gone_is_booted_anew(self, world: World) -> None:
        world.ready()
        world.table.choose(Event.PAUSE_CHOSEN, KEY, 1)
        world.pass_time(0.1)
        world.engine.stacks[KEY].running.clear()
        client = world.ask()
        world.pass_time(1)
        assert client.ticket is not None
        assert client.ticket.generation == 2


class TestDrain:
    def test_a_stack_stops_when_every_worker_has_said_that_nobody_uses_it(self, world: World) -> None:
        ticket = world.ready()
        world.asking = True
        world.table.choose(Event.STOP_CHOSEN, KEY, 1)
        assert not ticket.open
        world.pass_time(2)
        assert world.state() == "draining"
        assert KEY in world.engine.stacks
        world.answer(True)
        world.pass_time(1)
        assert world.state() == "cold"
        assert world.engine.stacks == {}

    def test_one_that_is_in_use_somewhere_calls_the_stop_off(self, world: World) -> None:
        ticket = world.ready()
        world.asking = True
        world.table.choose(Event.PAUSE_CHOSEN, KEY, 1)
        assert world.state() == "dozing"
        world.answer(False)
        assert world.state() == "ready"
        assert world.table.peek(KEY) is ticket

    def test_a_request_calls_it_off_and_answers_that_come_after_it_are_no_news(self, world: World) -> None:
        ticket = world.ready()
        world.asking = True
        world.table.choose(Event.STOP_CHOSEN, KEY, 1)
        assert world.ask().ticket is ticket
        assert world.state() == "ready"
        world.answer(True)
        world.pass_time(1)
        assert world.state() == "ready"
        assert not world.engine.stacks[KEY].paused

    def test_an_operator_does_not_wait_for_it(self, world: World) -> None:
        world.ready()
        world.asking = True
        world.table.choose(Event.STOP_CHOSEN, KEY, 1)
        world.table.stop(KEY)
        world.pass_time(1)
        assert world.state() == "cold"
        world.answer(False)
        assert world.state() == "cold"

    def test_who_gives_way_is_asked_too_and_nobody_else_gives_way_meanwhile(self, world: World) -> None:
        for name in ("0000000", "1111111", "2222222"):
            world.ready(name)
        world.pass_time(6)
        world.asking = True
        world.ask("3333333")
        world.pass_time(1)
        assert [world.state(digit * 7) for digit in "0123"] == ["draining", "ready", "ready", "queued"]
        world.answer(True)
        world.pass_time(1)
        assert world.state("3333333") == "ready"


class TestReconfigure:
    def configure(self, world: World, apps: dict[str, App], limits: Limits | None = None) -> None:
        backends = {"memory": world.backend}
        Deferred.fromCoroutine(world.table.reconfigure(apps, backends, {"app": world.versions}, limits or world.limits))

    def test_stacks_of_an_app_that_has_gone_are_stopped_even_if_busy(self, world: World) -> None:
        world.ready().begin(0)
        waiting = world.ask("1111111")
        self.configure(world, {})
        assert isinstance(waiting.error, errors.AppGone | errors.StackStopped)
        world.pass_time(1)
        assert world.engine.stacks == {}
        assert world.table.snapshot() == ()
        assert isinstance(world.ask().error, errors.AppGone)

    def test_a_changed_app_counts_from_the_next_start_that_makes_it_anew(self, world: World) -> None:
        world.ready()
        changed = App("app", "memory", template=FixedTemplate(StackSpec((Service("other"),), "other", 80)))
        self.configure(world, {"app": changed})
        assert world.state() == "ready"
        assert list(world.engine.stacks[KEY].running) == ["web"]
        world.table.remove(KEY)
        world.pass_time(1)
        world.ready()
        assert list(world.engine.stacks[KEY].running) == ["other"]

    def test_more_slots_are_given_out_at_once(self, world: World) -> None:
        for name in ("0000000", "1111111", "2222222"):
            world.ready(name).begin(world.clock.seconds())
        self.configure(world, {"app": App("app", "memory", template=world.template)}, Limits(max_stacks=4))
        assert world.ready("3333333")


class TestLoss:
    def test_a_stack_that_dies_behind_our_back_is_noticed_and_the_next_request_boots_it(self, world: World) -> None:
        ticket = world.ready()
        world.backend.kill(KEY, "web", 137)
        assert not ticket.open
        assert world.table.peek(KEY) is None
        client = world.ask()
        world.pass_time(1)
        assert client.ticket is not None
        assert client.ticket.generation == 2

    def test_a_refused_connection_leads_to_a_look_and_a_probe_not_to_a_restart(self, world: World) -> None:
        ticket = world.ready()
        world.table.lost(ticket)
        client = world.ask()
        world.pass_time(1)
        assert client.ticket is ticket
        assert len(world.engine.launches) == 1

    def test_one_that_is_found_and_then_dies_is_started_anew_and_is_no_failed_start(self, world: World) -> None:
        world.prober.mishap = errors.NotReady("it refused the connection")
        ticket = self.lost(world)
        client = world.ask()
        world.pass_time(0.1)
        assert world.state() == "probing again"
        world.prober.mishap = None
        world.backend.kill(ticket.key, "web", 3)
        world.pass_time(1)
        assert client.ticket is not None
        assert client.ticket.generation == 2

    def lost(self, world: World) -> Ticket:
        world.prober.mishap, mishap = None, world.prober.mishap
        ticket = world.ready()
        world.prober.mishap = mishap
        world.table.lost(ticket)
        return ticket

    def test_a_refused_connection_to_what_has_gone_leads_to_a_start(self, world: World) -> None:
        ticket = world.ready()
        del world.engine.stacks[KEY]
        world.table.lost(ticket)
        client = world.ask()
        world.pass_time(1)
        assert client.ticket is not None
        assert client.ticket.generation == 2

    def test_while_the_engine_is_away_starts_are_refused_with_503_and_afterwards_work(self, world: World) -> None:
        ticket = world.ready()
        world.engine.away = errors.EngineUnavailable("The engine does not answer.")
        world.table.lost(ticket)
        client = world.ask()
        world.pass_time(0.5)
        assert isinstance(client.error, errors.BackendUnavailable)
        other = world.ask("1111111")
        world.pass_time(0.5)
        assert isinstance(other.error, errors.BackendUnavailable)
        world.engine.away = None
        world.pass_time(5)
        assert world.ask("1111111").error is None
        world.pass_time(1)
        assert world.state("1111111") == "ready"

    def test_what_died_while_the_engine_was_away_is_noticed_when_it_is_back(self, world: World) -> None:
        world.ready()
        del world.engine.stacks[KEY]
        world.table._surveys.renew("memory")
        world.pass_time(1)
        assert world.state() == "cold"


class TestRestart:
    def test_whole_stacks_are_adopted_and_half_made_ones_removed(self, world: World) -> None:
        world.ready("0000000")
        world.ask("1111111")
        world.pass_time(0.05)
        world.close()  # kill -9: the engine goes on
        world.boot()
        world.open()
        world.pass_time(1)
        assert world.state("0000000") == "ready"
        assert world.engine.launches == [(KEY, 1), (Key("app", "1111111"), 1)]
        assert list(world.engine.stacks) == [KEY]

    def test_idle_time_and_pins_survive(self, world: World) -> None:
        world.ready()
        world.ready("1111111")
        world.table.pin(Key("app", "1111111"), True)
        world.pass_time(500)
        world.close()
        world.boot()
        world.open()
        world.pass_time(130)
        assert world.state() == "cold"
        assert world.state("1111111") == "ready"

    def test_an_open_stream_is_use_until_the_gateway_ends(self, world: World) -> None:
        ticket = world.ready()
        ticket.begin(world.clock.seconds())
        ticket.stream_opened(world.clock.seconds())
        for _ in range(70):
            world.clock.advance(10)
            ticket.last_byte = world.clock.seconds()
        world.close()
        world.boot()
        world.open()
        world.pass_time(300)
        assert world.state() == "ready"

    @pytest.mark.failure(24)
    def test_a_wall_clock_that_jumps_back_or_forth_reaps_nothing(self, world: World) -> None:
        world.ready()
        world.pass_time(10)
        world.close()
        world.wall_offset -= 1_000_000
        world.boot()
        world.open()
        world.pass_time(500)
        assert world.state() == "ready"


class TestCapacity:
    def test_the_least_recently_used_gives_way(self, world: World) -> None:
        for name in ("0000000", "1111111", "2222222"):
            world.ready(name)
        world.pass_time(6)
        world.ready("0000000").begin(world.clock.seconds())
        world.table.peek(KEY).end(world.clock.seconds())  # type: ignore[union-attr]
        world.ready("3333333")
        assert world.state("1111111") == "cold"
        assert world.state("0000000") == "ready"
        assert world.engine.peak == 3

    def test_twenty_keys_at_once_never_make_four_stacks_and_all_are_answered(self, world: World) -> None:
        clients = [world.ask(digit * 7) for digit in "0123456789abcdef"]
        world.pass_time(60)
        assert world.engine.peak == 3
        assert all(client.answered for client in clients)
        assert any(isinstance(client.error, errors.AtCapacity) for client in clients)

    def test_when_all_are_busy_or_pinned_the_newcomer_is_refused_at_once_and_nothing_is_evicted(self, world: World) -> None:
        for name in ("0000000", "1111111"):
            world.ready(name).begin(world.clock.seconds())
        world.ready("2222222")
        world.table.pin(Key("app", "2222222"), True)
        world.pass_time(30)
        client = world.ask("3333333")
        assert isinstance(client.error, errors.AtCapacity)
        assert client.error.retry_after
        assert len(world.engine.stacks) == 3

    def test_a_young_stack_does_not_give_way_but_the_newcomer_waits_for_it_to_grow_up(self, world: World) -> None:
        for name in ("0000000", "1111111", "2222222"):
            world.ready(name)
        client = world.ask("3333333")
        world.pass_time(1)
        assert not client.answered
        assert world.table.progress(Key("app", "3333333")) == ("number 1 in the queue for a slot", pytest.approx(1))
        world.pass_time(5)
        assert client.ticket is not None

    def test_a_long_queue_costs_no_more_to_look_at_than_there_are_slots(self, monkeypatch: pytest.MonkeyPatch) -> None:
        world = World(limits=Limits(max_stacks=3))
        world.open()
        names = [f"{number:07x}" for number in range(300)]
        world.versions.versions = {name: Version(name) for name in names}
        looked: list[Stack] = []
        snapshot = Stack.snapshot

        def counted(stack: Stack) -> StackSnapshot:
            looked.append(stack)
            return snapshot(stack)

        monkeypatch.setattr(Stack, "snapshot", counted)
        for name in names:
            world.ask(name)
        assert len(looked) <= 3 * len(names)
        world.close()

    def test_held_requests_are_bounded_for_each_key_and_in_all(self) -> None:
        world = World(limits=Limits(max_held_per_stack=3, max_held=5))
        world.open()
        clients = [world.ask("0000000") for _ in range(4)] + [world.ask("1111111") for _ in range(3)]
        refused = [isinstance(client.error, errors.TooManyWaiting) for client in clients]
        assert refused == [False, False, False, True, False, False, True]
        clients[0].leave()
        assert not world.ask("1111111").error
        world.close()


class TestOperator:
    def test_stop_stops_even_a_busy_stack_and_fires_when_it_is_gone(self, world: World) -> None:
        world.ready().begin(0)
        stopped = world.table.stop(KEY)
        assert not stopped.called
        world.pass_time(1)
        assert stopped.called
        assert world.engine.stacks == {}

    def test_stop_of_a_starting_stack_tells_those_who_wait(self, world: World) -> None:
        client = world.ask()
        world.pass_time(0.05)
        world.table.stop(KEY)
        assert isinstance(client.error, errors.StackStopped)
        world.pass_time(1)
        assert world.engine.stacks == {}

    def test_a_stack_is_stopped_and_retried_by_any_spelling_of_its_commit(self, world: World) -> None:
        long = Key("app", "0000000" + "1" * 33)
        world.ready()
        stopped = world.table.stop(long)
        assert not stopped.called
        world.pass_time(1)
        assert world.engine.stacks == {}
        world.template.spec = StackSpec((Service("web", command=("exit", "1")),), "web", 80)
        world.ask()
        world.pass_time(1)
        world.template.spec = ONE_SERVICE
        started = Client(world.table.start(long))
        world.pass_time(1)
        assert started.ticket is not None

    @pytest.mark.parametrize("name", ["", "latest", "../../etc", "0000000 "])
    def test_an_operator_starts_and_pins_nothing_that_no_host_could_name(self, world: World, name: str) -> None:
        world.versions.versions[name] = Version(name)
        for asked in (world.table.start(Key("app", name)), world.table.pin(Key("app", name), True)):
            assert isinstance(Client(asked).error, errors.InvalidVersion)
        assert world.table.snapshot() == ()

    def test_a_spelling_that_could_be_either_of_two_stacks_stops_neither(self, world: World) -> None:
        for name in (names := ["0000000a", "0000000b"]):
            world.versions.versions[name] = Version(name)
        del world.versions.versions["0000000"]
        for name in names:
            world.ready(name)
        refused = Client(world.table.stop(KEY))
        assert isinstance(refused.error, errors.AmbiguousVersion)
        assert len(world.engine.stacks) == 2

    def test_a_start_that_was_stopped_is_no_part_of_the_next(self, world: World) -> None:
        world.ask()
        world.pass_time(0.05)
        world.backend.step_seconds = 5.0
        world.table.stop(KEY)
        world.pass_time(1)
        client = world.ask()
        assert world.table.progress(KEY) is None
        world.backend.step_seconds = 0.1
        world.pass_time(10)
        assert client.ticket is not None
        (start,) = world.manifest.starts(KEY, 5).result
        assert sum(start.phases.values()) < 1
        assert start.began > world.wall_offset + 1

    def test_the_history_has_each_start_with_its_phases(self, world: World) -> None:
        world.ready()
        (start,) = world.manifest.starts(KEY, 5).result
        assert start.failure is None
        assert list(start.phases) == ["queue", "create", "ready"]
        assert start.phases["create"] == pytest.approx(0.1)

    def test_a_pin_on_a_cold_stack_is_kept_under_its_canonical_name(self, world: World) -> None:
        world.versions.versions = {"0000000" + "1" * 33: Version("0000000" + "1" * 33)}
        world.table.pin(KEY, True)
        assert [stack.key.name for stack in world.table.snapshot() if stack.pinned] == ["0000000" + "1" * 33]

    def test_shutting_down_refuses_who_waits_and_stops_nothing(self, world: World) -> None:
        world.ready()
        client = world.ask("1111111")
        Deferred.fromCoroutine(world.table.close())
        assert isinstance(client.error, errors.ShuttingDown)
        assert isinstance(world.ask("2222222").error, errors.ShuttingDown)
        assert KEY in world.engine.stacks


class TestWithoutTheManifest:
    """Pins, last uses and the history go without saying; requests don't."""

    @pytest.fixture
    def world(self, world: World) -> World:
        world.manifest.broken = sqlite3.OperationalError("database or disk is full")
        return world

    def test_stacks_start_and_sleep_all_the_same(self, world: World) -> None:
        world.ready()
        world.pass_time(620)
        assert world.state() == "cold"

    def test_a_pin_that_cannot_be_kept_is_an_error_and_no_pin(self, world: World) -> None:
        world.ready()
        pinned = Client(world.table.pin(KEY, True))
        assert isinstance(pinned.error, sqlite3.OperationalError)
        assert not world.table.snapshot()[0].pinned

    def test_the_gateway_closes_its_backends_all_the_same(self, world: World) -> None:
        closed = Deferred.fromCoroutine(world.table.close())
        assert closed.called
        assert world.backend._vanished is None


def test_a_round_of_the_janitor_that_goes_wrong_is_not_its_last(
    world: World, clean_reactor: list[Failure], monkeypatch: pytest.MonkeyPatch
) -> None:
    world.ready()
    with monkeypatch.context() as patched:
        patched.setattr(StackTable, "tidy", lambda table: 1 / 0)
        world.pass_time(10)
    assert [failure.type for failure in clean_reactor] == [ZeroDivisionError] * 2
    clean_reactor.clear()
    world.pass_time(620)
    assert world.state() == "cold"
