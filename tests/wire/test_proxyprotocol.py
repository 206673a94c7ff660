"""PROXY headers by the specification: round trips, headers in pieces, and what is none."""

from __future__ import annotations

import ipaddress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from grandcentral.wire.proxyprotocol import LONGEST, LONGEST_LINE, SIGNATURE, BadHeader, Told, parse

ports = st.integers(0, 65535)
rest = st.binary(max_size=40)


def binary(command: int, family: int, addresses: bytes, additions: bytes = b"") -> bytes:
    body = addresses + additions
    return SIGNATURE + bytes((command, family)) + len(body).to_bytes(2, "big") + body


def assert_told_at_the_last_byte(header: bytes, client: str | None, more: bytes) -> None:
    for size in range(len(header)):
        assert parse(header[:size]) is None
    assert parse(header + more) == Told(len(header), client)


@given(st.ip_addresses(v=4), st.ip_addresses(v=4), ports, ports, rest)
def test_version_1_of_ipv4(source: object, destination: object, one: int, two: int, more: bytes) -> None:
    assert_told_at_the_last_byte(f"PROXY TCP4 {source} {destination} {one} {two}\r\n".encode(), str(source), more)


@given(st.ip_addresses(v=6), st.ip_addresses(v=6), ports, ports, rest)
def test_version_1_of_ipv6_however_it_is_written(
    source: ipaddress.IPv6Address, destination: ipaddress.IPv6Address, one: int, two: int, more: bytes
) -> None:
    client = str(source.ipv4_mapped or source)
    for written in (str(source), source.exploded):
        assert_told_at_the_last_byte(f"PROXY TCP6 {written} {destination} {one} {two}\r\n".encode(), client, more)


@pytest.mark.parametrize(
    "line", [b"PROXY UNKNOWN\r\n", b"PROXY UNKNOWN ffff:: ffff:: 65535 65535\r\n", b"PROXY UNKNOWN \0\r\n"]
)
def test_version_1_of_something_unknown_is_whoever_has_connected(line: bytes) -> None:
    assert_told_at_the_last_byte(line, None, b"GET")


@given(st.ip_addresses(), st.binary(max_size=200), rest)
def test_version_2_with_whatever_additions(source: ipaddress.IPv4Address, additions: bytes, more: bytes) -> None:
    v4 = source.version == 4
    header = binary(0x21, 0x11 if v4 else 0x21, source.packed * 2 + b"\1\2\3\4", additions)
    client = str(getattr(source, "ipv4_mapped", None) or source)
    assert_told_at_the_last_byte(header, client, more)


@pytest.mark.parametrize(
    ("header", "client"),
    [
        (binary(0x20, 0x00, b""), None),
        (binary(0x20, 0x11, b"short"), None),  # LOCAL: whatever it has is skipped
        (binary(0x21, 0x00, b"anything"), None),
        (binary(0x21, 0x31, bytes(216)), ""),
        (binary(0x21, 0x11, b"\xc0\0\2\7" * 2 + bytes(4), bytes(LONGEST - 16 - 12)), "192.0.2.7"),
    ],
)
def test_version_2_without_an_address_or_as_long_as_it_may_be(header: bytes, client: str | None) -> None:
    assert_told_at_the_last_byte(header, client, b"GET")


@pytest.mark.parametrize(
    "data",
    [
        b"GET / HTTP/1.1\r\n",
        b"\r\n\r\n\0\r\nQUITx",
        b"PROXY TCP5 1.2.3.4 1.2.3.4 1 2\r\n",
        b"PROXY TCP4 1.2.3.4 1.2.3.4 1\r\n",
        b"PROXY  TCP4 1.2.3.4 1.2.3.4 1 2\r\n",
        b"PROXY TCP4 1.2.3.4 1.2.3.4 1 2 3\r\n",
        b"PROXY TCP4 1.2.3.4 1.2.3.4 1 65536\r\n",
        b"PROXY TCP4 1.2.3.4 1.2.3.4 01 2\r\n",
        b"PROXY TCP4 01.2.3.4 1.2.3.4 1 2\r\n",
        b"PROXY TCP4 ::1 ::1 1 2\r\n",
        b"PROXY TCP6 1.2.3.4 1.2.3.4 1 2\r\n",
        b"PROXY TCP6 fe80::1%eth0 ::1 1 2\r\n",
        b"PROXY TCP4 1.2.3.4 1.2.3.4 1 2\n\r\n",
        b"PROXY UNKNOWN " + b"x" * LONGEST_LINE,
        b"PROXY " + b"x" * LONGEST_LINE,
        binary(0x11, 0x11, bytes(12)),  # version 1 in binary
        binary(0x22, 0x11, bytes(12)),  # no such command
        binary(0x21, 0x12, bytes(12)),  # a datagram
        binary(0x21, 0x41, bytes(12)),
        binary(0x21, 0x11, bytes(11)),
        binary(0x21, 0x21, bytes(12)),
        binary(0x21, 0x11, bytes(LONGEST - 15)),
    ],
)
def test_what_is_no_header_is_told_from_one_that_is_not_whole(data: bytes) -> None:
    with pytest.raises(BadHeader):
        parse(data)


@given(st.one_of(rest, st.binary(max_size=300).map(SIGNATURE.__add__), rest.map(b"PROXY ".__add__)))
def test_garbage_is_refused_or_waited_out_and_never_believed_beyond_its_end(data: bytes) -> None:
    try:
        told = parse(data)
    except BadHeader:
        return
    assert told is None or 0 < told.size <= len(data)
    assert told is not None or len(data) < LONGEST
