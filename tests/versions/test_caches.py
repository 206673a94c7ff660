"""Answers kept for a while, and one question for many who ask."""

from __future__ import annotations

import pytest
from twisted.internet.defer import CancelledError, Deferred, succeed
from twisted.internet.task import Clock

from grandcentral.versions.caches import Cache, Flights


def test_a_value_is_fresh_until_its_time_and_last_ever_after() -> None:
    clock = Clock()
    cache: Cache[int] = Cache(clock, 10)
    assert (cache.fresh("a"), cache.last("a")) == (None, None)
    cache.set("a", 1, 5.0)
    clock.advance(4.9)
    assert cache.fresh("a") == 1
    clock.advance(0.1)
    assert (cache.fresh("a"), cache.last("a")) == (None, 1)
    cache.forget("a")
    assert cache.last("a") is None


def test_a_full_cache_drops_what_was_set_longest_ago() -> None:
    cache: Cache[int] = Cache(Clock(), 2)
    for name in ("a", "b", "a", "c"):
        cache.set(name, 1, 5.0)
    assert [cache.last(name) for name in "abc"] == [1, None, 1]
    assert len(cache) == 2


def test_what_is_no_longer_true_is_dropped() -> None:
    cache: Cache[int] = Cache(Clock(), 9)
    for name in ("abc", "abd", "x"):
        cache.set(name, 1, 5.0)
    cache.forget_where(lambda name: name.startswith("ab"))
    assert [cache.last(name) for name in ("abc", "abd", "x")] == [None, None, 1]


def outcome(deferred: Deferred[int]) -> list[object]:
    seen: list[object] = []
    deferred.addCallbacks(seen.append, lambda failure: seen.append(failure.value))
    return seen


def test_all_who_ask_during_a_flight_get_its_answer() -> None:
    flights: Flights[int] = Flights()
    flight: Deferred[int] = Deferred()
    outcomes = [outcome(flights.join("a", lambda: flight)) for _ in range(3)]
    flight.callback(1)
    assert outcomes == [[1], [1], [1]]
    assert len(flights) == 0


def test_all_get_its_failure() -> None:
    flights: Flights[int] = Flights()
    flight: Deferred[int] = Deferred()
    outcomes = [outcome(flights.join("a", lambda: flight)) for _ in range(2)]
    error = ValueError("no")
    flight.errback(error)
    assert outcomes == [[error], [error]]


def test_flights_of_different_names_are_different() -> None:
    flights: Flights[int] = Flights()
    assert outcome(flights.join("a", lambda: succeed(1))) == [1]
    assert outcome(flights.join("b", lambda: succeed(2))) == [2]


def test_one_who_leaves_leaves_alone() -> None:
    flights: Flights[int] = Flights()
    flight: Deferred[int] = Deferred()
    leaver, stayer = flights.join("a", lambda: flight), flights.join("a", lambda: flight)
    left, stayed = outcome(leaver), outcome(stayer)
    leaver.cancel()
    assert isinstance(left[0], CancelledError)
    flight.callback(1)
    assert stayed == [1]


def test_one_who_is_answered_may_take_the_others_with_him() -> None:
    flights: Flights[int] = Flights()
    flight: Deferred[int] = Deferred()
    first, second = flights.join("a", lambda: flight), flights.join("a", lambda: flight)
    left = outcome(second)
    first.addCallback(lambda _: second.cancel())
    flight.callback(1)
    assert [type(error) for error in left] == [CancelledError]
    assert first.called


def test_one_who_asks_again_when_answered_starts_a_new_flight() -> None:
    flights: Flights[int] = Flights()
    first: Deferred[int] = Deferred()
    second: Deferred[int] = Deferred()
    again: list[list[object]] = []
    flights.join("a", lambda: first).addCallback(lambda _: again.append(outcome(flights.join("a", lambda: second))))
    first.callback(1)
    assert again == [[]]
    second.callback(2)
    assert again == [[2]]


def test_cancelling_the_flights_tells_all_who_wait() -> None:
    flights: Flights[int] = Flights()
    seen = outcome(flights.join("a", lambda: Deferred()))
    flights.cancel()
    assert [type(error) for error in seen] == [CancelledError]
    assert len(flights) == 0


@pytest.mark.parametrize("count", [1, 5])
def test_a_flight_that_lands_at_once_leaves_nothing_behind(count: int) -> None:
    flights: Flights[int] = Flights()
    assert [outcome(flights.join("a", lambda: succeed(1))) for _ in range(count)] == [[1]] * count
    flights.cancel()
    assert len(flights) == 0


def test_a_flight_that_is_shut_is_not_joined_any_more_and_lands_all_the_same() -> None:
    flights: Flights[int] = Flights()
    answers: list[Deferred[int]] = [Deferred(), Deferred()]
    started = iter(answers)
    early = outcome(flights.join("a", lambda: next(started)))
    flights.shut(lambda name: name == "a")
    late = outcome(flights.join("a", lambda: next(started)))
    assert len(flights) == 2
    answers[0].callback(1)
    later = outcome(flights.join("a", lambda: next(started)))  # the second is still there to be joined
    answers[1].callback(2)
    assert (early, late, later) == ([1], [2], [2])
    assert len(flights) == 0


def test_a_flight_that_is_shut_is_cancelled_with_the_others() -> None:
    flights: Flights[int] = Flights()
    waiting = outcome(flights.join("a", Deferred))
    flights.shut(lambda name: True)
    flights.cancel()
    assert isinstance(waiting[0], CancelledError)
