"""What the gateway and its workers say to each other, over lines in memory, with the real table behind them."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from twisted.internet.defer import Deferred

from grandcentral import errors
from grandcentral.core.counters import TcpCounters
from grandcentral.core.keys import Key
from grandcentral.core.lifecycle import Event
from grandcentral.core.model import Limits, Service, StackSpec
from grandcentral.wire.postgresql_server import SessionKey
from tests.stacks.world import Client

from .rig import KEY, Rig


@pytest.fixture
def rig() -> Iterator[Rig]:
    rig = Rig()
    yield rig
    rig.close()


class TestWake:
    def test_the_first_request_wakes_the_stack_and_the_next_one_asks_nobody(self, rig: Rig) -> None:
        ticket = rig.ready()
        assert ticket.endpoint == rig.world.engine.stacks[KEY].endpoint
        assert (ticket.key, ticket.generation) == (KEY, 1)
        rig.hub = None
        rig.workers[0].hang_up()
        assert rig.workers[0].stacks.peek(KEY) is ticket
        assert rig.workers[0].ask().ticket is ticket

    def test_all_who_wait_in_one_worker_are_one_who_waits_at_the_gateway(self, rig: Rig) -> None:
        clients = [rig.workers[0].ask() for _ in range(3)] + [rig.workers[1].ask()]
        rig.pass_time(0.02)
        assert [stack.waiting for stack in rig.world.table.snapshot()] == [2]
        rig.pass_time(1)
        assert all(client.ticket for client in clients)
        assert rig.world.engine.launches == [(KEY, 1)]

    def test_a_refusal_arrives_with_its_cause_and_log_lines(self, rig: Rig) -> None:
        rig.world.template.spec = StackSpec((Service("web", command=("exit", "3")),), "web", 80)
        client = rig.workers[0].ask()
        rig.pass_time(1)
        assert isinstance(client.error, errors.StartFailed)
        assert isinstance(client.error.cause, errors.ServiceExited)
        assert client.error.cause.status == 3
        assert client.error.retry_after

    def test_what_the_start_took_is_known_to_the_worker(self, rig: Rig) -> None:
        ticket = rig.ready()
        theirs = rig.world.table.peek(KEY)
        assert theirs is not None
        assert (ticket.started, ticket.phases) == (theirs.started, theirs.phases)

    def test_a_client_that_leaves_leaves_alone_and_the_start_goes_on(self, rig: Rig) -> None:
        leaves, stays = rig.workers[0].ask(), rig.workers[0].ask()
        leaves.leave()
        assert rig.workers[0].stacks.held == 1
        rig.pass_time(1)
        assert stays.ticket is not None

    def test_what_may_be_told_to_those_who_wait_is_asked_once_a_second(self, rig: Rig) -> None:
        rig.world.prober.mishap = errors.NotReady("it answered 503")
        rig.workers[0].ask()
        assert rig.workers[0].stacks.progress(KEY) is None
        rig.pass_time(2.1)
        told = rig.workers[0].stacks.progress(KEY)
        assert told is not None
        assert "503" in told[0]
        assert told[1] > 0

    def test_the_deadline_of_who_came_first_is_not_that_of_who_came_later(self, rig: Rig) -> None:
        rig.world.prober.mishap = errors.NotReady("it answered 503")
        first = rig.workers[0].ask()
        rig.pass_time(40)
        second = rig.workers[0].ask()
        rig.pass_time(25)
        assert isinstance(first.error, errors.StartTimeout)
        assert not second.answered
        rig.world.prober.mishap = None
        rig.pass_time(5)
        assert second.ticket is not None

    def test_held_requests_are_bounded_for_each_key_and_in_all(self, rig: Rig) -> None:
        clients = [rig.workers[0].ask() for _ in range(4)] + [rig.workers[0].ask("1111111") for _ in range(3)]
        full = [isinstance(client.error, errors.TooManyWaiting) for client in clients]
        assert full == [False, False, False, True, False, False, True]


class TestUse:
    def test_the_gateway_counts_what_its_workers_count(self, rig: Rig) -> None:
        for worker in (0, 1):
            ticket = rig.ready(worker)
            ticket.begin(rig.world.clock.seconds())
            ticket.stream_opened(rig.world.clock.seconds())
            ticket.bytes_in += 10
        rig.pass_time(1.1)
        (stack,) = rig.world.table.snapshot()
        assert (stack.in_flight, stack.streams, stack.requests, stack.bytes_in) == (2, 2, 2, 20)
        ticket.stream_closed(rig.world.clock.seconds())
        ticket.end(rig.world.clock.seconds())
        rig.pass_time(1.1)
        (stack,) = rig.world.table.snapshot()
        assert (stack.in_flight, stack.streams, stack.requests) == (1, 1, 2)

    def test_what_a_dead_worker_had_in_flight_is_over(self, rig: Rig) -> None:
        rig.ready(0).begin(rig.world.clock.seconds())
        rig.ready(1).begin(rig.world.clock.seconds())
        rig.pass_time(1.1)
        rig.workers[0].die()
        assert rig.hub is not None
        assert [stack.in_flight for stack in rig.world.table.snapshot()] == [2]
        rig.hub.gone(rig.workers[0].pid)
        assert [(stack.in_flight, stack.requests) for stack in rig.world.table.snapshot()] == [(1, 2)]

    def test_what_workers_count_adds_up_and_stays_when_one_ends(self, rig: Rig) -> None:
        assert rig.hub is not None
        for worker in rig.workers:
            worker.front.counters.count(b"GET", 200)
            worker.front.counters.connections = 5
            worker.front.counters.tcp.connections["redis"] = 2
            worker.front.counters.tcp.refused("redis", "asleep")
        rig.pass_time(1.1)
        assert rig.hub.counted().answers == {(b"GET", 200): 2}
        assert rig.hub.counted().connections == 10
        assert rig.hub.counted().tcp == TcpCounters({"redis": 4}, {("redis", "asleep"): 2})
        rig.workers[0].die()
        rig.hub.gone(rig.workers[0].pid)
        assert rig.hub.counted().answers == {(b"GET", 200): 2}
        assert rig.hub.counted().connections == 5
        assert rig.hub.counted().tcp == TcpCounters({"redis": 2}, {("redis", "asleep"): 2})

    def test_use_of_a_generation_that_was_stopped_is_not_use_of_the_next(self, rig: Rig) -> None:
        ticket = rig.ready()
        ticket.begin(rig.world.clock.seconds())
        rig.pass_time(1.1)
        rig.world.table.stop(KEY)
        rig.pass_time(1)
        again = rig.ready()
        ticket.end(rig.world.clock.seconds())
        rig.pass_time(2.1)
        (stack,) = rig.world.table.snapshot()
        assert (stack.generation, stack.in_flight) == (again.generation, 0)

    def test_more_stacks_than_fit_into_one_message_are_told_in_several(self) -> None:
        rig = Rig(1, Limits())
        endpoint = rig.world.ready().endpoint
        for number in range(230):
            ticket = rig.workers[0].stacks._open(Key("app", f"{number:07}"), 1, endpoint)
            ticket.begin(0.0)
        rig.pass_time(1.1)
        assert rig.hub is not None
        assert len(rig.hub.members[rig.workers[0].pid].use) == 230
        rig.close()


@pytest.mark.failure(18)
class TestCancelRequests:
    def test_one_reaches_the_worker_that_has_the_session_and_ends_when_it_is_delivered(self, rig: Rig) -> None:
        one, other = rig.workers
        delivered: Deferred[None] = Deferred()
        other.front.sessions[SessionKey(7, b"abcd")] = delivered
        over: list[object] = []
        one.worker.interrupt(SessionKey(7, b"abcd"), b"stop it").addCallback(over.append)
        rig.flush()
        assert other.front.told[-1] == "interrupt 7 b'stop it'"
        assert over == []
        delivered.callback(None)
        rig.flush()
        assert len(over) == 1
        assert one.front.told == ["start"], "it is asked of others only"

    @pytest.mark.parametrize("session", [SessionKey(7, b"other"), SessionKey(8, b"abcd")])
    def test_one_that_nobody_knows_is_over_at_once(self, rig: Rig, session: SessionKey) -> None:
        rig.workers[1].front.sessions[SessionKey(7, b"abcd")] = Deferred()
        over: list[object] = []
        rig.workers[0].worker.interrupt(session, b"stop it").addCallback(over.append)
        rig.flush()
        assert len(over) == 1
        assert rig.workers[1].front.told == ["start"]

    def test_without_a_gateway_nobody_is_asked(self, rig: Rig) -> None:
        rig.kill_the_gateway()
        over: list[object] = []
        rig.workers[0].worker.interrupt(SessionKey(7, b"abcd"), b"stop it").addCallback(over.append)
        assert over == [None]


class TestDrain:
    def test_an_idle_stack_stops_when_every_worker_has_closed_its_route(self, rig: Rig) -> None:
        tickets = [rig.ready(0), rig.ready(1)]
        rig.world.table.choose(Event.STOP_CHOSEN, KEY, 1)
        assert rig.world.state() == "draining"
        rig.flush()
        assert rig.world.state() == "stopping"
        assert not any(ticket.open for ticket in tickets)
        assert rig.workers[0].stacks.peek(KEY) is None
        assert rig.workers[0].forgotten == [str(tickets[0].endpoint)]

    @pytest.mark.parametrize("event", [Event.STOP_CHOSEN, Event.PAUSE_CHOSEN])
    def test_a_request_that_the_gateway_has_not_heard_of_calls_it_off(self, rig: Rig, event: Event) -> None:
        ticket = rig.ready()
        ticket.begin(rig.world.clock.seconds())  # and Activity is due in a second
        rig.world.table.choose(event, KEY, 1)
        rig.flush()
        assert rig.world.state() == "ready"
        assert [stack.in_flight for stack in rig.world.table.snapshot()] == [1]
        assert not rig.world.engine.stacks[KEY].paused
        assert rig.ready() is ticket  # which counts what is in flight, and goes on counting
        ticket.end(rig.world.clock.seconds())
        rig.pass_time(1.1)
        assert [stack.in_flight for stack in rig.world.table.snapshot()] == [0]

    def test_nor_is_one_put_to_sleep_that_was_woken_a_moment_ago(self, rig: Rig) -> None:
        """Of what the worker did after that, the gateway has not heard yet."""
        ticket = rig.ready()
        rig.pass_time(598)
        ticket.begin(rig.world.clock.seconds())
        ticket.end(rig.world.clock.seconds())
        rig.world.table.choose(Event.STOP_CHOSEN, KEY, 1, "idle")
        rig.flush()
        assert rig.world.state() == "ready"

    def test_a_request_that_comes_while_workers_are_asked_is_served_by_the_same_stack(self, rig: Rig) -> None:
        rig.ready()
        rig.world.table.choose(Event.STOP_CHOSEN, KEY, 1)
        client = Client(rig.world.table.ensure(KEY))
        assert client.ticket is not None
        rig.flush()
        rig.pass_time(1)
        assert rig.world.state() == "ready"
        assert len(rig.world.engine.launches) == 1

    def test_a_stream_that_was_silent_for_too_long_does_not_count_in_a_worker_either(self, rig: Rig) -> None:
        ticket = rig.ready()
        ticket.begin(rig.world.clock.seconds())
        ticket.stream_opened(rig.world.clock.seconds())
        ticket.last_byte -= Limits().max_stream_idle
        rig.pass_time(1.1)  # it was used when it was opened, which the gateway has heard
        rig.world.table.choose(Event.STOP_CHOSEN, KEY, 1)
        rig.flush()
        assert rig.world.state() == "stopping"

    def test_nor_does_any_stream_of_a_stack_that_has_been_up_for_long_enough(self, rig: Rig) -> None:
        ticket = rig.ready()
        ticket.begin(rig.world.clock.seconds())
        ticket.stream_opened(rig.world.clock.seconds())
        rig.world.table.choose(Event.STOP_CHOSEN, KEY, 1, "age")
        rig.flush()
        assert rig.world.state() == "stopping"

    def test_but_a_request_does(self, rig: Rig) -> None:
        rig.ready().begin(rig.world.clock.seconds())
        rig.world.table.choose(Event.STOP_CHOSEN, KEY, 1, "age")
        rig.flush()
        assert rig.world.state() == "ready"

    def test_a_worker_that_does_not_answer_is_taken_for_busy(self, rig: Rig) -> None:
        rig.ready()
        rig.world.table.choose(Event.STOP_CHOSEN, KEY, 1)
        rig.world.pass_time(2.9)  # nothing is delivered
        assert rig.world.state() == "draining"
        rig.world.pass_time(0.2)
        assert rig.world.state() == "ready"
        assert KEY in rig.world.engine.stacks

    def test_a_worker_whose_line_broke_may_be_busy_until_it_is_known_to_have_ended(self, rig: Rig) -> None:
        rig.ready()
        rig.workers[0].die()
        rig.world.table.choose(Event.STOP_CHOSEN, KEY, 1)
        rig.flush()
        assert rig.world.state() == "ready"
        assert rig.hub is not None
        rig.hub.gone(rig.workers[0].pid)
        rig.world.table.choose(Event.STOP_CHOSEN, KEY, 1)
        rig.flush()
        assert rig.world.state() == "stopping"

    def test_a_frozen_stack_is_asked_for_again_and_thawed(self, rig: Rig) -> None:
        ticket = rig.ready()
        rig.world.table.choose(Event.PAUSE_CHOSEN, KEY, 1)
        rig.pass_time(0.1)
        assert rig.world.state() == "paused"
        again = rig.ready()
        assert (again.generation, again.endpoint, again.open) == (ticket.generation, ticket.endpoint, True)


class TestLoss:
    def test_a_stack_that_dies_is_closed_in_every_worker(self, rig: Rig) -> None:
        tickets = [rig.ready(0), rig.ready(1)]
        rig.world.backend.kill(KEY, "web", 137)
        rig.flush()
        assert not any(ticket.open for ticket in tickets)
        assert rig.ready(0).generation == 2

    def test_a_refused_connection_in_a_worker_leads_to_a_look(self, rig: Rig) -> None:
        ticket = rig.ready()
        del rig.world.engine.stacks[KEY]
        rig.workers[0].stacks.lost(ticket)
        assert rig.workers[0].stacks.peek(KEY) is None
        rig.flush()
        assert rig.ready().generation == 2


class TestWithoutGateway:
    def test_what_is_cold_is_held_and_asked_of_the_next_gateway(self, rig: Rig) -> None:
        rig.ready()
        rig.kill_the_gateway()
        held = [rig.workers[0].ask("1111111"), rig.workers[1].ask("2222222")]
        rig.pass_time(30)
        assert not any(client.answered for client in held)
        rig.start_a_gateway()
        rig.pass_time(2)
        assert all(client.ticket for client in held)

    def test_who_waited_when_it_died_waits_on(self, rig: Rig) -> None:
        client = rig.workers[0].ask()
        rig.kill_the_gateway()
        rig.start_a_gateway()
        rig.pass_time(2)
        assert client.ticket is not None

    def test_nobody_is_held_for_longer_than_start_timeout_and_not_more_than_there_is_room_for(self, rig: Rig) -> None:
        rig.kill_the_gateway()
        clients = [rig.workers[0].ask() for _ in range(4)]
        assert isinstance(clients[3].error, errors.TooManyWaiting)
        rig.pass_time(60.1)
        assert [type(client.error) for client in clients[:3]] == [errors.StartTimeout] * 3
        assert "does not answer" in str(clients[0].error)
        assert rig.workers[0].stacks.held == 0

    def test_the_next_gateway_counts_what_is_in_flight_and_closes_what_is_gone(self, rig: Rig) -> None:
        stays, goes = rig.ready(0), rig.ready(1, "1111111")
        stays.begin(rig.world.clock.seconds())
        rig.kill_the_gateway()
        del rig.world.engine.stacks[goes.key]
        rig.start_a_gateway()
        rig.pass_time(1)
        assert (stays.open, goes.open) == (True, False)
        assert [(stack.key, stack.state, stack.in_flight) for stack in rig.world.table.snapshot()] == [(KEY, "ready", 1)]

    def test_it_closes_what_was_stopped_meanwhile(self, rig: Rig) -> None:
        ticket = rig.ready()
        rig.kill_the_gateway()
        rig.world.engine.stacks[KEY].running.clear()
        rig.start_a_gateway()
        rig.pass_time(1)
        assert not ticket.open

    def test_it_closes_what_was_started_again_elsewhere_meanwhile(self, rig: Rig) -> None:
        """Under the old address there may be another stack by now."""
        ticket = rig.ready(0)
        before = ticket.endpoint
        rig.kill_the_gateway()
        rig.world.engine.stacks[KEY].running.clear()
        rig.workers[0].held_up = True
        rig.start_a_gateway()
        rig.pass_time(0.2)
        assert rig.ready(1).generation == ticket.generation
        assert ticket.endpoint == before
        rig.workers[0].held_up = False
        rig.pass_time(0.2)
        assert not ticket.open
        assert rig.ready(0).endpoint == rig.ready(1).endpoint != before

    def test_routes_stay_while_the_engine_cannot_say_what_runs(self, rig: Rig) -> None:
        ticket = rig.ready()
        rig.kill_the_gateway()
        rig.world.engine.away = errors.EngineUnavailable("The engine does not answer.")
        rig.start_a_gateway()
        rig.pass_time(2)
        assert ticket.open
        rig.world.engine.away = None


class TestEnding:
    def test_a_worker_that_retires_ends_when_its_last_client_has_left(self, rig: Rig) -> None:
        one = rig.workers[0]
        assert rig.hub is not None
        rig.hub.members[one.pid].retire()
        rig.pass_time(0.1)
        assert one.front.told == ["start", "retire"]
        assert one.ended == 0
        one.front.leave()
        assert one.ended == 1

    def test_one_that_is_told_to_stop_has_told_everything_when_it_ends(self, rig: Rig) -> None:
        ticket = rig.ready()
        ticket.begin(rig.world.clock.seconds())
        stopped: list[None] = []
        rig.workers[0].worker.stop().addCallback(stopped.append)
        rig.pass_time(0.1)
        ticket.end(rig.world.clock.seconds())
        assert stopped == []
        rig.workers[0].front.leave()
        rig.flush()
        assert stopped == [None]
        assert [(stack.requests, stack.in_flight) for stack in rig.world.table.snapshot()] == [(1, 0)]

    def test_without_a_gateway_it_ends_too(self, rig: Rig) -> None:
        rig.kill_the_gateway()
        stopped: list[None] = []
        rig.workers[0].worker.stop().addCallback(stopped.append)
        rig.pass_time(0.1)
        rig.workers[0].front.leave()
        assert stopped == [None]
        rig.pass_time(1)
        assert rig.workers[0].pump is None
