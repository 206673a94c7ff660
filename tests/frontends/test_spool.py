"""Bodies of requests that wait for a start: taken from the client, put aside, and sent when there is an application."""

from __future__ import annotations

import errno
import itertools
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.logger import globalLogPublisher

from grandcentral import events
from grandcentral.core.keys import Key
from grandcentral.core.model import Endpoint
from grandcentral.errors import UnknownVersion
from grandcentral.frontends.http import spool as spools
from grandcentral.frontends.http.settings import HttpSettings
from grandcentral.frontends.http.spool import Spool, Spools

from .rig import FULL, HOST, OK, Gateway, Peer, get, read_chunks, split_request

KIB = 1024
MIB = 1024 * KIB
KEY = Key("app", "abc")
BODY = bytes(range(256)) * 4096 * 8  # 8 MiB
SMALL = HttpSettings(max_held_body=100 * KIB, spool_above=10 * KIB)


def post(size: int, method: bytes = b"POST", *fields: bytes) -> bytes:
    return get(b"/", b"Content-Length: %d" % size, *fields, method=method)


def chunked(body: bytes, chunk: int = 100_000, trailers: bytes = b"") -> bytes:
    pieces = [body[at : at + chunk] for at in range(0, len(body), chunk)]
    return b"".join(b"%x\r\n%b\r\n" % (len(piece), piece) for piece in pieces) + b"0\r\n" + trailers + b"\r\n"


CHUNKED = get(b"/", b"Transfer-Encoding: chunked", method=b"POST")


def held(request: bytes, settings: HttpSettings | None = None) -> tuple[Gateway, Peer]:
    gateway = Gateway(settings, cold=True)
    client = gateway.client()
    client.send(request)
    return gateway, client


def buffered(gateway: Gateway) -> int:
    [client] = gateway.front.clients
    return len(client.buffer)


# -- while it waits --------------------------------------------------------------------------------------------------------


def test_a_large_body_is_read_on_and_only_its_beginning_stays_in_memory() -> None:
    gateway, client = held(post(len(BODY)))
    for at in range(0, len(BODY), 32 * KIB):
        client.send(BODY[at : at + 32 * KIB])
        assert client.transport.reading
        assert buffered(gateway) < 64 * KIB
    assert gateway.front.spools.taken == len(BODY)
    gateway.stacks.wake()
    assert split_request(gateway.origin[0].received)[2] == BODY
    assert gateway.front.spools.taken == 0
    gateway.origin[0].send(OK)
    assert client.answer().body == b"ok"
    assert not client.closed


def test_a_small_body_touches_no_disk() -> None:
    gateway, _ = held(post(60 * KIB) + BODY[: 60 * KIB])
    assert gateway.front.spools.taken == 0
    gateway.stacks.wake()
    assert split_request(gateway.origin[0].received)[2] == BODY[: 60 * KIB]


@pytest.mark.parametrize("leaves", ["finish", "break_off"])
@pytest.mark.parametrize("sent", [0, 32 * KIB, MIB, len(BODY)])
def test_a_client_that_leaves_is_noticed_at_once_however_much_it_has_sent(leaves: str, sent: int) -> None:
    gateway, client = held(post(len(BODY)) + BODY[:sent])
    getattr(client, leaves)()
    assert gateway.stacks.cancelled == 1
    assert gateway.front.connections == 0
    assert gateway.front.spools.taken == 0


def test_what_comes_after_the_start_follows_what_came_before() -> None:
    gateway, client = held(post(len(BODY)) + BODY[: 3 * MIB])
    gateway.stacks.wake()
    assert gateway.front.spools.taken == 0
    for at in range(3 * MIB, len(BODY), MIB):
        client.send(BODY[at : at + MIB])
        assert split_request(gateway.origin[0].received)[2] == BODY[: at + MIB]


def test_it_is_sent_as_the_application_takes_it_and_the_client_waits_meanwhile() -> None:
    gateway, client = held(post(len(BODY)) + BODY[: 4 * MIB])
    gateway.takes = False
    gateway.stacks.wake()
    [origin] = gateway.origin
    client.send(BODY[4 * MIB :])
    assert not client.transport.reading
    assert buffered(gateway) <= 2 * FULL
    for _ in range(200):
        assert len(origin.transport.pending) < 4 * FULL
        origin.transport.take(True)
        origin.transport.take(False)
        gateway.clock.advance(0)
    origin.transport.take(True)
    assert split_request(origin.received)[2] == BODY
    assert client.transport.reading


@pytest.mark.parametrize("chunk", [1000, 100_000, 3 * MIB])
@pytest.mark.parametrize("before", [0.3, 1.0])
def test_a_chunked_body_arrives_whole_with_its_trailers(chunk: int, before: float) -> None:
    sent = chunked(BODY[:MIB], chunk, b"X-Sum: 1\r\n")
    cut = int(len(sent) * before)
    gateway, client = held(CHUNKED + sent[:cut])
    assert gateway.front.spools.taken > 64 * KIB
    gateway.stacks.wake()
    client.send(sent[cut:])
    received = split_request(gateway.origin[0].received)[2]
    assert read_chunks(received) == (BODY[:MIB], b"")
    assert received.endswith(b"0\r\nX-Sum: 1\r\n\r\n")


@pytest.mark.parametrize("framed", [post(MIB) + BODY[:MIB], CHUNKED + chunked(BODY[:MIB])], ids=["length", "chunked"])
def test_requests_behind_it_wait_their_turn(framed: bytes) -> None:
    gateway, client = held(framed + get(b"/2") + post(5, b"PUT") + b"three" + get(b"/4") * 5000)
    assert not client.transport.reading
    assert gateway.front.spools.taken >= MIB
    gateway.stacks.wake()
    [origin] = gateway.origin
    for _ in range(5003):
        origin.send(OK)
    assert origin.received.count(b"GET /2 HTTP/1.1\r\n") == 1
    assert origin.received.count(b"\r\n\r\nthreeGET /4 HTTP/1.1\r\n") == 1
    assert len(client.answers()) == 5003
    assert client.transport.reading


def test_a_body_that_is_broken_is_refused_while_it_waits() -> None:
    gateway, client = held(CHUNKED + b"%x\r\n" % MIB + BODY[:MIB] + b"no chunk\r\n")
    client.send(b"x")
    assert client.answer().status == 400
    assert client.closed
    assert gateway.stacks.cancelled == 1
    assert gateway.front.spools.taken == 0


def test_a_refusal_costs_the_connection_only_if_the_body_is_not_all_here() -> None:
    for sent, closes in ((MIB, False), (MIB - 1, True)):
        gateway, client = held(post(MIB) + BODY[:sent])
        gateway.stacks.refuse(UnknownVersion(KEY, "x"))
        assert client.answer().status == 404
        assert client.closed == closes
        assert gateway.front.spools.taken == 0


@settings(deadline=None)
@given(
    sizes=st.lists(st.integers(0, 3000), min_size=1, max_size=3),
    chunks=st.lists(st.integers(1, 1500), min_size=3, max_size=3),
    cuts=st.lists(st.integers(0, 10_000), max_size=8),
    wakes=st.integers(0, 8),
    takes=st.lists(st.booleans(), max_size=8),
    small=st.integers(1, 2000),
)
def test_however_it_is_cut_and_whenever_the_stack_wakes_the_application_gets_what_was_sent(
    sizes: list[int], chunks: list[int], cuts: list[int], wakes: int, takes: list[bool], small: int
) -> None:
    bodies = [bytes([65 + number]) * size for number, size in enumerate(sizes)]
    requests = [
        (post(len(body), b"PUT") + body) if chunk % 2 else CHUNKED.replace(b"POST", b"PUT") + chunked(body, chunk)
        for body, chunk in zip(bodies, chunks, strict=False)
    ]
    data = b"".join(requests)
    places = sorted({cut % (len(data) + 1) for cut in cuts} | {0, len(data)})
    gateway = Gateway(HttpSettings(spool_above=small, buffer=small), cold=True)
    client = gateway.client()
    gateway.takes = all(takes)
    for number, (start, end) in enumerate(itertools.pairwise(places)):
        if number == wakes:
            gateway.stacks.wake()
        client.transport.deliver(data[start:end])
        gateway.clock.advance(0)
        for origin in gateway.origin:
            origin.transport.take(number >= len(takes) or takes[number])
    gateway.takes = True
    gateway.stacks.wake()
    for body in bodies:
        gateway.clock.pump([0] * 5)
        [origin] = gateway.origin
        origin.transport.take(True)
        gateway.clock.pump([0] * 5)
        received = split_request(origin.received.rpartition(b"PUT / ")[2])[2]
        assert (read_chunks(received)[0] if b"Transfer-Encoding" in origin.received else received) == body
        origin.transport.sent.clear()
        origin.send(OK)
    assert [answer.status for answer in client.answers()] == [200] * len(bodies)
    assert gateway.front.spools.taken == 0


# -- what is too large -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("expects", [(), (b"Expect: 100-continue",)], ids=["", "expects 100"])
def test_a_length_that_is_too_large_is_413_at_once_and_the_start_goes_on(expects: tuple[bytes, ...]) -> None:
    gateway, client = held(post(100 * KIB + 1, b"POST", *expects), SMALL)
    answer = client.answer()
    assert answer.status == 413
    assert b'"/problems/body-too-large"' in answer.body
    assert answer["retry-after"] == b"5"
    assert answer["connection"] == b"close"
    client.send(b"x" * 200 * KIB)
    assert not client.reset
    client.finish()
    assert client.transport.gone
    assert gateway.stacks.cancelled == 1
    assert gateway.origin == []


def test_as_large_as_it_may_be_is_held() -> None:
    gateway, client = held(post(100 * KIB) + BODY[: 100 * KIB], SMALL)
    gateway.stacks.wake()
    gateway.origin[0].send(OK)
    assert client.answer().status == 200


@pytest.mark.parametrize("size", [100 * KIB, 100 * KIB + 1])
@pytest.mark.parametrize("chunk", [10, 70_000])
def test_a_chunked_body_is_too_large_when_so_much_of_it_has_come(size: int, chunk: int) -> None:
    gateway, client = held(CHUNKED, SMALL)
    client.send(chunked(BODY[:size], chunk))
    if size > 100 * KIB:
        assert client.answer().status == 413
        assert client.closed
        assert gateway.stacks.cancelled == 1
    else:
        gateway.stacks.wake()
        gateway.origin[0].send(OK)
        assert read_chunks(split_request(gateway.origin[0].received)[2])[0] == BODY[:size]
        assert client.answer().status == 200


def test_less_may_be_allowed_than_is_kept_in_memory() -> None:
    _, client = held(CHUNKED + chunked(b"x" * 2000), HttpSettings(max_held_body=1000))
    assert client.answer().status == 413


def test_http_1_0() -> None:
    request = b"POST / HTTP/1.0\r\nHost: " + HOST + b"\r\nContent-Length: %d\r\n\r\n"
    _, client = held(request % (101 * KIB), SMALL)
    assert client.answer().status == 413
    gateway, client = held(request % (99 * KIB) + BODY[: 99 * KIB], SMALL)
    gateway.stacks.wake()
    assert split_request(gateway.origin[0].received)[2] == BODY[: 99 * KIB]
    gateway.origin[0].send(OK)
    assert client.answer().status == 200
    assert client.closed


def test_without_a_limit_and_without_a_start_there_is_none() -> None:
    gateway, client = held(post(10 * MIB) + bytes(10 * MIB), HttpSettings(max_held_body=0))
    gateway.stacks.wake()
    gateway.origin[0].send(OK)
    assert client.answer().status == 200
    warm = Gateway(SMALL)
    client = warm.client()
    client.send(post(MIB) + BODY[:MIB])
    warm.origin[0].send(OK)
    assert client.answer().status == 200


def test_who_expects_100_gets_none_until_the_application_says_so() -> None:
    gateway, client = held(post(MIB, b"POST", b"Expect: 100-continue"))
    assert client.received == b""
    gateway.stacks.wake()
    [origin] = gateway.origin
    origin.send(b"HTTP/1.1 100 Continue\r\n\r\n")
    client.send(BODY[:MIB])
    origin.send(OK)
    assert [answer.status for answer in client.answers()] == [100, 200]
    assert split_request(origin.received)[2] == BODY[:MIB]


# -- where the disk has no room --------------------------------------------------------------------------------------------


def test_when_all_together_hold_enough_clients_wait_until_they_may_send() -> None:
    gateway = Gateway(HttpSettings(max_held_bodies=MIB), cold=True)
    first, second = gateway.client(), gateway.client()
    first.send(post(len(BODY)))
    first.transport.deliver(BODY)
    second.send(post(MIB))
    second.transport.deliver(BODY[:MIB])
    assert not first.transport.reading
    assert not second.transport.reading
    assert gateway.front.spools.taken < MIB + 2 * FULL
    gateway.stacks.wake()
    gateway.clock.advance(0)
    bodies = sorted((split_request(origin.received)[2] for origin in gateway.origin), key=len)
    assert bodies == [BODY[:MIB], BODY]


@pytest.fixture
def logged() -> Iterator[list[dict[str, Any]]]:
    seen: list[dict[str, Any]] = []
    globalLogPublisher.addObserver(seen.append)
    yield seen
    globalLogPublisher.removeObserver(seen.append)


@pytest.fixture
def full_disk(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many bytes are free."""
    free = [100_000]
    write = os.pwrite

    def pwrite(file: int, data: bytes, at: int) -> int:
        if not free[0]:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        written = write(file, data[: free[0]], at)
        free[0] -= written
        return written

    monkeypatch.setattr(spools.os, "pwrite", pwrite)
    return free


def test_a_disk_that_is_full_loses_nothing_and_is_told_of_once(full_disk: list[int], logged: list[dict[str, Any]]) -> None:
    gateway = Gateway(cold=True)
    clients = [gateway.client() for _ in range(3)]
    for client in clients:
        client.send(post(len(BODY)))
        client.transport.deliver(BODY)
        assert not client.transport.reading
    assert gateway.front.spools.taken == 100_000
    gateway.stacks.wake()
    gateway.clock.advance(0)
    assert [split_request(origin.received)[2] for origin in gateway.origin] == [BODY] * 3
    [event] = [event for event in logged if event["log_format"] == events.BODY_NOT_SPOOLED]
    assert event["why"] == "[Errno 28] No space left on device"


def test_so_does_a_directory_that_is_not_there(tmp_path: Path) -> None:
    gateway, client = held(post(len(BODY)), HttpSettings(spool_directory=str(tmp_path / "none")))
    client.transport.deliver(BODY)
    assert not client.transport.reading
    gateway.stacks.wake()
    gateway.clock.advance(0)
    assert split_request(gateway.origin[0].received)[2] == BODY


def test_files_have_no_name(tmp_path: Path) -> None:
    gateway, _ = held(post(len(BODY)) + BODY, HttpSettings(spool_directory=str(tmp_path)))
    assert gateway.front.spools.taken == len(BODY)
    assert list(tmp_path.iterdir()) == []


# -- applications that fail ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("sent", [len(BODY), 3 * MIB])
def test_it_is_at_hand_for_another_attempt_if_nothing_was_delivered(sent: int) -> None:
    gateway, client = held(post(len(BODY)) + BODY[:sent])
    gateway.refuses = gateway.stacks.cold_when_lost = True
    gateway.stacks.wake()
    assert len(gateway.stacks.reported) == 1
    gateway.refuses = False
    gateway.stacks.wake()
    client.send(BODY[sent:])
    assert split_request(gateway.origin[0].received)[2] == BODY
    gateway.origin[0].send(OK)
    assert client.answer().status == 200


@pytest.mark.parametrize("taken", [True, False], ids=["all of it", "a part"])
def test_what_may_be_repeated_is_sent_again_from_the_beginning(taken: bool) -> None:
    gateway, client = held(post(len(BODY), b"PUT") + BODY)
    gateway.takes = taken
    gateway.stacks.wake()
    gateway.takes = True
    gateway.origin[0].break_off()
    assert split_request(gateway.origin[1].received)[2] == BODY
    gateway.origin[1].send(OK)
    assert client.answer().status == 200
    assert gateway.front.spools.taken == 0


def test_what_may_not_be_is_502() -> None:
    gateway, client = held(post(len(BODY)) + BODY)
    gateway.stacks.wake()
    gateway.origin[0].break_off()
    assert client.answer().status == 502
    assert len(gateway.origin) == 1
    assert gateway.front.spools.taken == 0


def test_what_has_gone_on_from_the_client_is_not_at_hand_any_more() -> None:
    gateway, client = held(post(len(BODY), b"PUT") + BODY[: 3 * MIB])
    gateway.stacks.wake()
    client.send(BODY[3 * MIB : 4 * MIB])
    gateway.origin[0].break_off()
    assert client.answer().status == 502


def test_an_answer_before_the_whole_body_was_sent_ends_the_connection_to_the_application() -> None:
    gateway, client = held(post(len(BODY)) + BODY)
    gateway.takes = False
    gateway.stacks.wake()
    [origin] = gateway.origin
    origin.send(OK)
    assert client.answer().body == b"ok"
    assert origin.closed
    assert gateway.front.pool.idle_count == 0
    assert gateway.front.spools.taken == 0
    assert not client.closed


def test_an_application_that_takes_no_more_is_504() -> None:
    gateway, client = held(post(len(BODY)) + BODY[: 4 * MIB])
    gateway.takes = False
    gateway.stacks.wake()
    gateway.wait(65)
    assert client.answer().status == 504
    assert gateway.stacks.ticket(KEY).in_flight == 0


def test_a_client_that_sends_no_more_after_the_start_is_408() -> None:
    gateway, client = held(post(len(BODY)) + BODY[: 4 * MIB])
    gateway.stacks.wake()
    gateway.wait(65)
    assert client.answer().status == 408


def test_bytes_are_counted_as_they_go_to_the_application() -> None:
    gateway, client = held(post(len(BODY)) + BODY)
    gateway.stacks.wake()
    gateway.origin[0].send(OK)
    assert gateway.stacks.ticket(KEY).bytes_in == len(gateway.origin[0].received)
    assert client.answer().status == 200


def test_an_endpoint_that_is_forgotten_while_it_is_dialled() -> None:
    gateway, client = held(post(len(BODY)) + BODY)
    gateway.slow = []
    gateway.stacks.wake()
    gateway.front.forget(Endpoint("10.0.0.1", 3000))
    client.break_off()
    assert gateway.cancelled_dials == 1
    assert gateway.front.spools.taken == 0


# -- the file --------------------------------------------------------------------------------------------------------------


def test_a_spool_is_read_in_pieces_and_again() -> None:
    spool = Spool(Spools(None, MIB))
    for part in (b"one", b"two", b"three"):
        spool.write(part)
    assert [spool.read(4), spool.read(4), spool.read(4)] == [b"onet", b"woth", b"ree"]
    assert not spool.unread
    spool.rewind()
    assert spool.unread
    assert spool.read(100) == b"onetwothree"
    spool.write(b"four")
    assert spool.read(100) == b"four"
    spool.close()


def test_spools_share_what_they_may_take_and_give_it_back() -> None:
    shared = Spools(None, 10)
    one, two = Spool(shared), Spool(shared)
    one.write(b"1234567")
    assert two.room
    two.write(b"1234567")
    assert (shared.taken, one.room, two.room) == (14, False, False)
    one.close()
    one.close()
    assert (shared.taken, two.room) == (7, True)
    two.close()
    assert shared.taken == 0
