"""The pace of probes: core/readiness.py."""

from __future__ import annotations

from itertools import accumulate, pairwise

from hypothesis import given
from hypothesis import strategies as st

from grandcentral.core.readiness import Pace, check_delay, pace


def test_the_first_probe_is_short_and_soon_repeated() -> None:
    assert pace(0) == Pace(delay=0.002, timeout=0.2)


def test_in_the_end_it_asks_twice_a_second_and_listens_for_five() -> None:
    assert pace(100) == Pace(delay=0.5, timeout=5.0)


def test_a_stack_that_takes_a_second_is_asked_a_dozen_times() -> None:
    """Each attempt refused at once: what counts is the sum of the delays."""
    asked_at = list(accumulate(pace(attempt).delay for attempt in range(20)))
    assert sum(moment < 1 for moment in asked_at) in range(10, 16)


def test_an_application_that_listens_soon_is_found_out_soon() -> None:
    """It is asked again before it has kept anybody waiting for half as long again as it took itself."""
    asked_at = [0.0, *accumulate(pace(attempt).delay for attempt in range(20))]
    late = [after - before for before, after in pairwise(asked_at)]
    assert all(wait <= max(0.002, before / 2 + 0.0021) for wait, before in zip(late, asked_at, strict=False))


def test_checks_that_are_processes_are_run_at_most_fifty_times_a_second() -> None:
    assert check_delay(0) == 0.02
    assert check_delay(100) == pace(100).delay


@given(st.integers(0, 10**6))
def test_it_never_gets_less_patient_and_never_leaves_its_limits(attempt: int) -> None:
    now, then = pace(attempt), pace(attempt + 1)
    assert 0.002 <= now.delay <= then.delay <= 0.5
    assert 0.2 <= now.timeout <= then.timeout <= 5.0
