"""Durations and sizes, both ways."""

from __future__ import annotations

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from grandcentral.core.units import format_duration, format_size, parse_duration, parse_size


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("500ms", 0.5),
        ("30s", 30),
        ("5m", 300),
        ("2h", 7200),
        ("7d", 604800),
        ("1h30m", 5400),
        ("0.5s", 0.5),
        ("1.5h", 5400),
        ("0s", 0),
    ],
)
def test_durations_are_read(text: str, seconds: float) -> None:
    assert parse_duration(text) == seconds


@pytest.mark.parametrize(
    "text", ["", "30", "s", "5 m", "-5s", "1m1h", "5m5m", "1e3s", "never", "٣s", "9" * 400 + "d", "1h 30m", "NaNs"]
)
def test_what_is_no_duration_is_told_how_to_write_one(text: str) -> None:
    with pytest.raises(ValueError, match=r'write a number and a unit .* such as "30s"'):
        parse_duration(text)


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("64KiB", 65536),
        ("1GiB", 2**30),
        ("10MB", 10**7),
        ("10mb", 10**7),
        ("1.5KiB", 1536),
        ("512", 512),
        ("512B", 512),
        ("1 GiB", 2**30),
    ],
)
def test_sizes_are_read(text: str, size: int) -> None:
    assert parse_size(text) == size


@pytest.mark.parametrize("text", ["", "KiB", "-1", "64K", "1m", "1 PiB", "ten", "1,5GiB"])
def test_what_is_no_size_is_told_how_to_write_one(text: str) -> None:
    with pytest.raises(ValueError, match="write a number and a unit"):
        parse_size(text)


def test_a_size_is_a_whole_number_of_bytes() -> None:
    with pytest.raises(ValueError, match="whole number"):
        parse_size("0.1KiB")


@pytest.mark.parametrize(
    ("seconds", "text"), [(0, "0s"), (0.25, "250ms"), (5400, "1h30m"), (604800, "7d"), (90, "1m30s"), (1.5, "1s500ms")]
)
def test_durations_are_written_in_whole_units(seconds: float, text: str) -> None:
    assert format_duration(seconds) == text


@pytest.mark.parametrize(("size", "text"), [(0, "0"), (65536, "64KiB"), (10**7, "10MB"), (1001, "1001"), (2**30, "1GiB")])
def test_sizes_are_written_in_the_unit_that_says_them_exactly(size: int, text: str) -> None:
    assert format_size(size) == text


@given(st.integers(0, 10**12))
def test_durations_come_back_to_the_millisecond(milliseconds: int) -> None:
    assert parse_duration(format_duration(milliseconds / 1000)) == milliseconds / 1000


@given(st.integers(0, 2**70))
def test_sizes_come_back_to_the_byte(size: int) -> None:
    assert parse_size(format_size(size)) == size


@given(st.text())
def test_any_text_is_a_value_or_a_value_error(text: str) -> None:
    for parse in (parse_duration, parse_size):
        with suppress(ValueError):
            assert parse(text) >= 0
