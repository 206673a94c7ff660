"""Opening hours: as they are written, and when they are."""

from __future__ import annotations

import pickle
from datetime import datetime
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from grandcentral.core import hours as module
from grandcentral.core.hours import Hours

BERLIN = "Europe/Berlin"


def at(text: str, zone: str = "UTC", fold: int = 0) -> float:
    """ "2026-03-29 02:30" as seconds since the epoch."""
    return datetime.fromisoformat(text).replace(tzinfo=ZoneInfo(zone), fold=fold).timestamp()


class TestParse:
    def test_a_range_of_days_with_hours_and_a_zone(self) -> None:
        hours = Hours.parse("Mon-Fri 07:00-20:00 Europe/Berlin")
        assert hours.text == "Mon-Fri 07:00-20:00 Europe/Berlin"
        assert hours.open(at("2026-07-06 07:00", BERLIN))
        assert not hours.open(at("2026-07-06 06:59", BERLIN))
        assert hours.open(at("2026-07-10 19:59", BERLIN))
        assert not hours.open(at("2026-07-10 20:00", BERLIN))
        assert not hours.open(at("2026-07-11 12:00", BERLIN))

    def test_without_a_zone_it_is_utc_and_without_days_every_day(self) -> None:
        hours = Hours.parse("7:00 - 20:00")
        assert all(hours.open(at(f"2026-07-0{day} 07:00")) for day in range(1, 8))
        assert not hours.open(at("2026-07-06 07:00", BERLIN))

    @pytest.mark.parametrize("between", [",", ";", ", ", " ; "])
    def test_several_ranges_with_one_zone(self, between: str) -> None:
        hours = Hours.parse(f"mon-fri 07:00-12:00{between}Sat 10:00-14:00 {BERLIN}")
        assert hours.open(at("2026-07-11 10:00", BERLIN))
        assert hours.open(at("2026-07-10 11:59", BERLIN))
        assert not hours.open(at("2026-07-10 12:00", BERLIN))

    def test_a_range_of_days_may_go_over_the_weekend_and_one_of_hours_over_midnight(self) -> None:
        hours = Hours.parse("Sat-Mon 22:00-06:00")
        assert hours.open(at("2026-07-11 23:00"))  # a Saturday
        assert hours.open(at("2026-07-13 05:59"))
        assert hours.open(at("2026-07-14 05:59"))  # Tuesday, of Monday's
        assert not hours.open(at("2026-07-14 22:00"))
        assert not hours.open(at("2026-07-11 05:00"))

    def test_a_day_ends_at_24(self) -> None:
        assert Hours.parse("Sun 00:00-24:00").open(at("2026-07-12 23:59:59"))
        assert not Hours.parse("Sun 00:00-24:00").open(at("2026-07-13 00:00"))

    @pytest.mark.parametrize(
        ("text", "problem"),
        [
            ("", "is no range of hours"),
            ("Mon-Fri", "is no range of hours"),
            ("Mon, Tue 07:00-20:00", '"Mon" is no range of hours'),
            ("Mon-Fri 7-20", 'write it as "Mon-Fri 07:00-20:00 Europe/Berlin"'),
            ("Mo-Fr 07:00-20:00", '"Mo" is no day: days are Mon, Tue, Wed, Thu, Fri, Sat, Sun'),
            ("07:00-24:01", '"24:01" is no time of day'),
            ("07:60-08:00", '"07:60" is no time of day'),
            ("07:00-07:00", "for whole days write 00:00-24:00"),
            ("24:00-07:00", "no time at all"),
            ("07:00-20:00 Europe", '"Europe" is no time zone'),
            ("07:00-20:00 Mars/Olympus", '"Mars/Olympus" is no time zone'),
        ],
    )
    def test_anything_else_is_an_error_that_says_how_to_write_it(self, text: str, problem: str) -> None:
        with pytest.raises(ValueError, match=problem.replace("(", r"\(")):
            Hours.parse(text)

    def test_a_machine_without_time_zones_says_so(self, monkeypatch: pytest.MonkeyPatch) -> None:
        def missing(name: str) -> None:
            raise module.zoneinfo.ZoneInfoNotFoundError(name)

        monkeypatch.setattr(module.zoneinfo, "ZoneInfo", missing)
        monkeypatch.setattr(module.zoneinfo, "available_timezones", set)
        with pytest.raises(ValueError, match="install the package tzdata, or write UTC"):
            Hours.parse("07:00-20:00 Europe/Berlin")
        Hours.parse("07:00-20:00 UTC")

    def test_they_are_values_and_can_be_sent_to_a_worker(self) -> None:
        hours = Hours.parse("Mon-Fri 07:00-20:00 Europe/Berlin")
        assert pickle.loads(pickle.dumps(hours)) == hours == Hours.parse("Mon-Fri 07:00-20:00 Europe/Berlin")
        assert hours != Hours.parse("Mon-Fri 07:00-20:00 Europe/Paris")


class TestNextOpen:
    def test_within_the_hours_it_is_now(self) -> None:
        assert Hours.parse("07:00-20:00").next_open(at("2026-07-06 12:00") + 0.25) == at("2026-07-06 12:00") + 0.25

    def test_after_the_last_of_the_week_it_is_the_first_of_the_next(self) -> None:
        hours = Hours.parse(f"Mon-Fri 07:00-20:00 {BERLIN}")
        assert hours.next_open(at("2026-07-10 20:00", BERLIN)) == at("2026-07-13 07:00", BERLIN)

    def test_over_a_change_of_the_clocks_it_is_what_they_show(self) -> None:
        hours = Hours.parse(f"Mon-Fri 07:00-20:00 {BERLIN}")
        friday, monday = at("2026-03-27 20:00", BERLIN), at("2026-03-30 07:00", BERLIN)
        assert hours.next_open(friday) == monday
        assert monday - friday == (4 + 24 + 24 + 7 - 1) * 3600

    def test_what_would_begin_in_a_skipped_hour_begins_after_it(self) -> None:
        hours = Hours.parse(f"Sun 02:30-04:00 {BERLIN}")
        assert hours.next_open(at("2026-03-29 01:00", BERLIN)) == at("2026-03-29 03:00", BERLIN)

    def test_what_is_all_within_a_skipped_hour_is_left_out_that_day(self) -> None:
        hours = Hours.parse(f"02:10-02:50 {BERLIN}")
        assert hours.next_open(at("2026-03-29 01:00", BERLIN)) == at("2026-03-30 02:10", BERLIN)

    def test_an_hour_that_comes_twice_is_open_twice(self) -> None:
        hours = Hours.parse(f"02:00-02:30 {BERLIN}")
        assert hours.next_open(at("2026-10-25 02:45", BERLIN, fold=0)) == at("2026-10-25 02:00", BERLIN, fold=1)


minutes = st.integers(0, 1440).map(lambda n: f"{n // 60:02}:{n % 60:02}")
days = st.sampled_from(["", "Mon", "Wed", "Sun", "Mon-Fri", "Sat-Sun", "Fri-Tue"])
ranges = st.tuples(days, minutes, minutes).filter(lambda r: r[1] not in (r[2], "24:00")).map(lambda r: f"{r[0]} {r[1]}-{r[2]}")
zones = st.sampled_from(["UTC", BERLIN, "America/St_Johns", "Australia/Lord_Howe", "Asia/Kathmandu", "Pacific/Apia"])
openings = st.builds(
    lambda some, zone: Hours.parse(f"{', '.join(some)} {zone}"), st.lists(ranges, min_size=1, max_size=3), zones
)
walls = st.floats(at("2024-01-01"), at("2030-01-01")) | st.builds(
    lambda change, before: at(change, BERLIN) + before,
    st.sampled_from(["2026-03-29 03:00", "2026-10-25 03:00"]),
    st.floats(-8 * 86400, 86400),
)


@given(openings, walls, st.lists(st.floats(0, 1), max_size=20))
def test_the_next_opening_is_open_and_nothing_before_it_is(hours: Hours, wall: float, between: list[float]) -> None:
    opening = hours.next_open(wall)
    assert hours.open(opening)
    assert wall <= opening <= wall + 8 * 86400
    for share in between:
        instant = wall + (opening - wall) * share
        assert instant >= opening or not hours.open(instant)


@given(openings, walls)
def test_it_opens_no_second_later_than_it_says(hours: Hours, wall: float) -> None:
    opening = hours.next_open(wall)
    assert opening == wall or not hours.open(opening - 1)
