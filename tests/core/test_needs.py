"""What one stack of an app is expected to take of memory."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from grandcentral.core.keys import Key
from grandcentral.core.needs import ENOUGH, RECENT, Need

A, B = Key("app", "a"), Key("app", "b")


def run(need: Need, *took: int, key: Key = A) -> None:
    """One run of a stack, from its start to its end."""
    for memory in took:
        need.weighed(key, memory)
    need.ended(key)


def test_it_is_the_most_that_one_has_taken() -> None:
    need = Need()
    assert need.bytes == 0
    need.weighed(A, 30)
    need.weighed(B, 50)
    need.weighed(B, 20)
    assert need.bytes == 50


def test_what_has_stopped_counts_on() -> None:
    need = Need()
    run(need, *[40] * ENOUGH)
    run(need, *[10] * ENOUGH, key=B)
    assert need.bytes == 40


def test_it_falls_when_as_many_others_as_count_have_taken_less() -> None:
    need = Need()
    run(need, *[40] * ENOUGH)
    for _ in range(RECENT - 1):
        run(need, *[10] * ENOUGH, key=B)
        assert need.bytes == 40
    run(need, *[10] * ENOUGH)
    assert need.bytes == 10


def test_one_that_runs_counts_for_as_long_as_it_does() -> None:
    need = Need()
    need.weighed(A, 40)
    for _ in range(3 * RECENT):
        run(need, *[10] * ENOUGH, key=B)
    assert need.bytes == 40


def test_short_runs_make_no_other_one_forgotten() -> None:
    need = Need()
    run(need, *[40] * ENOUGH)
    for _ in range(3 * RECENT):
        run(need, *[10] * (ENOUGH - 1))
    assert need.bytes == 40


def test_a_short_run_counts_if_it_was_a_large_one() -> None:
    need = Need()
    run(need, 20)
    assert need.bytes == 20
    run(need, 90)
    assert need.bytes == 90


def test_those_that_no_longer_run_have_ended() -> None:
    need = Need()
    for _ in range(RECENT + 1):
        need.weighed(A, 40)
        for _ in range(ENOUGH):
            need.weighed(B, 10)
        need.only(frozenset({A}))
    need.only(frozenset())
    assert need.bytes == 40
    for _ in range(RECENT):
        run(need, *[10] * ENOUGH)
    assert need.bytes == 10


Runs = st.lists(st.lists(st.integers(1, 1000), min_size=ENOUGH, max_size=ENOUGH + 3), min_size=1, max_size=3 * RECENT)


@given(Runs)
def test_it_is_what_the_last_runs_took_at_most_whatever_there_was_before(runs: list[list[int]]) -> None:
    need = Need()
    for took in runs:
        run(need, *took)
    assert need.bytes == max(max(took) for took in runs[-RECENT:])


@given(st.lists(st.tuples(st.sampled_from([A, B]), st.integers(0, 1000) | st.none())))
def test_it_is_never_less_than_what_runs_was_seen_to_take(news: list[tuple[Key, int | None]]) -> None:
    need, running = Need(), dict[Key, int]()
    for key, memory in news:
        if memory is None:
            need.ended(key)
            running.pop(key, None)
        else:
            need.weighed(key, memory)
            running[key] = max(memory, running.get(key, 0))
        assert need.bytes >= max(running.values(), default=0)
