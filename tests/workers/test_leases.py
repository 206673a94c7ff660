"""Leases that applications take through workers: what the gateway makes of what it hears. See Note [The latest word]."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import permutations

import pytest
from attrs import evolve
from hypothesis import given
from hypothesis import strategies as st

from grandcentral.core.lifecycle import Event
from grandcentral.core.tickets import Ticket

from .rig import KEY, LIMITS, Rig


@pytest.fixture
def rig() -> Iterator[Rig]:
    rig = Rig()
    yield rig
    rig.close()


def kept(rig: Rig) -> float:
    """For how many more seconds the gateway keeps the stack awake, negative if not at all."""
    (stack,) = rig.world.table.snapshot()
    return stack.keep_until - rig.world.clock.seconds()


def test_the_gateway_hears_of_it_within_a_second(rig: Rig) -> None:
    rig.ready().lease(rig.world.clock.seconds(), 600)
    rig.pass_time(1.1)
    assert 598 < kept(rig) < 600


def test_it_holds_the_stack_awake_past_its_idle_time_and_not_for_longer(rig: Rig) -> None:
    rig.ready().lease(rig.world.clock.seconds(), 1000)
    rig.pass_time(900)
    assert rig.world.state() == "ready"
    rig.pass_time(120)
    assert rig.world.state() == "cold"


@pytest.mark.parametrize("reports", list(permutations([0, 1, 2])))
def test_the_latest_word_counts_whichever_worker_heard_it_and_whichever_reports_first(reports: tuple[int, ...]) -> None:
    rig = Rig(3, evolve(LIMITS, max_held=9))
    tickets = [rig.ready(worker) for worker in range(3)]
    for ticket, seconds in zip(tickets, (600, 60, 300), strict=True):
        ticket.lease(rig.world.clock.seconds(), seconds)
        rig.world.clock.advance(0.01)
    for worker in reports:
        rig.workers[worker].worker.tell()
        rig.flush()
    assert 299 < kept(rig) < 300
    rig.close()


def test_given_back_through_another_worker_it_is_given_back(rig: Rig) -> None:
    first, second = rig.ready(0), rig.ready(1)
    first.lease(rig.world.clock.seconds(), 600)
    rig.pass_time(0.1)
    second.lease(rig.world.clock.seconds(), 0)
    rig.pass_time(2.1)
    assert kept(rig) < 0


@pytest.mark.parametrize("event", [Event.STOP_CHOSEN, Event.PAUSE_CHOSEN])
def test_one_that_the_gateway_has_not_heard_of_calls_a_drain_off(rig: Rig, event: Event) -> None:
    rig.ready().lease(rig.world.clock.seconds(), 600)  # and Activity is due in a second
    rig.world.table.choose(event, KEY, 1)
    rig.flush()
    assert rig.world.state() == "ready"
    assert kept(rig) > 599


def test_the_next_gateway_hears_of_it(rig: Rig) -> None:
    rig.ready().lease(rig.world.clock.seconds(), 600)
    rig.pass_time(1.1)
    rig.kill_the_gateway()
    rig.start_a_gateway()
    rig.pass_time(1)
    assert kept(rig) > 590


def test_a_worker_of_an_earlier_version_says_nothing_of_it(rig: Rig) -> None:
    ticket = rig.ready()
    ticket.lease(rig.world.clock.seconds(), 600)
    rig.pass_time(1.1)
    assert rig.hub is not None
    (member, *_) = rig.hub.members.values()
    _, report = member.use[KEY, 1]
    rig.hub.count(member, [{**report, "keep_until": None, "leased": None}])
    assert kept(rig) > 590


@given(st.lists(st.tuples(st.floats(0, 1000), st.integers(0, 1000)), min_size=1))
def test_of_a_ticket_the_last_word_counts(words: list[tuple[float, int]]) -> None:
    ticket = Ticket(KEY, 1, None)  # type: ignore[arg-type]
    now = 0.0
    for later, seconds in words:
        now += later
        ticket.lease(now, seconds)
    assert (ticket.keep_until, ticket.leased) == (now + seconds, now)
