"""W3C Trace Context: what a request brings is passed on, or replaced by something valid."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import count

import pytest
from attrs import evolve
from hypothesis import given
from hypothesis import strategies as st

from grandcentral.core.forwarding import Hop, response
from grandcentral.wire.http1_response import ResponseHead, parse_response_head

from .test_forwarding import request

VALID = b"00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
OURS = b"00-%032x-%016x-01"
ONE, TWO = f"{1:032x}", f"{2:032x}"


def tracing() -> Hop:
    numbers: Iterator[int] = count(1)
    return Hop("192.0.2.7", "http", invent=lambda: OURS % (next(numbers), 7))


def lines(sent: bytes, name: bytes) -> list[bytes]:
    return [line.partition(b": ")[2] for line in sent.split(b"\r\n") if line.lower().startswith(name + b":")]


@pytest.mark.parametrize(
    "valid",
    [
        VALID,
        VALID.replace(b"-01", b"-00"),
        b"cc-12345678901234567890123456789012-1234567890123456-01",  # of a version to come
        b"cc-12345678901234567890123456789012-1234567890123456-01-what-the-future-will-be-like",
    ],
)
def test_a_valid_traceparent_goes_through_untouched_with_its_state(valid: bytes) -> None:
    hop = tracing()
    head = request(b"Traceparent: " + valid, b"tracestate: a=1", b"TraceState: b=2")
    sent = hop.request(head)
    assert lines(sent, b"traceparent") == [valid]
    assert lines(sent, b"tracestate") == [b"a=1", b"b=2"]
    assert hop.trace(head) == valid[3:35].decode()


@pytest.mark.parametrize(
    "invalid",
    [
        b"",
        b"x",
        VALID + b"-more",
        VALID + b"0",
        VALID[:-1],
        VALID.upper(),
        b"ff" + VALID[2:],
        b"00-" + b"0" * 32 + VALID[35:],
        VALID[:36] + b"0" * 16 + b"-01",
        VALID.replace(b"-", b"_"),
        b"cc" + VALID[2:] + b".more",
    ],
)
def test_an_invalid_one_is_replaced_and_its_state_goes_too(invalid: bytes) -> None:
    sent = tracing().request(request(b"traceparent: " + invalid, b"tracestate: a=1"))
    assert lines(sent, b"traceparent") == [OURS % (1, 7)]
    assert lines(sent, b"tracestate") == []


def test_two_are_none() -> None:
    sent = tracing().request(request(b"traceparent: " + VALID, b"traceparent: " + VALID))
    assert lines(sent, b"traceparent") == [OURS % (1, 7)]


@pytest.mark.parametrize("target", [b"/", b"http://x/"])
def test_each_request_without_one_gets_its_own_and_keeps_it_when_it_is_sent_again(target: bytes) -> None:
    hop = tracing()
    one, two = request(b"A: b", target=target), request(b"A: b", target=target)
    first = hop.request(one)
    assert lines(first, b"traceparent") == [OURS % (1, 7)]
    assert hop.request(one) == first
    assert hop.trace(one) == ONE
    assert lines(hop.request(two), b"traceparent") == [OURS % (2, 7)]
    assert hop.trace(two) == TWO


def test_a_request_that_goes_nowhere_has_a_trace_as_well() -> None:
    hop = tracing()
    head = request()
    assert hop.trace(head) == hop.trace(head) == ONE


def test_fields_that_were_worked_out_once_are_not_mixed_up_with_others() -> None:
    hop = tracing()
    without, having = request(b"A: b"), request(b"traceparent: " + VALID)
    for head, traces in ((without, [OURS % (1, 7)]), (having, [VALID]), (without, [OURS % (2, 7)]), (having, [VALID])):
        assert lines(hop.request(evolve(head)), b"traceparent") == traces


@given(st.sampled_from([VALID, b"nonsense"]))
def test_without_tracing_everything_is_passed_on_as_it_came(value: bytes) -> None:
    hop = Hop("192.0.2.7", "http")
    head = request(b"traceparent: " + value, b"tracestate: a=1")
    sent = hop.request(head)
    assert (lines(sent, b"traceparent"), lines(sent, b"tracestate")) == ([value], [b"a=1"])
    assert lines(hop.request(request()), b"traceparent") == []
    assert hop.trace(head) == (VALID[3:35].decode() if value == VALID else "")


def test_in_an_answer_it_is_a_field_like_any_other() -> None:
    head = parse_response_head(b"HTTP/1.1 200 OK\r\ntraceparent: x\r\ntracestate: y\r\n\r\n")
    assert isinstance(head, ResponseHead)
    assert b"traceparent: x\r\ntracestate: y\r\n" in response(head, False, True, b"now")
