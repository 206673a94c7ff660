"""How many stacks one client may have started."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from grandcentral.core import rates
from grandcentral.core.rates import Rates, household


class TestRates:
    def test_a_minutes_worth_at_once_and_then_as_the_minute_goes_by(self) -> None:
        starts = Rates(per_minute=3.0)
        assert [starts.take("a", 100.0) for _ in range(3)] == [0.0] * 3
        assert starts.take("a", 100.0) == 20.0
        assert starts.take("a", 110.0) == 10.0  # asking costs nothing
        assert starts.take("a", 120.0) == 0.0
        assert starts.take("a", 120.0) == 20.0

    def test_each_client_has_its_own(self) -> None:
        starts = Rates(per_minute=1.0)
        assert [starts.take(client, 0.0) for client in "abab"] == [0.0, 0.0, 60.0, 60.0]

    def test_less_than_one_a_minute_is_one_at_first(self) -> None:
        starts = Rates(per_minute=0.5)
        assert starts.take("a", 0.0) == 0.0
        assert starts.take("a", 60.0) == 60.0
        assert starts.take("a", 120.0) == 0.0

    def test_who_has_started_nothing_for_long_enough_is_forgotten(self) -> None:
        starts = Rates(per_minute=2.0)
        for number in range(100):
            starts.take(str(number), 0.0)
        starts.take("a", 29.0)
        assert len(starts) == 101
        starts.take("b", 30.0)
        assert len(starts) == 2

    def test_there_is_an_end_to_how_many_are_remembered(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(rates, "MOST", 10)
        starts = Rates(per_minute=1.0)
        for number in range(100):
            starts.take(str(number), 0.0)
        assert len(starts) == 10
        assert starts.take("99", 0.0) == 60.0

    @given(st.floats(0.1, 10), st.lists(st.tuples(st.sampled_from("ab"), st.floats(0, 30)), max_size=60))
    def test_in_no_span_of_time_are_there_more_than_the_rate_and_a_minutes_worth(
        self, per_minute: float, asks: list[tuple[str, float]]
    ) -> None:
        starts, now, granted = Rates(per_minute), 0.0, {"a": [], "b": []}
        for client, later in asks:
            now += later
            wait = starts.take(client, now)
            if wait == 0.0:
                granted[client].append(now)
            else:
                assert 0.0 < wait <= 60.0 / per_minute + 1e-6
        for times in granted.values():
            for first in range(len(times)):
                for last in range(first, len(times)):
                    allowed = max(1.0, per_minute) + (times[last] - times[first]) * per_minute / 60.0
                    assert last - first + 1 <= allowed + 1e-6


class TestHousehold:
    @pytest.mark.parametrize(
        ("client", "counted"),
        [
            ("192.0.2.1", "192.0.2.1"),
            ("::ffff:192.0.2.1", "192.0.2.1"),
            ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
            ("2001:db8:1:2::7", "2001:db8:1:2::/64"),
            ("fe80::1%eth0", "fe80::/64"),
            ("a socket", "a socket"),
        ],
    )
    def test_it_is_an_address_or_a_network(self, client: str, counted: str) -> None:
        assert household(client) == counted
