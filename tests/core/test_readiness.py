"""The pace of probes: core/readiness.py."""

from __future__ import annotations

from itertools import accumulate

from hypothesis import given
from hypothesis import strategies as st

from grandcentral.core.readiness import Pace, pace


def test_the_first_probe_is_short_and_soon_repeated() -> None:
    assert pace(0) == Pace(delay=0.02, timeout=0.2)


def test_in_the_end_it_asks_twice_a_second_and_listens_for_five() -> None:
    assert pace(100) == Pace(delay=0.5, timeout=5.0)


def test_a_stack_that_takes_a_second_is_asked_about_ten_times() -> None:
    """Each attempt refused at once: what counts is the sum of the delays."""
    asked_at = list(accumulate(pace(attempt).delay for attempt in range(20)))
    assert sum(moment < 1 for moment in asked_at) in range(6, 13)


@given(st.integers(0, 10**6))
def test_it_never_gets_less_patient_and_never_leaves_its_limits(attempt: int) -> None:
    now, then = pace(attempt), pace(attempt + 1)
    assert 0.02 <= now.delay <= then.delay <= 0.5
    assert 0.2 <= now.timeout <= then.timeout <= 5.0
