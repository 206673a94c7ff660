"""Heads and bodies by themselves: outcomes as values, linear time, and Hypothesis over how bytes are cut."""

from __future__ import annotations

import itertools
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from grandcentral.wire.http1_bodies import BadBody, ChunkedBody, CloseBody, LengthBody, body_of
from grandcentral.wire.http1_fields import CHUNKED, UNTIL_CLOSE, HeadLimits, NeedMore, Reject, list_items
from grandcentral.wire.http1_request import Known, RequestHead, parse_request_head
from grandcentral.wire.http1_response import ResponseHead, parse_response_head

REQUEST = b"POST /a?b HTTP/1.1\r\nHost: X.test\r\nConnection: Close, foo\r\nContent-Length: 3\r\nX: y\r\n\r\n"


def test_what_a_request_head_says() -> None:
    head = parse_request_head(REQUEST + b"abc")
    assert isinstance(head, RequestHead)
    assert (head.method, head.target, head.host, head.size) == (b"POST", b"/a?b", b"X.test", len(REQUEST))
    assert (head.fields.body, head.fields.minor, head.fields.keeps_alive) == (3, 1, False)
    assert head.fields.values(b"connection") == [b"Close, foo"]


def test_what_a_response_head_says() -> None:
    data = b"HTTP/1.0 404 Not  Found\r\nTransfer-Foo: x\r\nDate: d\r\nUpgrade: h2c, Websocket\r\n\r\n"
    head = parse_response_head(data + b"rest")
    assert isinstance(head, ResponseHead)
    assert (head.status, head.line, head.size) == (404, b"404 Not  Found", len(data))
    assert (head.body, head.minor, head.keeps_alive, head.dated) == (UNTIL_CLOSE, 0, False, True)
    assert head.upgrade == b"h2c, websocket"


@given(st.integers(0, len(REQUEST) - 1))
def test_every_beginning_of_a_head_needs_more(size: int) -> None:
    assert isinstance(parse_request_head(REQUEST[:size]), NeedMore)


def test_needing_more_says_what_need_not_be_searched_again() -> None:
    seen = 0
    buffer = bytearray()
    for byte in REQUEST:
        buffer.append(byte)
        outcome = parse_request_head(buffer, seen=seen)
        if isinstance(outcome, NeedMore):
            seen = outcome.seen
    assert isinstance(outcome, RequestHead)
    assert outcome.fields.raw == REQUEST.partition(b"\r\n")[2]


def test_fields_that_are_known_are_understood_once_whoever_sends_them() -> None:
    known: Known = {}
    first = parse_request_head(REQUEST, known=known)
    again = parse_request_head(REQUEST.replace(b"/a?b", b"/other"), known=known)
    assert isinstance(first, RequestHead)
    assert isinstance(again, RequestHead)
    assert again.fields is first.fields
    assert (again.method, again.target, again.size) == (b"POST", b"/other", len(REQUEST) + 2)
    followed = parse_request_head(REQUEST + b"GET ", known=known)
    assert isinstance(followed, RequestHead)
    assert (followed.fields.raw, followed.size) == (first.fields.raw, len(REQUEST))


@pytest.mark.parametrize("data", [REQUEST.replace(b"1.1", b"1.0"), REQUEST.replace(b"X: y", b"X: " + b"y" * 3000)])
def test_neither_old_nor_large_fields_are_remembered(data: bytes) -> None:
    known: Known = {}
    assert isinstance(parse_request_head(data, known=known), RequestHead)
    assert known == {}


def test_known_fields_of_http_1_1_are_not_those_of_http_1_0() -> None:
    known: Known = {}
    parse_request_head(REQUEST, known=known)
    old = parse_request_head(REQUEST.replace(b"1.1", b"1.0"), known=known)
    assert isinstance(old, RequestHead)
    assert old.fields.minor == 0


def test_what_is_known_is_bounded() -> None:
    known: Known = {}
    for number in range(5000):
        parse_request_head(b"GET / HTTP/1.1\r\nHost: x\r\nN: %d\r\n\r\n" % number, known=known)
        assert len(known) <= 1024


def test_repeated_fields_do_not_excuse_a_long_request_line() -> None:
    first = parse_request_head(REQUEST)
    assert isinstance(first, RequestHead)
    limits = HeadLimits(line=200)
    long = REQUEST.replace(b"/a?b", b"/" + b"a" * 200)
    assert parse_request_head(long, limits, last=first.fields) == parse_request_head(long, limits)
    assert parse_request_head(long, limits, last=first.fields).status == 414


def test_the_fields_of_the_last_request_are_used_again_if_they_are_the_same_bytes() -> None:
    first = parse_request_head(REQUEST)
    assert isinstance(first, RequestHead)
    again = parse_request_head(REQUEST.replace(b"/a?b", b"/other") + b"more", last=first.fields)
    assert isinstance(again, RequestHead)
    assert again.fields is first.fields
    assert (again.target, again.size) == (b"/other", len(REQUEST) + 3 - 1)
    for other in (
        REQUEST.replace(b"X: y", b"X: z"),
        REQUEST.replace(b"/a?b", b"http://y.test/"),
        REQUEST.replace(b"1.1", b"1.0"),
    ):
        found = parse_request_head(other, last=first.fields)
        assert isinstance(found, RequestHead)
        assert found.fields is not first.fields


def test_a_head_that_arrives_byte_by_byte_costs_linear_time() -> None:
    def cost(size: int) -> float:
        data = b"GET / HTTP/1.1\r\nHost: x\r\n" + b"A: b\r\n" * (size // 6)
        buffer = bytearray()
        seen = 0
        began = time.process_time()
        for byte in data:
            buffer.append(byte)
            outcome = parse_request_head(buffer, HeadLimits(head=10**6), seen)
            assert isinstance(outcome, NeedMore)
            seen = outcome.seen
        return time.process_time() - began

    assert min(cost(64_000) for _ in range(3)) < 16 * min(cost(16_000) for _ in range(3))  # quadratic: 16 times and more


@pytest.mark.parametrize(
    ("data", "status", "word"),
    [
        (b"GET / HTTP/1.1\r\nHost: x\r\nBad Name: y\r\n\r\n", 400, "line 2"),
        (b"GET / HTTP/1.1\r\nHost: x\r\n folded\r\n\r\n", 400, "line 2"),
        (b"GET / HTTP/1.1\r\nHost : x\r\n\r\n", 400, "'Host'"),
        (b"GET / HTTP/1.1\r\nHost: x\r\nA: \x00\r\n\r\n", 400, "'A'"),
        (b"GET / HTTP/3.0\r\n\r\n", 505, "HTTP/1.1"),
        (b"GET /\xe9 HTTP/1.1\r\nHost: x\r\n\r\n", 400, "percent-encoded"),
    ],
)
def test_a_rejection_names_the_place(data: bytes, status: int, word: str) -> None:
    outcome = parse_request_head(data)
    assert isinstance(outcome, Reject)
    assert outcome.status == status
    assert word in outcome.why


def test_limits_are_parameters() -> None:
    limits = HeadLimits(line=20, field=30, head=200, fields=3)
    assert parse_request_head(b"GET /" + b"a" * 30, limits) == Reject(414, "The request line is longer than 20 bytes.")
    for fields in (b"A: " + b"b" * 40 + b"\r\n", b"A: b\r\n" * 4, b"A: bbbbbbbbbbbbbbbbbbbbbb\r\n" * 20):
        outcome = parse_request_head(b"GET / HTTP/1.1\r\nHost: x\r\n" + fields + b"\r\n", limits)
        assert isinstance(outcome, Reject)
        assert outcome.status == 431


def test_no_input_takes_exponential_time() -> None:
    began = time.process_time()
    for data in (
        b"HTTP/1.1 200 OK\r\n" + b"a" * 30_000 + b"\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nA: b" + b"\r\n \t" * 10_000 + b"\x00\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nA: " + b" \t" * 15_000 + b"\x00\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nA" + b" \t" * 15_000 + b"\r\n\r\n",
    ):
        parse_response_head(data)
    for line in (b"5" + b" ;a=" * 2000, b'5;a="' + b"\\\\" * 3900, b"5" + b" " * 8000, b"5;a" + b";b" * 3900 + b";"):
        with pytest.raises(BadBody):
            ChunkedBody().feed(line + b"\r\n")
    assert time.process_time() - began < 2.0


# -- bodies --------------------------------------------------------------------------------------------------------------


def feed_all(body: LengthBody | ChunkedBody | CloseBody, pieces: list[bytes]) -> tuple[bytes, bytes]:
    content = rest = b""
    for piece in pieces:
        if body.done:
            rest += piece
        else:
            more, beyond = body.feed(piece)
            content += more
            rest += beyond
    return content, rest


def cut(data: bytes, places: list[int]) -> list[bytes]:
    at = sorted({place % (len(data) + 1) for place in places} | {0, len(data)})
    return [data[a:b] for a, b in itertools.pairwise(at)]


@given(st.binary(max_size=100), st.binary(max_size=20), st.lists(st.integers(0, 200)))
def test_a_length_body_ends_where_it_says(content: bytes, rest: bytes, places: list[int]) -> None:
    body = LengthBody(len(content))
    assert feed_all(body, cut(content + rest, places)) == (content, rest)
    assert body.done


@given(
    st.lists(st.binary(min_size=1, max_size=50), max_size=5),
    st.sampled_from([b"", b";a=b", b' ; q="\\"\\\\;"', b";a;b"]),
    st.sampled_from([b"", b"A: b\r\n", b"A: b\r\nC: d\r\n"]),
    st.binary(max_size=20),
    st.lists(st.integers(0, 500)),
)
def test_chunks_give_back_what_was_put_in(
    chunks: list[bytes], ext: bytes, trailers: bytes, rest: bytes, places: list[int]
) -> None:
    data = (
        b"".join(b"%X%b\r\n%b\r\n" % (len(chunk), ext, chunk) for chunk in chunks) + b"0" + ext + b"\r\n" + trailers + b"\r\n"
    )
    body = ChunkedBody()
    assert feed_all(body, cut(data + rest, places)) == (b"".join(chunks), rest)
    assert body.done
    assert body.trailers == trailers


@given(st.binary(max_size=40), st.lists(st.integers(0, 100)))
def test_broken_chunks_are_broken_however_they_are_cut(data: bytes, places: list[int]) -> None:
    def outcome(pieces: list[bytes]) -> object:
        body = ChunkedBody()
        try:
            return feed_all(body, pieces), body.done
        except BadBody:
            return BadBody

    assert outcome([data]) == outcome(cut(data, places))


def test_trailers_lose_what_means_something_to_an_intermediary() -> None:
    body = ChunkedBody()
    body.feed(b"0\r\nHost: x\r\nA: b\r\ncontent-length: 3\r\nX_Forwarded_For: y\r\nC: d\r\n\r\n")
    assert body.trailers == b"A: b\r\nC: d\r\n"


def test_the_decoder_follows_from_the_head() -> None:
    assert isinstance(body_of(5), LengthBody)
    assert isinstance(body_of(CHUNKED), ChunkedBody)
    assert isinstance(body_of(UNTIL_CLOSE), CloseBody)


def test_list_items() -> None:
    assert list_items(b" a,, b\t,c ,") == (b"a", b"b", b"c")
