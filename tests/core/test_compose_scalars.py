"""Single values: sizes, durations, ports, command lines."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from grandcentral.core.compose import scalars


@pytest.mark.parametrize(
    ("convert", "text", "value"),
    [
        (scalars.boolean, "true", True),
        (scalars.boolean, "False", False),
        (scalars.integer, "12", 12),
        (scalars.integer, "-1", -1),
        (scalars.integer, "0x10", 16),
        (scalars.integer, "0o17", 15),
        (scalars.number, "0.5", 0.5),
        (scalars.number, ".5", 0.5),
        (scalars.number, "2", 2.0),
        (scalars.duration, "10ms", 0.01),
        (scalars.duration, "40s", 40.0),
        (scalars.duration, "1m30s", 90.0),
        (scalars.duration, "1h5m30s20ms", 3930.02),
        (scalars.duration, "1.5h", 5400.0),
        (scalars.duration, "250us", 0.00025),
        (scalars.duration, "0", 0.0),
        (scalars.duration, "2d", 172800.0),
        (scalars.size, "2b", 2),
        (scalars.size, "1024kb", 1 << 20),
        (scalars.size, "2048k", 2 << 20),
        (scalars.size, "300m", 300 << 20),
        (scalars.size, "1gb", 1 << 30),
        (scalars.size, "1GiB", 1 << 30),
        (scalars.size, "0.5G", 1 << 29),
        (scalars.size, "4096", 4096),
        (scalars.words, "bundle exec 'rails s' -p \"30 00\"", ("bundle", "exec", "rails s", "-p", "30 00")),
        (scalars.words, "a\\ b #c", ("a b", "#c")),
        (scalars.words, "", ()),
        (scalars.ports, "80", (range(80, 81), "tcp")),
        (scalars.ports, "8000-8002/UDP", (range(8000, 8003), "udp")),
        (scalars.container_port, "80", "80"),
        (scalars.container_port, "3000-3005", "3000-3005"),
        (scalars.container_port, "8000:80", "80"),
        (scalars.container_port, "9090-9091:8080-8081", "8080-8081"),
        (scalars.container_port, "127.0.0.1:8001:8002", "8002"),
        (scalars.container_port, "127.0.0.1::8002", "8002"),
        (scalars.container_port, "::1:6000:6001", "6001"),
        (scalars.container_port, "[::1]:6001:6002", "6002"),
        (scalars.container_port, "6060:6061/udp", "6061/udp"),
    ],
)
def test_values(convert: Callable[[str], Any], text: str, value: Any) -> None:
    assert convert(text) == pytest.approx(value) if isinstance(value, float) else convert(text) == value


@pytest.mark.parametrize(
    ("convert", "text"),
    [
        *((scalars.boolean, text) for text in ("yes", "on", "1", "")),
        *((scalars.integer, text) for text in ("", "1.0", "1_0", "x", "0o8", "9" * 5000, "²")),
        *((scalars.number, text) for text in ("", "-1", ".", "inf", "nan", "1e3", "9" * 5000)),
        *((scalars.duration, text) for text in ("", "30", "1m30", "-1s", "1 s", "s", "1S", "9" * 5000 + "s")),
        *((scalars.size, text) for text in ("", "-1", "m", "1x", "1 0m", "9" * 5000, "1kbb")),
        *((scalars.words, text) for text in ("'", '"a', "a\\")),
        *((scalars.ports, text) for text in ("", "0", "65536", "90-80", "80/http", "a", "80-", "8０")),
        *((scalars.container_port, text) for text in ("x:80", "1.2.3.4:x:80", "host:80:80", "[::1:80:80")),
    ],
)
def test_what_is_no_value_says_so(convert: Callable[[str], Any], text: str) -> None:
    with pytest.raises(ValueError, match=r"must be|is no command line"):
        convert(text)


@pytest.mark.parametrize(
    ("text", "quoted", "value"),
    [("0440", True, 0o440), ("440", True, 0o440), ("0o440", False, 0o440), ("0", False, 0), ("1777", True, 0o1777)],
)
def test_modes_are_octal(text: str, quoted: bool, value: int) -> None:
    assert scalars.mode(text, quoted) == value


@pytest.mark.parametrize(("text", "quoted"), [("440", False), ("0888", True), ("rw", True), ("", True), ("077777", True)])
def test_a_mode_that_yaml_reads_as_decimal_is_no_mode(text: str, quoted: bool) -> None:
    with pytest.raises(ValueError, match="octal"):
        scalars.mode(text, quoted)


@pytest.mark.parametrize(
    ("line", "wants"), [("a && b", True), ("a | b", True), ("a > b", True), ("a b", False), ("sh -c 'a && b'", False)]
)
def test_words_that_only_a_shell_knows(line: str, wants: bool) -> None:
    assert scalars.wants_a_shell(scalars.words(line)) is wants


@given(
    st.sampled_from(
        [scalars.boolean, scalars.integer, scalars.number, scalars.duration, scalars.size, scalars.words, scalars.ports]
    ),
    st.text() | st.text(alphabet="0123456789.:-kmgbhs/ '\\"),
)
def test_any_text_is_a_value_or_a_value_error(convert: Callable[[str], Any], text: str) -> None:
    with contextlib.suppress(ValueError):
        assert convert(text) is not None


@given(st.integers(0, 2**40))
def test_a_size_without_a_unit_is_bytes(size: int) -> None:
    assert scalars.size(str(size)) == size
