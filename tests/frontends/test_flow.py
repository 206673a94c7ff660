"""Streams, back-pressure, aborts both ways, time-outs, the pool, and the end of the frontend."""

from __future__ import annotations

import pytest

from grandcentral.core.keys import Key
from grandcentral.core.model import Endpoint
from grandcentral.frontends.http.settings import HttpSettings

from .rig import FULL, HOST, OK, Gateway, get, split_request

MIB = 1024 * 1024
KEY = Key("app", "abc")


# -- streams and back-pressure -------------------------------------------------------------------------------------------


def test_an_answer_is_passed_on_as_it_comes() -> None:
    client, origin = Gateway().ask(get(), b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
    for event in (b"data: 1\n\n", b"data: 2\n\n"):
        origin.send(b"%x\r\n%s\r\n" % (len(event), event))
        assert client.received.endswith(event + b"\r\n")


def test_a_request_body_is_passed_on_as_it_comes() -> None:
    gateway = Gateway()
    client = gateway.client()
    client.send(get(b"/", b"Content-Length: 6", method=b"POST"))
    [origin] = gateway.origin
    for part in (b"one", b"two"):
        client.send(part)
        assert origin.received.endswith(part)


@pytest.mark.parametrize("framing", [b"Content-Length: %d" % (8 * MIB), b"Transfer-Encoding: chunked\r\n\r\n%x" % (8 * MIB)])
def test_a_slow_reader_pauses_the_application(framing: bytes) -> None:
    gateway = Gateway()
    client = gateway.client()
    client.send(get())
    client.transport.take(False)
    [origin] = gateway.origin
    head = b"HTTP/1.1 200 OK\r\n" + framing + (b"\r\n\r\n" if framing.startswith(b"C") else b"\r\n")
    origin.send(head + b"x" * 8 * MIB)
    assert not origin.transport.reading
    assert len(client.transport.pending) < 3 * FULL
    for _ in range(200):
        client.transport.take(True)
        client.transport.take(False)
        gateway.clock.advance(0)
    assert client.received.count(b"x") == 8 * MIB


def test_a_slow_application_pauses_the_client() -> None:
    gateway = Gateway()
    client = gateway.client()
    client.send(get(b"/", b"Content-Length: %d" % (8 * MIB), method=b"POST"))
    [origin] = gateway.origin
    origin.transport.take(False)
    client.send(b"x" * 8 * MIB)
    assert not client.transport.reading
    assert len(origin.transport.pending) < 3 * FULL
    for _ in range(200):
        origin.transport.take(True)
        origin.transport.take(False)
        gateway.clock.advance(0)
    assert split_request(origin.received)[2] == b"x" * 8 * MIB


@pytest.mark.parametrize("reader", ["client", "origin"])
def test_back_pressure_in_a_tunnel(reader: str) -> None:
    gateway = Gateway()
    switched = b"HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n"
    client, origin = gateway.ask(get(b"/", b"Connection: upgrade", b"Upgrade: websocket"), switched)
    slow, fast = (client, origin) if reader == "client" else (origin, client)
    slow.transport.take(False)
    fast.send(b"x" * 4 * MIB)
    assert not fast.transport.reading
    assert len(slow.transport.pending) < 3 * FULL
    for _ in range(100):
        slow.transport.take(True)
        slow.transport.take(False)
        gateway.clock.advance(0)
    assert slow.received.endswith(b"x" * 4 * MIB)


def test_a_client_that_sends_ahead_is_paused() -> None:
    gateway = Gateway()
    client = gateway.client()
    client.send(get())
    client.send(get() * 5000)
    assert not client.transport.reading
    for _ in range(5001):
        gateway.origin[0].send(OK)
    assert len(client.answers()) == 5001
    assert client.transport.reading


def test_a_client_that_reads_no_answers_gets_no_more_of_them() -> None:
    gateway = Gateway()
    client = gateway.client()
    client.transport.take(False)
    client.send(get(host=b"a") * 3_000)
    assert len(client.transport.pending) < 3 * FULL
    for _ in range(500):
        client.transport.take(True)
        client.transport.take(False)
        gateway.clock.advance(0)
    client.transport.take(True)
    assert len(client.answers()) == 3_000


def test_a_connection_goes_back_to_the_pool_ready_to_be_read() -> None:
    gateway = Gateway()
    client = gateway.client()
    client.send(get())
    client.transport.take(False)
    [origin] = gateway.origin
    origin.send(b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n" + b"x" * 100_000)
    client.transport.take(True)
    gateway.clock.advance(0)
    assert gateway.front.pool.idle_count == 1
    origin.finish()
    assert gateway.front.pool.idle_count == 0


def test_heads_that_come_byte_by_byte_give_the_same() -> None:
    whole, origin = Gateway().ask(get(b"/x", b"A: b"), OK)
    pieces, pieced = Gateway().ask(get(b"/x", b"A: b"), OK, 1)
    assert whole.received == pieces.received
    assert origin.received == pieced.received


def test_a_head_may_be_larger_than_what_is_read_ahead() -> None:
    gateway = Gateway(HttpSettings(buffer=10))
    client = gateway.client()
    client.send(get(b"/" + b"x" * 5000), 100)
    gateway.origin[0].send(OK)
    assert client.answer().body == b"ok"


# -- aborts --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("leaves", ["finish", "break_off"])
@pytest.mark.parametrize("begun", [b"", b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf"])
def test_a_client_that_leaves_takes_its_request_along(leaves: str, begun: bytes) -> None:
    gateway = Gateway()
    client, origin = gateway.ask(get(), begun)
    getattr(client, leaves)()
    assert origin.reset
    assert gateway.stacks.ticket(KEY).in_flight == 0
    assert gateway.front.connections == 0


def test_a_client_that_leaves_inside_its_body() -> None:
    gateway = Gateway()
    client = gateway.client()
    client.send(get(b"/", b"Content-Length: 10", method=b"POST") + b"half")
    client.break_off()
    assert gateway.origin[0].reset
    assert gateway.stacks.ticket(KEY).in_flight == 0


def test_what_is_counted() -> None:
    gateway = Gateway()
    client, origin = gateway.ask(get(b"/", b"Content-Length: 3", method=b"POST") + b"abc", OK)
    ticket = gateway.stacks.ticket(KEY)
    assert (ticket.requests, ticket.in_flight, ticket.streams) == (1, 0, 0)
    assert ticket.bytes_in == len(origin.received)
    assert ticket.bytes_out == len(client.received)


@pytest.mark.failure(10)
def test_an_answer_without_content_is_use_as_well() -> None:
    gateway = Gateway()
    gateway.wait(600)
    gateway.ask(get(b"/", b'If-None-Match: "1"'), b'HTTP/1.1 304 Not Modified\r\nETag: "1"\r\n\r\n')
    assert gateway.stacks.ticket(KEY).last_used == gateway.clock.seconds()


# -- time-outs -----------------------------------------------------------------------------------------------------------


def test_a_head_has_ten_seconds_in_total_however_it_trickles() -> None:
    gateway = Gateway()
    client = gateway.client()
    for byte in get()[:9]:
        client.send(bytes([byte]))
        gateway.wait(1)
    assert not client.closed
    gateway.wait(2)
    assert client.answer().status == 408
    assert client.closed


def test_an_idle_connection_has_75_seconds() -> None:
    gateway = Gateway()
    fresh = gateway.client()
    used, _ = gateway.ask(get(), OK)
    gateway.wait(74)
    assert not fresh.closed
    assert not used.closed
    gateway.wait(2)
    assert fresh.closed
    assert used.closed
    assert fresh.received == b""


def test_a_body_that_does_not_come_is_408() -> None:
    gateway = Gateway()
    client = gateway.client()
    client.send(get(b"/", b"Content-Length: 10", method=b"POST") + b"ha")
    gateway.wait(50)
    client.send(b"lf")
    gateway.wait(58)
    assert not client.closed
    gateway.wait(5)
    assert client.answer().status == 408
    assert gateway.origin[0].reset


def test_an_application_has_60_seconds_to_begin_its_answer() -> None:
    gateway = Gateway()
    client, origin = gateway.ask(get(), b"HTTP/1.1 102 Processing\r\n\r\n")
    gateway.wait(59)
    assert len(client.answers()) == 1
    gateway.wait(3)
    assert [answer.status for answer in client.answers()] == [102, 504]
    assert origin.reset
    assert not client.closed


def test_or_as_long_as_the_settings_say() -> None:
    gateway = Gateway(HttpSettings(response_timeout=5.0))
    client, _ = gateway.ask(get(), b"")
    gateway.wait(7)
    assert client.answer().status == 504


def test_a_silent_stream_lives_an_hour() -> None:
    gateway = Gateway()
    client, origin = gateway.ask(get(), b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n")
    gateway.wait(3500)
    origin.send(b"2\r\nhi\r\n")
    gateway.wait(3500)
    assert not client.closed
    gateway.wait(200)
    assert client.closed
    assert origin.reset


def test_a_silent_tunnel_lives_an_hour() -> None:
    gateway = Gateway()
    switched = b"HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n"
    client, origin = gateway.ask(get(b"/", b"Connection: upgrade", b"Upgrade: websocket"), switched)
    gateway.wait(3500)
    client.send(b"ping")
    gateway.wait(3500)
    assert not client.closed
    gateway.wait(200)
    assert client.closed
    assert origin.closed
    assert gateway.stacks.ticket(KEY).streams == 0


def test_a_client_that_takes_nothing_for_five_minutes_has_gone() -> None:
    gateway = Gateway()
    client = gateway.client()
    client.send(get())
    client.transport.take(False)
    gateway.origin[0].send(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n" + b"x" * 1_000_000)
    gateway.wait(290)
    assert not client.closed
    gateway.wait(15)
    assert client.closed
    assert gateway.origin[0].reset


def test_an_answer_that_is_whole_is_never_cut_by_lingering() -> None:
    gateway = Gateway()
    client = gateway.client()
    client.send(get(b"/", b"Connection: close"))
    client.transport.take(False)
    gateway.origin[0].send(b"HTTP/1.1 200 OK\r\nContent-Length: 60000\r\n\r\n" + b"x" * 60_000)
    gateway.wait(60)
    client.transport.take(True)
    gateway.wait(10)
    assert len(client.answer().body) == 60_000
    assert not client.reset


# -- the pool ------------------------------------------------------------------------------------------------------------


def test_connections_are_shared_by_clients() -> None:
    gateway = Gateway()
    for _ in range(3):
        client = gateway.client()
        client.send(get())
        gateway.origin[0].send(OK)
        assert client.answer().body == b"ok"
    assert len(gateway.origin) == 1


def test_an_idle_connection_is_closed_after_four_seconds() -> None:
    gateway = Gateway()
    _, origin = gateway.ask(get(), OK)
    gateway.wait(3)
    assert not origin.closed
    gateway.wait(3)
    assert origin.closed


def test_a_connection_that_the_application_closes_is_not_used_again() -> None:
    gateway = Gateway()
    client, origin = gateway.ask(get(), OK)
    origin.finish()
    client.send(get())
    assert len(gateway.origin) == 2
    assert gateway.front.pool.idle_count == 0


def test_a_stack_that_stopped_is_forgotten() -> None:
    gateway = Gateway()
    gateway.ask(get(), OK)
    busy = gateway.client()
    busy.send(get(b"/busy"))
    late = gateway.client()
    late.send(get(b"/late"))
    gateway.front.forget(Endpoint("10.0.0.1", 3000))
    gateway.origin[0].send(OK)
    gateway.origin[1].send(OK)
    assert busy.answer().body == late.answer().body == b"ok"
    assert all(origin.closed for origin in gateway.origin)


# -- the end -------------------------------------------------------------------------------------------------------------


def test_stop_lets_requests_in_flight_finish_and_takes_no_more() -> None:
    gateway = Gateway()
    idle, _ = gateway.ask(get(), OK)
    busy = gateway.client()
    busy.send(get())
    fired: list[None] = []
    gateway.front.stop().addCallback(fired.append)
    gateway.clock.advance(0)
    assert idle.closed
    assert not busy.closed
    assert gateway.front.buildProtocol(None) is None
    gateway.origin[0].send(OK)
    assert busy.answer()["connection"] == b"close"
    idle.finish()
    assert fired == []
    busy.finish()
    assert fired == [None]
    assert gateway.clock.getDelayedCalls() == []


def test_after_the_grace_the_rest_is_cut_off() -> None:
    gateway = Gateway()
    client = gateway.client()
    client.send(get())
    fired: list[None] = []
    gateway.front.stop().addCallback(fired.append)
    gateway.wait(31)
    assert fired == [None]
    assert client.reset
    assert gateway.stacks.ticket(KEY).in_flight == 0


def test_routes_can_be_swapped_under_a_running_frontend() -> None:
    gateway = Gateway()
    client, _ = gateway.ask(get(), OK)
    gateway.front.routes = type(gateway.front.routes)(())
    client.send(get())
    assert [answer.status for answer in client.answers()] == [200, 404]


def test_two_apps_on_one_connection() -> None:
    gateway = Gateway()
    client, _ = gateway.ask(get(), OK)
    client.send(get(host=b"def.review.test"))
    assert set(gateway.stacks.ready) == {Key("app", "abc"), Key("app", "def")}
    assert b"Host: def.review.test\r\n" in gateway.origin[0].received
    assert HOST not in gateway.origin[0].received.rpartition(b"GET ")[2]
