"""A frontend that retires: nobody is turned away, and every connection ends with an answer that says so."""

from __future__ import annotations

from .rig import OK, Gateway, get
from .test_rfc9110 import SWITCHED, WEBSOCKET


def retiring(gateway: Gateway) -> list[None]:
    fired: list[None] = []
    gateway.front.retire().addCallback(fired.append)
    return fired


def test_an_idle_client_gets_one_more_answer_which_says_that_it_is_the_last() -> None:
    gateway = Gateway()
    client, _ = gateway.ask(get(), OK)
    fired = retiring(gateway)
    assert not client.closed
    gateway.wait(3)
    client.send(get())
    gateway.origin[-1].send(OK)
    first, last = client.answers()
    assert "connection" not in first
    assert (last.status, last["connection"]) == (200, b"close")
    assert client.closed
    client.finish()
    assert len(fired) == 1


def test_one_that_asks_nothing_for_five_seconds_is_let_go() -> None:
    gateway = Gateway()
    client, _ = gateway.ask(get(), OK)
    fired = retiring(gateway)
    gateway.wait(4)
    assert not client.closed
    gateway.wait(2)
    assert client.closed
    client.finish()
    assert len(fired) == 1


def test_an_answer_whose_head_has_gone_already_is_not_followed_by_a_close_that_nobody_was_told_of() -> None:
    gateway = Gateway()
    client, origin = gateway.ask(get(), b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nha")
    retiring(gateway)
    origin.send(b"lf")
    assert not client.closed
    client.send(get())
    gateway.origin[-1].send(OK)
    assert [answer.status for answer in client.answers()] == [200, 200]
    assert client.answers()[1]["connection"] == b"close"


def test_an_answer_of_our_own_is_the_last_one_too() -> None:
    gateway = Gateway()
    client, _ = gateway.ask(get(), OK)
    retiring(gateway)
    client.send(get(host=b"elsewhere.example.net"))
    last = client.answers()[-1]
    assert (last.status, last["connection"]) == (404, b"close")


def test_a_new_connection_that_was_accepted_just_now_is_served() -> None:
    gateway = Gateway()
    gateway.client()
    retiring(gateway)
    client, _ = gateway.ask(get(), OK)
    assert client.answer()["connection"] == b"close"


def test_a_tunnel_lasts_for_as_long_as_it_lasts() -> None:
    gateway = Gateway()
    client, origin = gateway.ask(WEBSOCKET, SWITCHED)
    fired = retiring(gateway)
    gateway.wait(600)
    origin.send(b"still there")
    assert client.received.endswith(b"still there")
    assert fired == []
    client.break_off()
    assert len(fired) == 1


def test_stop_after_retire_ends_what_is_left_when_its_time_is_over() -> None:
    gateway = Gateway()
    client, _ = gateway.ask(WEBSOCKET, SWITCHED)
    fired = retiring(gateway)
    gateway.front.stop().addCallback(fired.append)
    gateway.wait(29)
    assert fired == []
    gateway.wait(2)
    assert len(fired) == 2
    assert client.reset


def test_without_clients_it_is_done_at_once() -> None:
    assert len(retiring(Gateway())) == 1
