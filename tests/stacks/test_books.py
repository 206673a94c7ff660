"""The books of one start: how long a failure is remembered."""

from __future__ import annotations

import pytest
from twisted.internet.task import Clock

from grandcentral.core.keys import Key
from grandcentral.errors import EngineUnavailable, Mishap
from grandcentral.stacks.books import ENGINE_RETRY, Books, retry_delay

KEY = Key("app", "0000000")


@pytest.fixture
def books() -> Books:
    return Books(Clock(), lambda: 0.0, lambda start: None)


def test_the_back_off_doubles_to_five_minutes_and_stays_there_for_a_page_that_is_polled_for_weeks() -> None:
    assert [retry_delay(failures) for failures in (1, 2, 3, 6, 7, 8, 5000)] == [5.0, 10.0, 20.0, 160.0, 300.0, 300.0, 300.0]


def test_an_engine_that_is_away_says_nothing_about_the_stack(books: Books) -> None:
    for _ in range(50):
        assert books.failed(KEY, 1, EngineUnavailable("It is away.")) == ENGINE_RETRY
    assert books.failed(KEY, 1, Mishap("It ended with status 1.")) == retry_delay(1)
