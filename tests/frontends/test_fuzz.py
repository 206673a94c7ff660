"""Malformed messages, random and by grammar, against an application that records what it gets.

The application never sees a request that the client did not send as one; how bytes are cut into pieces changes nothing;
whatever the application answers, the client gets one well-formed answer, or a connection that is cut; and nothing hangs.
GRANDCENTRAL_FUZZ is the number of examples for each.
"""

from __future__ import annotations

import itertools
import os
import re

from attrs import define, field
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from .rig import HOST, Answer, Gateway, Incomplete, Peer, get, read_answer, read_chunks

EVIL = b"GET /evil HTTP/1.1\r\nHost: " + HOST + b"\r\n\r\n"
thorough = settings(
    max_examples=int(os.environ.get("GRANDCENTRAL_FUZZ", "200")), deadline=None, suppress_health_check=[HealthCheck.too_slow]
)


@define
class Recorder:
    """An application that reads by the letter, and answers every whole request with what it was asked."""

    gateway: Gateway
    requests: list[tuple[bytes, bytes]] = field(factory=list)  # (request line, content)
    read: dict[int, int] = field(factory=dict)

    def serve(self) -> None:
        for number, origin in enumerate(self.gateway.origin):
            while True:
                data = origin.received[self.read.get(number, 0) :]
                try:
                    line, content, size = read_request(data)
                except Incomplete:
                    break
                self.read[number] = self.read.get(number, 0) + size
                self.requests.append((line, content))
                body = b"you asked: " + line
                origin.send(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body))


def read_request(data: bytes) -> tuple[bytes, bytes, int]:
    """(request line, content, size) of the first request; fails if it is not canonical HTTP/1.1."""
    head, found, rest = data.partition(b"\r\n\r\n")
    if not found:
        raise Incomplete(data)
    line, *lines = head.split(b"\r\n")
    assert len(line.split(b" ")) == 3
    assert line.endswith(b" HTTP/1.1")
    assert b"\n" not in head.replace(b"\r\n", b"")
    assert b"\r" not in head.replace(b"\r\n", b"")
    assert b"\x00" not in head
    fields = [(name.lower(), value.strip()) for name, value in (each.split(b":", 1) for each in lines)]
    assert not any(name != name.strip() or not name for name, _ in fields)
    lengths = [value for name, value in fields if name == b"content-length"]
    codings = [value for name, value in fields if name == b"transfer-encoding"]
    assert len(lengths) + len(codings) <= 1
    assert [name for name, _ in fields].count(b"host") == 1
    if codings:
        assert codings == [b"chunked"]
        content, rest = read_chunks(rest)
    elif lengths:
        size = int(lengths[0])
        if len(rest) < size:
            raise Incomplete(data)
        content, rest = rest[:size], rest[size:]
    else:
        content = b""
    return line, content, len(data) - len(rest)


def pieces_of(data: bytes, cuts: list[int]) -> list[bytes]:
    places = sorted({cut % (len(data) + 1) for cut in cuts} | {0, len(data)})
    return [data[a:b] for a, b in itertools.pairwise(places)]


def talk(data: bytes, cuts: list[int] | None = None) -> tuple[list[tuple[bytes, bytes]], list[tuple[int, bytes]], Peer]:
    """Send data; returns the requests that the application got whole, the answers as (status, content), and the client.

    In the end the client waits: whatever is still open then is open by right, and is closed in time.
    """
    gateway = Gateway()
    recorder = Recorder(gateway)
    client = gateway.client()
    for piece in pieces_of(data, cuts or []):
        client.send(piece)
        recorder.serve()
    gateway.clock.pump([50.0] * 4)
    recorder.serve()
    assert client.closed
    assert gateway.front.connections == 0 or client.transport.finished
    return recorder.requests, [(answer.status, answer.body) for answer in whole_answers(client)], client


def whole_answers(client: Peer) -> list[Answer]:
    """The answers that came whole. An answer that is not is the last, and the connection was cut."""
    found: list[Answer] = []
    rest = client.received
    while rest:
        try:
            answer, rest = read_answer(rest, ended=client.closed and not client.reset)
        except Incomplete:
            assert client.closed
            break
        found.append(answer)
    return found


# -- requests ------------------------------------------------------------------------------------------------------------

AMBIGUOUS = [
    b"Content-Length: 0\r\nContent-Length: %(size)d",
    b"Content-Length: %(size)d\r\nContent-Length: 0",
    b"Content-Length: %(size)d, 0",
    b"Content-Length: +%(size)d",
    b"Content-Length: 0x%(size)x",
    b"Content-Length : %(size)d",
    b"Content-Length:\r\n %(size)d",
    b"Content-Length: %(size)d\r\nTransfer-Encoding: chunked",
    b"Transfer-Encoding: chunked\r\nContent-Length: %(size)d",
    b"Transfer-Encoding: chunked, identity\r\nContent-Length: %(size)d",
    b"Transfer-Encoding : chunked",
    b"Transfer-Encoding: xchunked",
    b"Transfer-Encoding: chunked\r\nTransfer-Encoding: x",
    b"Transfer-Encoding:\x0bchunked",
    b"Transfer-Encoding: \x00chunked",
    b"Transfer-Encoding:\n chunked",
    b"X: y\rTransfer-Encoding: chunked",
    b"X: y\nContent-Length: %(size)d",
    b" Content-Length: %(size)d",
    b"Content-Length: %(size)d\r",
    b"\x00Content-Length: %(size)d",
    b"Content_Length: 0\r\nContent-Length: -%(size)d",
    b"Transfer-Encoding: chunked;q=1",
    b'Transfer-Encoding: "chunked"',
    b"Content-Length: %(size)d;",
    b"Content-Length: 99999999999999999999999%(size)d",
]


@thorough
@given(
    before=st.integers(0, 2),
    framing=st.sampled_from(AMBIGUOUS),
    chunks=st.booleans(),
    cuts=st.lists(st.integers(0, 2000), max_size=6),
    version=st.sampled_from([b"1.1", b"1.0"]),
)
def test_what_hides_in_a_body_of_uncertain_length_never_becomes_a_request(
    before: int, framing: bytes, chunks: bool, cuts: list[int], version: bytes
) -> None:
    body = b"0\r\n\r\n" + EVIL if chunks else EVIL
    request = b"POST /first HTTP/%s\r\nHost: %s\r\n%s\r\n\r\n" % (version, HOST, framing % {b"size": len(body)})
    requests, answers, _ = talk(get(b"/good") * before + request + body, cuts)
    assert all(b"/evil" not in line for line, _ in requests)
    assert [line for line, _ in requests] == [b"GET /good HTTP/1.1"] * before
    assert [status for status, _ in answers] in ([200] * before + [400], [200] * before + [501])


chunk_lines = st.one_of(
    st.sampled_from([b"5\r\n", b"05\r\n", b"5;a=b\r\n", b"5 ;a\r\n", b'5;a="\\""\r\n']),
    st.sampled_from(
        [b"5\n", b"5\r", b"0x5\r\n", b"5 \r\n", b"5;\r\n", b'5;a="\r\n', b"5;\n\r\n", b"5\x00\r\n", b"-5\r\n", b"1" * 17]
    ),
    st.binary(max_size=8),
)


@thorough
@given(
    lines=st.lists(chunk_lines, min_size=1, max_size=3),
    ends=st.lists(st.sampled_from([b"\r\n", b"\n", b"\r", b"", b"X\r\n", b"\r\n\r\n"]), min_size=3, max_size=3),
    cuts=st.lists(st.integers(0, 2000), max_size=6),
)
def test_broken_chunks_let_nothing_through_that_is_not_content(lines: list[bytes], ends: list[bytes], cuts: list[int]) -> None:
    head = b"POST /first HTTP/1.1\r\nHost: " + HOST + b"\r\nTransfer-Encoding: chunked\r\n\r\n"
    body = b"".join(line + b"hello" + end for line, end in zip(lines, ends, strict=False)) + b"0\r\n\r\n"
    data = head + body
    requests, answers, _ = talk(data, cuts)
    assert len(requests) <= 1
    if requests:
        content, _ = read_chunks(re.sub(rb"(?m)^(5) ?;[^\r]*", rb"\1", body))
        assert requests[0] == (b"POST /first HTTP/1.1", content)
        assert answers[0][0] == 200
    else:
        assert answers
        assert answers[0][0] in (400, 408)


targets = st.sampled_from(
    [b"/", b"/a?b=c", b"*", b"http://x.review.test/", b"//", b"/\x80", b"/a b", b"", b"/\r\n", b"abc:80", b"/%00"]
)
field_lines = st.sampled_from(
    [
        b"A: b",
        b"A : b",
        b"A",
        b": b",
        b"A: \x00",
        b"A: b\r",
        b" A: b",
        b"Connection: close",
        b"Connection: host",
        b"Host: x",
        b"A: \xff",
        b"Content-Length: 0",
        b"Content-Length: 3",
        b"Transfer-Encoding: chunked",
        b"Expect: 100-continue",
        b"Upgrade: websocket",
        b"Connection: Upgrade",
        b"X-Forwarded-For: evil",
        b"TE: trailers",
        b"Max-Forwards: 0",
        b"Via: x",
    ],
)
request_heads = st.builds(
    lambda method, target, version, end, lines: method + b" " + target + b" " + version + end + end.join([*lines, b"", b""]),
    st.sampled_from([b"GET", b"POST", b"PUT", b"OPTIONS", b"TRACE", b"CONNECT", b"G T", b"", b"get"]),
    targets,
    st.sampled_from([b"HTTP/1.1", b"HTTP/1.0", b"HTTP/2.0", b"HTTP/1.1 ", b"http/1.1", b""]),
    st.sampled_from([b"\r\n", b"\r\n", b"\r\n", b"\n", b"\r"]),
    st.lists(field_lines, max_size=4).map(lambda lines: [b"Host: " + HOST, *lines]),
)
streams = st.lists(
    st.one_of(request_heads, st.binary(max_size=12), st.sampled_from([b"abc", b"3\r\nabc\r\n0\r\n\r\n", EVIL])), max_size=5
)


@thorough
@given(parts=streams, cuts=st.lists(st.integers(0, 2000), max_size=8))
def test_how_bytes_are_cut_changes_nothing(parts: list[bytes], cuts: list[int]) -> None:
    data = b"".join(parts)
    requests, answers, _ = talk(data)
    again, answers_again, _ = talk(data, cuts)
    assert requests == again
    # Why a stream is refused may depend on how much of it was seen; that it is refused does not.
    assert [answer if answer[0] == 200 else "refused" for answer in answers] == [
        answer if answer[0] == 200 else "refused" for answer in answers_again
    ]


@thorough
@given(data=st.binary(max_size=200))
def test_noise_reaches_nobody(data: bytes) -> None:
    requests, _, _ = talk(data)
    assert requests == []


# -- answers -------------------------------------------------------------------------------------------------------------

status_lines = st.sampled_from(
    [
        b"HTTP/1.1 200 OK",
        b"HTTP/1.0 200 OK",
        b"HTTP/1.1 204 No",
        b"HTTP/1.1 304 N",
        b"HTTP/1.1 100 C",
        b"HTTP/1.1 103 E",
        b"HTTP/1.1 101 S",
        b"HTTP/1.1 200",
        b"HTTP/1.1 2000 x",
        b"HTTP/3 200 x",
        b"200 OK",
        b"",
        b"HTTP/1.1 999 x",
        b"HTTP/1.1 000 x",
        b"HTTP/1.1 200 a\rb",
    ],
)
answer_lines = st.sampled_from(
    [
        b"A: b",
        b"A : b",
        b"A: b\r\n c",
        b"A",
        b"A: \x00",
        b" A: b",
        b"Connection: close",
        b"Connection: keep-alive",
        b"Content-Length: 5",
        b"Content-Length: 0",
        b"Content-Length: 5, 5",
        b"Content-Length: 5, 6",
        b"Content-Length: -5",
        b"Content-Length : 5",
        b"Transfer-Encoding: chunked",
        b"Transfer-Encoding: gzip",
        b"Transfer-Encoding: chunked, chunked",
        b"Upgrade: websocket",
        b"Via: x",
        b"X: y\nContent-Length: 3",
        b"Date: now",
        b"Connection: date, content-length",
    ],
)
answer_heads = st.builds(
    lambda line, end, lines: line + end + end.join([*lines, b"", b""]),
    status_lines,
    st.sampled_from([b"\r\n", b"\r\n", b"\r\n", b"\n"]),
    st.lists(answer_lines, max_size=4),
)
answer_streams = st.lists(
    st.one_of(answer_heads, st.sampled_from([b"hello", b"5\r\nhello\r\n", b"0\r\n\r\n", b"zz\r\n"]), st.binary(max_size=8)),
    max_size=5,
)


@thorough
@given(
    parts=answer_streams,
    cuts=st.lists(st.integers(0, 2000), max_size=6),
    method=st.sampled_from([b"GET", b"HEAD", b"POST"]),
    version=st.sampled_from([b"1.1", b"1.0"]),
    ending=st.sampled_from(["finish", "break_off", "silence"]),
)
def test_whatever_the_application_answers_the_client_gets_one_answer_or_a_cut(
    parts: list[bytes], cuts: list[int], method: bytes, version: bytes, ending: str
) -> None:
    gateway = Gateway()
    client = gateway.client()
    client.send(get(method=method).replace(b"HTTP/1.1", b"HTTP/" + version))
    origin = gateway.origin[0]
    for piece in pieces_of(b"".join(parts), cuts):
        origin.send(piece)
    if ending != "silence":
        getattr(origin, ending)()
    gateway.clock.pump([2000.0] * 3)
    assert client.closed
    rest = client.received
    answers: list[Answer] = []
    while rest:
        try:
            answer, rest = read_answer(rest, method, ended=not client.reset)
        except Incomplete:
            break
        answers.append(answer)
    final = [answer for answer in answers if answer.status >= 200]
    assert len(final) <= 1
    assert bool(final) != bool(rest) or not client.received or client.reset
    assert answers == [] or version == b"1.1" or answers[0].status >= 200
    for answer in answers:
        assert not ("content-length" in answer and "transfer-encoding" in answer)
        assert len(answer["content-length"].split(b",")) == 1
        assert b"\n" not in answer.raw.partition(b"\r\n\r\n")[0].replace(b"\r\n", b"")
    assert gateway.stacks.ticket(next(iter(gateway.stacks.ready))).in_flight == 0
