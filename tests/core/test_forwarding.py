"""What is changed in a message, as pure functions; the effect on the wire is in tests/frontends."""

from __future__ import annotations

from ipaddress import ip_network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from grandcentral.core.forwarding import IDEMPOTENT, Hop, may_repeat, response, trusted, upgrade_agreed
from grandcentral.wire.http1_request import RequestHead, parse_request_head
from grandcentral.wire.http1_response import ResponseHead, parse_response_head


def request(*fields: bytes, target: bytes = b"/") -> RequestHead:
    head = parse_request_head(b"GET %b HTTP/1.1\r\nHost: x\r\n%b\r\n" % (target, b"".join(line + b"\r\n" for line in fields)))
    assert isinstance(head, RequestHead)
    return head


def answer(*fields: bytes) -> ResponseHead:
    head = parse_response_head(b"HTTP/1.1 200 OK\r\n%b\r\n" % b"".join(line + b"\r\n" for line in fields))
    assert isinstance(head, ResponseHead)
    return head


def test_a_request_for_a_known_client() -> None:
    assert Hop("192.0.2.7", "https").request(request(b"A: b", b"Connection: keep-alive")) == (
        b"GET / HTTP/1.1\r\nHost: x\r\nA: b\r\n"
        b"X-Forwarded-For: 192.0.2.7\r\nX-Forwarded-Proto: https\r\nX-Forwarded-Host: x\r\n"
        b'Forwarded: for=192.0.2.7;proto=https;host="x"\r\nVia: 1.1 grand-central\r\n\r\n'
    )


def test_equal_fields_are_worked_out_once_and_never_for_another_host() -> None:
    hop = Hop("192.0.2.7", "http")
    first = request(b"A: b")
    assert hop.request(first) == hop.request(first)
    other = request(b"A: b", target=b"http://y/")
    assert b"Host: y\r\n" in hop.request(other)
    assert b"Host: x\r\n" in hop.request(first)


TRACE = b"00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"


@pytest.mark.parametrize(
    ("peer", "scheme", "believed", "traced"),
    [
        ("192.0.2.8", "http", False, False),
        ("192.0.2.7", "https", False, False),
        ("192.0.2.7", "http", True, False),
        ("192.0.2.7", "http", False, True),
    ],
)
def test_what_became_of_shared_fields_is_of_use_to_the_same_client_only(
    peer: str, scheme: str, believed: bool, traced: bool
) -> None:
    def other() -> Hop:
        return Hop(peer, scheme, believed, (lambda: TRACE) if traced else None)

    fields = (b"X-Forwarded-For: 198.51.100.1", b"traceparent: none")
    shared = request(*fields)
    mine = Hop("192.0.2.7", "http").request(shared)
    theirs = other().request(shared)
    assert theirs == other().request(request(*fields)) != mine
    assert Hop("192.0.2.7", "http").request(shared) == mine


def test_a_client_without_an_address() -> None:
    assert b"Forwarded: for=unknown;" in Hop("", "http").request(request())


def test_an_answer() -> None:
    assert response(answer(b"A: b", b"Content-Length: 0"), True, False, b"now") == (
        b"HTTP/1.1 200 OK\r\nA: b\r\nContent-Length: 0\r\nConnection: close\r\nDate: now\r\nVia: 1.1 grand-central\r\n\r\n"
    )


names = st.text("abcdefgXYZ-", min_size=1, max_size=8).map(str.encode)
lines = st.lists(st.tuples(names, st.text("abc ;=,", max_size=9).map(str.encode)), max_size=8)


@given(lines)
def test_fields_that_mean_nothing_to_us_stay_as_they_are(fields: list[tuple[bytes, bytes]]) -> None:
    fields = [(b"Q" + name, value) for name, value in fields]
    block = b"".join(b"%b:%b\r\n" % field for field in fields)
    assert block in Hop("192.0.2.7", "http").request(request(*block.splitlines()))
    assert block in response(answer(*block.splitlines()), False, True, b"now")


@pytest.mark.parametrize(
    ("peer", "believed"), [("10.1.2.3", True), ("11.1.2.3", False), ("fd00::1", True), ("", False), ("nonsense", False)]
)
def test_whom_we_trust(peer: str, believed: bool) -> None:
    assert trusted(peer, (ip_network("10.0.0.0/8"), ip_network("fd00::/8"))) == believed


@given(
    st.sampled_from([b"GET", b"PUT", b"POST", b"PATCH", b"X"]), st.booleans(), st.booleans(), st.booleans(), st.integers(0, 3)
)
def test_a_request_is_repeated_only_if_nothing_can_be_done_twice(
    method: bytes, delivered: bool, answered: bool, whole: bool, attempts: int
) -> None:
    if may_repeat(method, delivered, answered, whole, attempts):
        assert not answered
        assert whole
        assert attempts < 2
        assert not delivered or method in IDEMPOTENT


@pytest.mark.parametrize(
    ("offered", "chosen", "agreed"),
    [(b"websocket", b"WebSocket", True), (b"a, websocket", b"a", True), (b"websocket", b"a", False), (b"h2c", b"h2c", False)],
)
def test_which_upgrades_are_agreed(offered: bytes, chosen: bytes, agreed: bool) -> None:
    head = parse_response_head(b"HTTP/1.1 101 S\r\nUpgrade: " + chosen + b"\r\n\r\n")
    assert isinstance(head, ResponseHead)
    assert upgrade_agreed(request(b"Connection: upgrade", b"Upgrade: " + offered).fields, head) == agreed
