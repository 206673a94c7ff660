"""The pace of probes: core/readiness.py."""

from __future__ import annotations

from collections.abc import Callable

from hypothesis import given
from hypothesis import strategies as st

from grandcentral.core.readiness import next_check, next_probe, timeout

moments = st.floats(0, 1e6)


def asked_until(ready: float, pause: Callable[[float], float]) -> tuple[int, float]:
    """An application that refuses until ``ready`` seconds have passed: how often it was asked, and when it was found ready."""
    asked, now = 1, 0.0
    while now < ready:
        asked, now = asked + 1, now + pause(now)
    return asked, now


@given(st.floats(0, 600))
def test_it_is_found_out_late_by_a_twentieth_of_what_it_took_or_a_quarter_of_a_second_at_most(ready: float) -> None:
    _, found = asked_until(ready, next_probe)
    assert found - ready <= max(0.002, min(0.05 * ready, 0.25)) + 1e-9


@given(st.floats(0, 600))
def test_by_a_seventh_where_each_check_is_a_process(ready: float) -> None:
    _, found = asked_until(ready, next_check)
    assert found - ready <= max(0.02, min(0.15 * ready, 0.25)) + 1e-9


def test_how_often_that_is() -> None:
    assert [asked_until(ready, next_probe)[0] for ready in (0.3, 1.0, 120.0)] == [63, 87, 580]
    assert [asked_until(ready, next_check)[0] for ready in (0.3, 1.0, 120.0)] == [14, 23, 500]


def test_an_application_that_takes_three_seconds_over_its_first_page_is_heard_out_soon() -> None:
    """Each attempt before takes all the time that it is given."""
    now = 0.0
    while timeout(now) < 3:
        now += timeout(now)
        now += next_probe(now)
    assert now + 3 < 10


@given(moments, moments)
def test_it_never_gets_less_patient_and_never_leaves_its_limits(one: float, other: float) -> None:
    sooner, later = sorted((one, other))
    assert 0.002 <= next_probe(sooner) <= next_probe(later) <= 0.25
    assert 0.2 <= timeout(sooner) <= timeout(later) <= 5.0


@given(moments)
def test_checks_that_are_processes_are_run_at_most_fifty_times_a_second(waited: float) -> None:
    assert max(0.02, next_probe(waited)) <= next_check(waited) <= 0.25
