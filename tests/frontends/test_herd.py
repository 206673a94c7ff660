"""Many requests at once to an application: a few connections are opened to it, the others stand in line."""

from __future__ import annotations

from collections import Counter

import pytest
from twisted.internet.error import ConnectionRefusedError

from grandcentral.core.model import Endpoint
from grandcentral.frontends.http.settings import HttpSettings
from grandcentral.relay.pool import TURN, UNPROVEN

from .rig import OK, Gateway, Peer, get

CLOSING = b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok"


def herd(gateway: Gateway, size: int, request: bytes = get()) -> list[Peer]:
    clients = [gateway.client() for _ in range(size)]
    for client in clients:
        client.send(request)
    return clients


def test_a_few_connections_serve_a_thousand() -> None:
    gateway = Gateway()
    clients = herd(gateway, 1000)
    assert len(gateway.origin) == UNPROVEN
    answered: Counter[Peer] = Counter()
    while answered.total() < 1000:
        for origin in gateway.origin:
            if origin.received.count(b"GET") > answered[origin]:
                answered[origin] += 1
                origin.send(OK)
    assert [client.answer().status for client in clients] == [200] * 1000
    assert len(gateway.origin) == UNPROVEN


def test_one_of_several_workers_opens_its_share() -> None:
    gateway = Gateway(HttpSettings(unproven=3))
    herd(gateway, 1000)
    assert len(gateway.origin) == 3


def test_an_application_that_keeps_no_connection_gets_new_ones_in_order() -> None:
    gateway = Gateway()
    clients = [gateway.client() for _ in range(50)]
    for number, client in enumerate(clients):
        client.send(get(b"/%d" % number))
    for number, client in enumerate(clients):
        origin = gateway.origin[number]
        assert len([each for each in gateway.origin if not each.closed]) <= UNPROVEN
        assert origin.received.startswith(b"GET /%d " % number)
        origin.send(CLOSING)
        gateway.clock.advance(0)
        assert client.answer().status == 200
    assert len(gateway.origin) == 50


def test_an_application_that_answers_slowly_is_asked_by_all_after_a_while() -> None:
    gateway = Gateway()
    clients = herd(gateway, 3 * UNPROVEN)
    gateway.clock.pump([TURN] * 50)
    assert len(gateway.origin) == 3 * UNPROVEN
    for origin in gateway.origin:
        origin.send(OK)
    assert all(client.answer().status == 200 for client in clients)


def test_who_may_not_be_sent_over_a_used_connection_waits_for_a_new_one() -> None:
    gateway = Gateway()
    herd(gateway, UNPROVEN)
    posting, getting = gateway.client(), gateway.client()
    posting.send(get(method=b"POST"))
    getting.send(get())
    first = gateway.origin[0]
    first.send(OK)
    first.send(OK)
    assert getting.answer().status == 200
    gateway.clock.advance(TURN)
    assert len(gateway.origin) == UNPROVEN + 1
    assert gateway.origin[-1].received.startswith(b"POST")


def test_a_client_that_leaves_leaves_the_line() -> None:
    gateway = Gateway()
    herd(gateway, UNPROVEN)
    leaving, staying = herd(gateway, 2, get(b"/last"))
    leaving.finish()
    assert sum(ticket.in_flight for ticket in gateway.stacks.ready.values()) == UNPROVEN + 1
    gateway.origin[0].send(OK)
    gateway.origin[0].send(OK)
    assert staying.answer().status == 200


def test_the_line_is_no_place_to_wait_for_ever() -> None:
    gateway = Gateway(HttpSettings(response_timeout=1.0))
    gateway.slow = []
    clients = herd(gateway, 40 * UNPROVEN)
    gateway.clock.pump([TURN] * 420)
    assert clients[-1].answer().status == 504
    assert clients[0].received == b""  # connecting has its own time
    assert len(gateway.slow) < 40 * UNPROVEN


@pytest.mark.parametrize("answers", [True, False])
def test_those_in_line_ask_again_when_the_endpoint_has_gone(answers: bool) -> None:
    gateway = Gateway()
    herd(gateway, UNPROVEN)
    [last] = herd(gateway, 1, get(b"/last"))
    gateway.stacks.cold = True
    gateway.front.forget(Endpoint("10.0.0.1", 3000))
    assert len(gateway.stacks.waiting) == 1
    if answers:
        gateway.stacks.wake()
        assert gateway.origin[-1].received.startswith(b"GET /last ")
        gateway.origin[-1].send(OK)
        assert last.answer().status == 200
    else:
        last.finish()
        assert gateway.stacks.cancelled == 1


def test_refused_connections_let_the_next_try() -> None:
    gateway = Gateway()
    gateway.slow = []
    clients = herd(gateway, 3 * UNPROVEN)
    gateway.stacks.cold_when_lost = True
    for deferred, _ in list(gateway.slow):
        deferred.errback(ConnectionRefusedError())
    assert len(gateway.stacks.reported) == UNPROVEN
    assert len(gateway.slow) == 2 * UNPROVEN
    assert not any(client.received for client in clients)
