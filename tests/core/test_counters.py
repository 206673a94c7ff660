"""Counters: what is added is what was counted, whoever counted it."""

from __future__ import annotations

import json

from hypothesis import given
from hypothesis import strategies as st

from grandcentral.core.counters import FINE, METHODS, OTHER, SECONDS, Histogram, HttpCounters, StackCounters, TcpCounters
from grandcentral.core.keys import Key
from grandcentral.core.lifecycle import TRANSITIONS, Event, State
from grandcentral.core.model import Endpoint
from grandcentral.core.tickets import Ticket

answers = st.dictionaries(st.tuples(st.sampled_from(sorted(METHODS)), st.integers(100, 599)), st.integers(1, 1000), max_size=5)
seconds = st.lists(st.integers(0, 1000).map(float), max_size=8)
numbers = st.integers(0, 10**12)


def histogram(values: list[float], bounds: tuple[float, ...] = SECONDS) -> Histogram:
    made = Histogram(bounds)
    for value in values:
        made.observe(value)
    return made


refusals = st.dictionaries(st.sampled_from(["asleep", "at-capacity"]), st.integers(1, 1000))
fine = seconds.map(lambda values: histogram(values, FINE))
protocols = st.sampled_from(["postgresql", "redis", "tcp"])
tcp = st.builds(
    TcpCounters,
    st.dictionaries(protocols, numbers),
    st.dictionaries(st.tuples(protocols, st.sampled_from(["asleep", "at-capacity"])), st.integers(1, 1000)),
)
counters = st.builds(HttpCounters, answers, seconds.map(histogram), fine, refusals, numbers, numbers, numbers, tcp)


@given(seconds, seconds)
def test_a_sum_of_histograms_is_the_histogram_of_all_values(one: list[float], two: list[float]) -> None:
    assert histogram(one) + histogram(two) == histogram(one + two)
    assert sum(histogram(one).counts) == len(one)


def test_a_value_on_a_bound_belongs_to_it() -> None:
    assert histogram([SECONDS[0]]).counts[0] == 1
    assert histogram([SECONDS[-1] + 1]).counts[-1] == 1


@given(counters, counters, counters)
def test_counters_of_workers_can_be_added_in_any_order(one: HttpCounters, two: HttpCounters, three: HttpCounters) -> None:
    assert one + two == two + one
    assert (one + two) + three == one + (two + three)
    assert one + HttpCounters() == one


@given(counters)
def test_counters_travel_as_json(one: HttpCounters) -> None:
    assert HttpCounters.of(json.loads(json.dumps(one.plain()))) == one


def test_what_a_worker_of_another_version_says_is_taken_as_far_as_it_is_understood() -> None:
    old = {"answers": [["GET", 200, 5]], "held": {"counts": [1], "total": 2.0}, "connections": 3, "new": "x"}
    assert HttpCounters.of(old) == HttpCounters({(b"GET", 200): 5}, connections=3)


def test_methods_that_clients_invent_are_one() -> None:
    counted = HttpCounters()
    for method in (b"GET", b"BREW", b"STEEP", b"GET"):
        counted.count(method, 200)
    assert counted.answers == {(b"GET", 200): 2, (OTHER, 200): 2}


def test_every_way_for_a_stack_to_be_stopped_has_a_reason() -> None:
    counted = StackCounters()
    for before, rows in TRANSITIONS.items():
        for event, (after, _) in rows.items():
            counted.moved(before, after, event, "room")
    assert {reason for reason, count in counted.stops.items() if count} == {"room", "operator", "vanished", "failed"}
    assert {reason for reason, count in {**counted.pauses, **counted.removals}.items() if count} == {"room"}
    one = StackCounters()
    one.moved(State.DRAINING, State.SAVING, Event.DRAINED, "memory")
    one.moved(State.SAVING, State.STOPPING, Event.SAVED, "memory")
    one.moved(State.STOPPING, State.STOPPING_WANTED, Event.WANTED, "memory")
    one.moved(State.DRAINING, State.READY, Event.WANTED, "memory")
    assert sum(one.stops.values()) == one.stops["memory"] == 1


def test_what_an_operator_stops_is_stopped_by_him_whatever_was_planned_before() -> None:
    counted = StackCounters()
    counted.moved(State.READY, State.CLOSING, Event.STOP_ASKED, "idle")
    counted.moved(State.CLOSING, State.STOPPING, Event.SAVED, "idle")
    counted.moved(State.READY, State.STOPPING, Event.FORCE_ASKED, "idle")
    assert counted.stops["operator"] == 2


def test_a_stack_that_could_not_be_saved_is_counted_and_was_not_stopped() -> None:
    counted = StackCounters()
    counted.moved(State.SAVING, State.RESUMING, Event.SAVE_FAILED, "idle")
    assert (counted.unsaved, sum(counted.stops.values())) == (1, 0)


def test_starts_are_counted_by_depth_and_the_phases_of_those_that_went_well() -> None:
    counted = StackCounters()
    counted.started("cold", None, 12.0, {"pull": 8.0})
    counted.started("cold", "no image", 1.0, {"pull": 1.0})
    counted.started("paused", None, 0.002, {})
    assert {kind: sum(took.counts) for kind, took in counted.starts.items()} == {
        ("cold", "ready"): 1,
        ("cold", "failed"): 1,
        ("paused", "ready"): 1,
    }
    assert counted.starts["paused", "ready"].counts[1] == 1
    assert {kind: took.total for kind, took in counted.phases.items()} == {("cold", "pull"): 8.0}


def test_traffic_never_goes_back_when_a_stack_does() -> None:
    counted = StackCounters()
    ticket = Ticket(Key("app", "a"), 1, Endpoint("h", 1), bytes_in=3, bytes_out=5)
    assert counted.traffic([ticket]) == (3, 5)
    counted.retire(ticket)
    assert counted.traffic([]) == (3, 5)
