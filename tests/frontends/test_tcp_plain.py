"""One service behind one port: whoever connects is led to it, woken or not, and both sides see every byte of the other."""

from __future__ import annotations

from ipaddress import ip_network

import pytest

from grandcentral.core.keys import Key
from grandcentral.errors import StartTimeout
from grandcentral.frontends.tcp import TcpSettings

from .rig import FULL
from .tcp_rig import Port

KEY = Key("db")


def test_bytes_go_both_ways_and_count() -> None:
    port = Port("tcp")
    client = port.client()
    client.send(b"EHLO me\r\n", piece=1)
    port.server.send(b"250 hello\r\n", piece=1)
    assert (port.server.received, client.received) == (b"EHLO me\r\n", b"250 hello\r\n")
    ticket = port.stacks.ticket("")
    assert (ticket.bytes_in, ticket.bytes_out, ticket.streams, ticket.in_flight, ticket.requests) == (9, 11, 1, 1, 1)
    assert port.dialled == ["10.0.0.1"]


def test_a_server_may_speak_first() -> None:
    port = Port("tcp")
    client = port.client()
    port.server.send(b"220 ready\r\n")
    assert client.received == b"220 ready\r\n"


def test_what_comes_while_it_starts_is_held_and_passed_on_first() -> None:
    port = Port("tcp", warm=False)
    client = port.client("192.0.2.9")
    client.send(b"one ")
    client.send(b"two ")
    assert port.dialled == []
    port.stacks.wake()
    client.send(b"three")
    assert port.server.received == b"one two three"
    assert port.stacks.asked == [(KEY, "192.0.2.9")]


def test_what_is_held_is_bounded() -> None:
    port = Port("tcp", TcpSettings(buffer=1000), warm=False)
    client = port.client()
    client.send(b"x" * 3000, piece=400)
    assert not client.transport.reading
    [held] = port.front.clients
    assert len(held.held) == 1200
    port.stacks.wake()
    port.clock.advance(0)
    assert port.server.received == b"x" * 3000


@pytest.mark.failure(20)
def test_a_slow_reader_slows_down_who_writes_to_it_either_way() -> None:
    port = Port("tcp")
    client = port.client()
    for reader, writer in ((client, port.server), (port.server, client)):
        reader.transport.take(False)
        writer.send(b"x" * 10 * FULL)
        assert not writer.transport.reading
        assert len(reader.transport.pending) <= 2 * FULL, "what is written waits at the writer's"
        reader.transport.take()
        port.clock.advance(0)
        assert reader.received == b"x" * 10 * FULL


def test_who_has_said_everything_may_still_listen() -> None:
    port = Port("tcp")
    client = port.client()
    client.send(b"question")
    client.finish()
    assert port.server.transport.finished
    assert not port.server.transport.gone
    port.server.send(b"answer")
    port.server.finish()
    port.clock.advance(0)
    assert client.received == b"answer"
    assert client.closed
    assert port.server.closed
    assert port.stacks.ticket("").streams == 0


def test_a_question_that_is_whole_before_the_stack_is_ready_is_answered() -> None:
    port = Port("tcp", warm=False)
    client = port.client()
    client.send(b"question")
    client.finish()
    port.stacks.wake()
    port.clock.advance(0)
    assert port.server.received == b"question"
    assert port.server.transport.finished
    port.server.send(b"answer")
    assert client.received == b"answer"


def test_a_server_that_has_said_everything_still_listens() -> None:
    port = Port("tcp")
    client = port.client()
    port.server.send(b"all of it")
    port.server.finish()
    assert client.transport.finished
    client.send(b"thanks")
    assert port.server.received == b"thanks"
    client.finish()
    port.clock.advance(0)
    assert port.server.transport.gone
    assert client.transport.gone


def test_a_server_that_breaks_off_is_not_taken_for_one_that_has_said_all() -> None:
    port = Port("tcp")
    client = port.client()
    port.server.send(b"half of")
    port.server.break_off()
    assert client.reset


def test_a_client_that_breaks_off_takes_its_server_along() -> None:
    port = Port("tcp")
    client = port.client()
    client.break_off()
    assert port.server.transport.gone
    ticket = port.stacks.ticket("")
    assert (ticket.streams, ticket.in_flight) == (0, 0)
    assert not port.front.clients


@pytest.mark.parametrize("how", ["finish", "break_off"])
def test_who_leaves_while_it_waits_frees_its_place_at_once(how: str) -> None:
    port = Port("tcp", warm=False)
    getattr(port.client(), how)()
    assert port.stacks.given_up == 1
    assert not port.front.clients


@pytest.mark.parametrize("how", ["finish", "break_off"])
def test_who_leaves_while_its_server_is_connected_to_gives_that_up(how: str) -> None:
    port = Port("tcp")
    port.hangs = True
    getattr(port.client(), how)()
    assert port.hung_up == 1
    ticket = port.stacks.ticket("")
    assert (ticket.streams, ticket.in_flight) == (0, 0)
    assert port.stacks.reported == []


def test_who_cannot_be_told_anything_is_held_and_then_closed() -> None:
    port = Port("tcp", warm=False)
    client = port.client()
    client.send(b"x")
    port.wait(60)
    assert not client.closed
    port.stacks.refuse(StartTimeout(KEY, 60, "starting", retry_after=5))
    port.clock.advance(0)
    assert client.closed
    assert not client.reset
    assert client.received == b""
    assert port.front.counted().refusals == {("tcp", "start-timeout"): 1}


def test_a_server_that_refuses_is_reported_and_tried_again_at_growing_intervals() -> None:
    port = Port("tcp")
    port.refuses = 3
    client = port.client()
    client.send(b"x")
    port.wait(0.1)
    assert len(port.dialled) == 2
    port.wait(0.16)
    port.wait(0.3)
    assert len(port.dialled) == 4
    assert port.stacks.reported == [KEY] * 3
    assert port.server.received == b"x"
    ticket = port.stacks.ticket("")
    assert (ticket.streams, ticket.in_flight) == (1, 1)


def test_it_is_tried_again_for_as_long_as_a_start_may_take() -> None:
    port = Port("tcp", TcpSettings(start_timeout=20))
    port.refuses = 1000
    client = port.client()
    port.wait(14)
    assert not client.closed
    port.wait(10)
    assert client.closed
    assert 5 < len(port.dialled) < 15
    assert not port.stacks.ticket("").in_flight


def test_a_server_that_does_not_answer_is_given_up_and_tried_again() -> None:
    port = Port("tcp", TcpSettings(connect_timeout=5))
    port.hangs = True
    client = port.client()
    port.wait(4.9)
    port.hangs = False
    port.wait(0.3)
    assert (port.hung_up, len(port.dialled)) == (1, 2)
    client.send(b"x")
    assert port.server.received == b"x"


@pytest.mark.failure(9)
def test_a_session_counts_as_a_stream_and_each_byte_moves_its_time() -> None:
    port = Port("tcp")
    port.clock.advance(100)
    client = port.client()
    ticket = port.stacks.ticket("")
    assert (ticket.streams, ticket.last_byte) == (1, 100)
    port.clock.advance(50)
    client.send(b"x")
    assert ticket.last_byte == 150
    port.clock.advance(50)
    port.server.send(b"y")
    assert ticket.last_byte == 200


def test_a_byte_for_a_stack_that_was_put_to_sleep_asks_for_it_once() -> None:
    port = Port("tcp")
    client = port.client()
    ticket = port.stacks.ticket("")
    ticket.open, port.stacks.warm = False, False
    before = len(port.stacks.asked)
    client.send(b"abc", piece=1)
    assert port.stacks.asked[before:] == [(KEY, "")]
    assert port.server.received == b"abc"
    ticket.open = True
    port.stacks.wake()
    client.send(b"d")
    assert len(port.stacks.asked) == before + 1


def test_only_so_many_of_one_address_and_in_all() -> None:
    port = Port("tcp", TcpSettings(max_connections=3, max_connections_per_client=2))
    clients = [port.client("192.0.2.1") for _ in range(3)]
    assert [client.closed for client in clients] == [False, False, True]
    clients[0].break_off()
    clients[2].break_off()
    assert [port.client(f"192.0.2.{number}").closed for number in (1, 2, 3)] == [False, False, True]


def test_a_balancer_says_who_the_client_is() -> None:
    port = Port("tcp", TcpSettings(proxy_protocol=(ip_network("10.0.0.0/8"),)), warm=False)
    client = port.client("10.1.1.1")
    client.send(b"PROXY TCP4 192.0.2.33 10.0.0.1 4000 25\r\nEHLO", piece=1)
    assert port.stacks.asked == [(KEY, "192.0.2.33")]
    port.stacks.wake()
    assert port.server.received == b"EHLO"


def test_what_comes_with_the_header_of_a_balancer_is_passed_on_even_if_the_server_is_there_at_once() -> None:
    port = Port("tcp", TcpSettings(proxy_protocol=(ip_network("10.0.0.0/8"),)))
    port.client("10.1.1.1").send(b"PROXY TCP4 192.0.2.33 10.0.0.1 4000 25\r\nEHLO")
    assert port.server.received == b"EHLO"


def test_a_balancer_that_says_nothing_is_not_believed() -> None:
    port = Port("tcp", TcpSettings(proxy_protocol=(ip_network("10.0.0.0/8"),)))
    wrong, silent = port.client("10.1.1.1"), port.client("10.1.1.1")
    wrong.send(b"EHLO me\r\n")
    assert wrong.reset
    port.wait(11)
    assert silent.reset
    assert port.dialled == []


class TestTheEnd:
    def test_sessions_may_go_on_until_the_grace_is_over(self) -> None:
        port = Port("tcp", TcpSettings(grace=30))
        client = port.client()
        stopped: list[None] = []
        port.front.stop().addCallback(stopped.append)
        assert port.door.buildProtocol(None) is None
        port.wait(29)
        client.send(b"x")
        assert port.server.received == b"x"
        port.wait(2)
        assert client.reset
        assert stopped == [None]
        assert not port.clock.getDelayedCalls()

    def test_who_waits_is_let_go_at_once(self) -> None:
        port = Port("tcp", warm=False)
        client = port.client()
        stopped: list[None] = []
        port.front.stop().addCallback(stopped.append)
        assert client.closed
        assert port.stacks.given_up == 1
        client.finish()
        assert stopped == [None]

    def test_who_retires_waits_for_the_last_to_leave(self) -> None:
        port = Port("tcp")
        client = port.client()
        retired: list[None] = []
        port.front.retire().addCallback(retired.append)
        port.wait(3600)
        assert retired == []
        client.send(b"x")
        client.break_off()
        assert retired == [None]
        assert not port.clock.getDelayedCalls()

    def test_a_server_that_takes_nothing_is_not_waited_for_long(self) -> None:
        port = Port("tcp", TcpSettings(flush_timeout=10))
        client = port.client()
        port.server.transport.take(False)
        client.send(b"x")
        client.break_off()
        port.wait(5)
        assert not port.server.transport.gone
        port.wait(6)
        assert port.server.transport.gone


def test_a_fault_of_ours_is_logged_and_closes(clean_reactor: list) -> None:
    port = Port("tcp", warm=False)
    client = port.client()
    port.stacks.refuse(ZeroDivisionError("ours"))
    port.clock.advance(0)
    assert client.closed
    [fault] = clean_reactor
    assert fault.check(ZeroDivisionError)
    clean_reactor.clear()
