"""Requests to a stack that is not ready: held, woken, refused, given a page, or left behind by their client."""

from __future__ import annotations

import json

import pytest

from grandcentral.core.keys import Key
from grandcentral.core.model import LogTail
from grandcentral.errors import AmbiguousVersion, AtCapacity, EngineRefused, ServiceExited, StartFailed, UnknownVersion
from grandcentral.frontends.http.settings import HttpSettings

from .rig import HOST, OK, Gateway, Peer, get

KEY = Key("app", "abc")
NAVIGATION = (b"Sec-Fetch-Mode: navigate", b"Accept: text/html,*/*;q=0.8")
MIB = 1024 * 1024


def held(request: bytes = get(), settings: HttpSettings | None = None) -> tuple[Gateway, Peer]:
    gateway = Gateway(settings, cold=True)
    client = gateway.client()
    client.send(request)
    return gateway, client


def test_a_request_is_held_until_the_stack_is_ready() -> None:
    gateway, client = held()
    gateway.wait(110)
    assert client.received == b""
    assert gateway.origin == []
    gateway.stacks.wake()
    gateway.origin[0].send(OK)
    assert client.answer().body == b"ok"


def test_the_ticket_is_taken_in_the_moment_that_it_is_given() -> None:
    gateway, _ = held()
    gateway.slow = []  # nobody answers the dial: what counts is that the stack is in use already
    gateway.stacks.wake()
    ticket = gateway.stacks.ticket(KEY)
    assert (ticket.in_flight, ticket.requests) == (1, 1)


@pytest.mark.parametrize("leaves", ["finish", "break_off"])
def test_a_client_that_leaves_frees_its_place_and_nothing_else(leaves: str) -> None:
    gateway, client = held()
    getattr(client, leaves)()
    assert gateway.stacks.cancelled == 1
    assert gateway.front.connections == 0
    gateway.stacks.wake()
    assert gateway.origin == []


def test_a_held_body_meets_a_slow_application_without_piling_up() -> None:
    body = b"x" * 4 * MIB
    gateway, client = held(get(b"/", b"Transfer-Encoding: chunked", method=b"POST") + b"%x\r\n" % len(body))
    client.transport.deliver(body)
    gateway.slow = []
    gateway.stacks.wake()
    [(_dialled, connect)] = gateway.slow
    connect()
    origin = gateway.origin[0]
    origin.transport.take(False)
    gateway.clock.advance(0)
    assert len(origin.transport.pending) < 256 * 1024
    for _ in range(100):
        origin.transport.take(True)
        origin.transport.take(False)
        gateway.clock.advance(0)
    assert origin.received.count(b"x") >= 4 * MIB


def test_pipelined_requests_wait_behind_the_held_one() -> None:
    gateway, client = held(get(b"/1") + get(b"/2"))
    gateway.stacks.wake()
    gateway.origin[0].send(OK)
    gateway.origin[0].send(OK)
    assert len(client.answers()) == 2


def test_a_websocket_is_held_and_its_early_bytes_with_it() -> None:
    gateway, _client = held(get(b"/", b"Connection: Upgrade", b"Upgrade: websocket") + b"early")
    gateway.stacks.wake()
    origin = gateway.origin[0]
    assert b"early" not in origin.received
    origin.send(b"HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n")
    assert origin.received.endswith(b"early")


# -- refusals ------------------------------------------------------------------------------------------------------------

REFUSALS = [
    (UnknownVersion(KEY, "registry.test/app:abc"), 404, "unknown-version"),
    (AtCapacity(3, "all are busy", retry_after=7.5), 503, "at-capacity"),
    (AmbiguousVersion("abc", ("abc1", "abc2")), 409, "ambiguous-version"),
    (StartFailed(KEY, EngineRefused("No space.")), 502, "start-failed"),
]


@pytest.mark.parametrize(("refusal", "status", "name"), REFUSALS, ids=lambda value: value if isinstance(value, str) else "")
def test_a_program_gets_a_problem_document(refusal: Exception, status: int, name: str) -> None:
    gateway, client = held(get(b"/some/path"))
    gateway.stacks.refuse(refusal)
    answer = client.answer()
    document = json.loads(answer.body)
    assert answer.status == document["status"] == status
    assert answer["content-type"] == b"application/problem+json"
    assert document["type"] == f"/problems/{name}"
    assert document["detail"] == str(refusal)
    assert document["instance"] == "/some/path"
    assert answer["cache-control"] == b"no-store"
    assert not client.closed


@pytest.mark.parametrize(("refusal", "status", "name"), REFUSALS, ids=lambda value: value if isinstance(value, str) else "")
def test_a_browser_gets_a_page(refusal: Exception, status: int, name: str) -> None:
    gateway, client = held(get(b"/", *NAVIGATION))
    gateway.stacks.refuse(refusal)
    answer = client.answer()
    assert answer.status == status
    assert answer["content-type"] == b"text/html; charset=utf-8"
    assert b"<h1>" in answer.body


def test_retry_after_is_said_in_whole_seconds() -> None:
    gateway, client = held(get(b"/", *NAVIGATION))
    gateway.stacks.refuse(AtCapacity(3, "", retry_after=7.5))
    assert client.answer()["retry-after"] == b"8"
    assert client.answer()["refresh"] == b"8"


def test_a_failed_start_shows_its_cause_and_last_lines_and_nothing_of_them_is_markup() -> None:
    tail = LogTail("web", ("starting", "<script>alert(1)</script>", "\udcff"))
    failed = StartFailed(KEY, ServiceExited("web ended with status 1 & <b>", logs=(tail,), service="web", status=1))
    gateway, client = held(get(b"/", *NAVIGATION))
    gateway.stacks.refuse(failed)
    page = client.answer().body
    assert b"&lt;script&gt;alert(1)&lt;/script&gt;" in page
    assert b"<script" not in page
    assert b"status 1 &amp; &lt;b&gt;" in page
    gateway, client = held()
    gateway.stacks.refuse(failed)
    document = json.loads(client.answer().body)
    assert document["cause"] == "web ended with status 1 & <b>"
    assert document["logs"][0]["lines"][:2] == ["starting", "<script>alert(1)</script>"]


def test_a_path_in_a_page_is_no_markup_either() -> None:
    gateway, client = held(get(b"/<script>", *NAVIGATION))
    gateway.stacks.refuse(UnknownVersion(KEY, "x"))
    assert b"<script>" not in client.answer().body


def test_a_fault_of_our_own_shows_a_number_that_the_log_repeats(clean_reactor: list) -> None:
    gateway, client = held()
    gateway.stacks.refuse(RuntimeError("the secret reason"))
    answer = client.answer()
    document = json.loads(answer.body)
    assert answer.status == 500
    assert document["incident"] in document["detail"]
    assert b"secret" not in answer.body
    [failure] = clean_reactor
    assert failure.getErrorMessage() == "the secret reason"
    clean_reactor.clear()


@pytest.mark.parametrize(("host", "name"), [(b"nobody.test", "unknown-host"), (b"a_b.review.test", "invalid-version")])
def test_hosts_that_lead_nowhere(host: bytes, name: str) -> None:
    gateway = Gateway(cold=True)
    client = gateway.client()
    client.send(get(host=host))
    assert client.answer().status == 404
    assert json.loads(client.answer().body)["type"] == f"/problems/{name}"
    assert gateway.stacks.waiting == []


def test_a_body_that_comes_after_the_refusal_is_read_and_thrown_away() -> None:
    gateway, client = held(get(b"/", b"Content-Length: 1000000", method=b"POST") + b"x" * 1000)
    gateway.stacks.refuse(UnknownVersion(KEY, "x"))
    client.send(b"x" * 500_000)
    assert client.answer()["connection"] == b"close"
    assert not client.reset
    client.finish()
    assert client.transport.gone


# -- the waiting page ----------------------------------------------------------------------------------------------------


@pytest.mark.failure(13)
@pytest.mark.parametrize(
    "fields", [NAVIGATION, (b"Accept: text/html",), (b"Sec-Fetch-Mode: navigate",)], ids=["browser", "old browser", "no accept"]
)
def test_a_person_who_waits_gets_a_page_that_asks_again(fields: tuple[bytes, ...]) -> None:
    gateway, client = held(get(b"/", *fields))
    gateway.wait(19)
    assert client.received == b""
    gateway.wait(2)
    answer = client.answer()
    assert answer.status == 503
    assert (answer["retry-after"], answer["refresh"]) == (b"2", b"2")
    assert b"Pulling images" in answer.body
    assert b"12 seconds" in answer.body
    assert gateway.stacks.cancelled == 1
    assert not client.closed


@pytest.mark.failure(13)
@pytest.mark.parametrize(
    "request_",
    [
        get(),
        get(b"/", b"Accept: application/json"),
        get(b"/", *NAVIGATION, method=b"POST"),
        get(b"/", b"Sec-Fetch-Mode: cors", b"Accept: text/html"),
        get(b"/", b"Accept: text/html", b"X-Requested-With: XMLHttpRequest"),
        get(b"/", b"Accept: text/html", b"Authorization: Bearer x"),
    ],
)
def test_nobody_else_does(request_: bytes) -> None:
    gateway, client = held(request_)
    gateway.wait(110)
    assert client.received == b""
    gateway.stacks.wake()
    gateway.origin[0].send(OK)
    assert client.answer().status == 200


def test_the_time_until_the_page_can_be_set() -> None:
    gateway, client = held(get(b"/", *NAVIGATION), HttpSettings(waiting_page_after=2.0))
    gateway.wait(3)
    assert client.answer().status == 503


# -- an endpoint that does not answer ------------------------------------------------------------------------------------


@pytest.mark.parametrize("method", [b"GET", b"POST"])
def test_an_endpoint_that_refuses_is_reported_and_the_stack_asked_for_again(method: bytes) -> None:
    gateway = Gateway()
    gateway.refuses = True
    client = gateway.client()
    gateway.stacks.cold_when_lost = True
    client.send(get(b"/", b"Content-Length: 2", method=method) + b"hi")
    assert len(gateway.stacks.reported) == 1
    assert gateway.stacks.reported[0].in_flight == 0
    assert client.received == b""
    gateway.refuses = False
    gateway.stacks.wake()
    assert gateway.origin[0].received.endswith(b"\r\n\r\nhi")
    gateway.origin[0].send(OK)
    assert client.answer().body == b"ok"


def test_asked_again_once_then_502() -> None:
    gateway = Gateway()
    gateway.refuses = True
    client = gateway.client()
    client.send(get())
    assert len(gateway.stacks.reported) == 2
    assert client.answer().status == 502
    assert json.loads(client.answer().body)["type"] == "/problems/upstream-failed"
    assert not client.closed
    assert gateway.stacks.ticket(KEY).in_flight == 0


def test_an_endpoint_that_says_nothing_to_a_dial() -> None:
    gateway = Gateway()
    gateway.slow = []
    client = gateway.client()
    client.send(get())
    gateway.wait(12)
    assert gateway.cancelled_dials == 2
    assert client.answer().status == 502


def test_a_client_that_leaves_during_a_dial_cancels_it() -> None:
    gateway = Gateway()
    gateway.slow = []
    client = gateway.client()
    client.send(get())
    client.break_off()
    assert gateway.cancelled_dials == 1
    assert gateway.stacks.ticket(KEY).in_flight == 0


def test_a_fresh_connection_that_closes_without_an_answer_is_reported() -> None:
    gateway = Gateway()
    client = gateway.client()
    client.send(get())
    gateway.origin[0].finish()
    assert len(gateway.stacks.reported) == 1
    gateway.origin[1].send(OK)
    assert client.answer().body == b"ok"


@pytest.mark.failure(25)
def test_the_host_header_names_the_key() -> None:
    gateway, client = held(get(host=HOST + b":8080"))
    gateway.stacks.wake()
    assert list(gateway.stacks.ready) == [KEY]
    client.finish()


# -- the gateway ends ----------------------------------------------------------------------------------------------------


def test_a_start_that_comes_about_in_a_moment_is_still_waited_for_when_the_gateway_ends() -> None:
    gateway, client = held()
    gateway.front.stop()
    gateway.wait(0.4)
    assert client.received == b""
    gateway.stacks.wake()
    gateway.origin[0].send(OK)
    assert (client.answer().body, client.answer()["connection"]) == (b"ok", b"close")


def test_who_waits_for_a_start_when_the_gateway_ends_is_told_to_ask_again() -> None:
    gateway, client = held()
    gateway.front.stop()
    gateway.wait(0.6)
    answer = client.answer()
    assert (answer.status, answer["retry-after"], answer["connection"]) == (503, b"5", b"close")
    assert json.loads(answer.body)["type"].endswith("/shutting-down")
    assert gateway.stacks.cancelled == 1
