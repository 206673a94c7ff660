"""What the front door tells of requests besides answering them: Server-Timing, traces, counts."""

from __future__ import annotations

import json
from typing import Any

import pytest

from grandcentral.core.counters import OTHER
from grandcentral.core.keys import Key
from grandcentral.errors import TooManyWaiting
from grandcentral.frontends.http.tracing import traceparent

from .rig import OK, Gateway, HttpSettings, Peer, get, split_request

OWN_TIMING = b"HTTP/1.1 200 OK\r\nServer-Timing: db;dur=53\r\nDate: today\r\nContent-Length: 2\r\n\r\nok"
PHASES = {"registry": 0.1, "pull": 2.5, "ready": 0.25}
TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
VALID = f"traceparent: 00-{TRACE}-00f067aa0ba902b7-01".encode()


def wake(gateway: Gateway, after: float, phases: dict[str, float]) -> None:
    gateway.wait(after)
    ticket = gateway.stacks.ticket(Key("app", "abc"))
    if phases:
        ticket.started, ticket.phases = gateway.clock.seconds(), phases
    gateway.stacks.wake()


def answered(client: Peer, gateway: Gateway, answer: bytes = OWN_TIMING) -> Any:
    gateway.origin[-1].send(answer)
    return client.answers()[-1]


def test_the_answer_to_a_request_that_was_held_says_for_what() -> None:
    gateway = Gateway(cold=True)
    client = gateway.client()
    client.send(get())
    wake(gateway, 3, PHASES)
    timing = answered(client, gateway)["server-timing"]
    assert timing == b"db;dur=53, held;dur=3000.0, start-registry;dur=100.0, start-pull;dur=2500.0, start-ready;dur=250.0"


def test_warm_answers_say_nothing_of_it_even_if_they_are_the_same_bytes() -> None:
    gateway = Gateway(cold=True)
    client = gateway.client()
    client.send(get())
    wake(gateway, 1, PHASES)
    assert b"held" in answered(client, gateway)["server-timing"]
    for _ in range(3):
        client.send(get())
        assert answered(client, gateway)["server-timing"] == b"db;dur=53"


def test_so_does_the_answer_to_an_upgrade() -> None:
    gateway = Gateway(cold=True)
    client = gateway.client()
    client.send(get(b"/", b"Connection: upgrade", b"Upgrade: websocket"))
    wake(gateway, 3, {"ready": 0.25})
    switched = b"HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n"
    gateway.origin[0].send(switched + b"first words")
    head, _, rest = client.received.partition(b"\r\n\r\n")
    assert b"\r\nServer-Timing: held;dur=3000.0, start-ready;dur=250.0" in head
    assert rest == b"first words"


def test_who_waited_for_a_resume_is_not_told_of_the_start_long_ago() -> None:
    gateway = Gateway(cold=True)
    ticket = gateway.stacks.ticket(Key("app", "abc"))
    ticket.started, ticket.phases = gateway.clock.seconds(), PHASES
    gateway.wait(60)
    client = gateway.client()
    client.send(get())
    wake(gateway, 1, {})
    assert answered(client, gateway, OK)["server-timing"] == b"held;dur=1000.0"


def test_how_long_requests_were_held_is_counted() -> None:
    gateway = Gateway(cold=True)
    clients = [gateway.client() for _ in range(3)]
    for client in clients:
        client.send(get())
    wake(gateway, 3, {})
    held = gateway.front.counters.held
    assert (sum(held.counts), held.total) == (3, 9.0)


def test_answers_are_counted_by_method_and_status_whoever_gave_them() -> None:
    gateway = Gateway()
    for request, answer in (
        (get(), OK),
        (get(), OK),
        (get(method=b"BREW"), OK),
        (get(host=b"nobody.test"), b""),
        (b"nonsense\r\n\r\n", b""),
        (get(b"/", b"Connection: upgrade", b"Upgrade: x"), b"HTTP/1.1 101 S\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n"),
    ):
        client = gateway.client()
        client.send(request)
        if answer:
            gateway.origin[-1].send(answer)
    assert gateway.front.counters.answers == {
        (b"GET", 200): 2,
        (OTHER, 200): 1,
        (b"GET", 404): 1,
        (OTHER, 400): 1,
        (b"GET", 101): 1,
    }


def test_new_traces_are_valid_and_never_the_same() -> None:
    made = {traceparent() for _ in range(1000)}
    assert len(made) == 1000
    assert {len(one) for one in made} == {55}


@pytest.mark.parametrize("tracing", [True, False])
def test_an_answer_of_the_gateway_itself_names_the_trace(tracing: bool) -> None:
    gateway = Gateway(HttpSettings(tracing=tracing))
    for fields, wanted in (((VALID,), TRACE), ((), None)):
        client = gateway.client()
        client.send(get(b"/", *fields, host=b"nobody.test"))
        document = json.loads(client.answer().body)
        assert len(document.get("trace_id", "")) == (32 if tracing or wanted else 0)
        assert wanted in (None, document.get("trace_id"))
        page = gateway.client()
        page.send(get(b"/", b"Accept: text/html", *fields, host=b"nobody.test"))
        assert wanted is None or wanted.encode() in page.answer().body


def test_the_trace_that_a_refused_request_was_given_is_the_one_that_the_application_saw() -> None:
    gateway = Gateway(HttpSettings(tracing=True))
    client = gateway.client()
    client.send(get())
    seen = dict(split_request(gateway.origin[-1].received)[1])["traceparent"]
    gateway.origin[-1].send(b"nonsense\r\n\r\n")
    assert json.loads(client.answer().body)["trace_id"] == seen.split(b"-")[1].decode()


def test_a_refusal_of_the_table_is_counted() -> None:
    gateway = Gateway(cold=True)
    client = gateway.client()
    client.send(get())
    gateway.stacks.refuse(TooManyWaiting(1, retry_after=1.0))
    assert gateway.front.counters.answers == {(b"GET", 503): 1}


class Notes:
    """A log that keeps what it is told."""

    def __init__(self) -> None:
        self.status: list[int] = []
        self.running = False

    def start(self) -> None:
        self.running = True

    def stop(self) -> None:
        self.running = False

    def note(self, served: Any) -> bool:
        assert self.running
        self.status.append(served.status)
        return True


def test_requests_are_noted_elsewhere_from_one_moment_to_the_next() -> None:
    gateway, one, two = Gateway(), Notes(), Notes()
    client, origin = gateway.ask(get(), OK)
    gateway.front.log_to(one)
    for log in (two, None):
        client.send(get())
        origin.send(OK)
        client.send(get())  # it began under this log, and is over under the next
        gateway.front.log_to(log)
        origin.send(OK)
    client.send(get())
    origin.send(OK)
    assert (one.status, two.status) == ([200], [200, 200])
    assert not one.running
    assert not two.running
    assert len(client.answers()) == 6
