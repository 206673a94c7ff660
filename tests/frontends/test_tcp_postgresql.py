"""PostgreSQL's front door: who is on the list is led to a server of his own, and everybody else is told so in his protocol."""

from __future__ import annotations

from typing import Any

import pytest
from twisted.internet.defer import Deferred

from grandcentral.core.keys import Key
from grandcentral.core.model import LogTail
from grandcentral.errors import (
    AmbiguousVersion,
    Asleep,
    AtCapacity,
    BackendUnavailable,
    Mishap,
    OutOfHours,
    Refusal,
    StartFailed,
    StartTimeout,
    TooManyStarts,
)
from grandcentral.frontends.tcp import TcpSettings
from tests.wire.test_postgresql import GSSENC_REQUEST, HELLO, PSQL, SSL_REQUEST, cancel, fields, startup

from .tcp_rig import Peer, Port

KEY = Key("db", "alice")
AUTHENTICATION_OK = b"R\0\0\0\x08\0\0\0\0"
READY = b"Z\0\0\0\x05I"


def message(kind: bytes, body: bytes) -> bytes:
    return kind + (4 + len(body)).to_bytes(4, "big") + body


def error(sqlstate: str) -> bytes:
    return message(b"E", b"SFATAL\0VFATAL\0C" + sqlstate.encode() + b"\0Msome words\0\0")


def key_data(process: int, secret: bytes) -> bytes:
    return message(b"K", process.to_bytes(4, "big") + secret)


def session(port: Port, user: str = "alice", process: int = 7, secret: bytes = b"abcd", piece: int = 0) -> tuple[Peer, Peer]:
    """Both ends of a session that is ready for queries."""
    client = port.client()
    client.send(startup((b"user", user.encode())), piece)
    server = port.server
    server.send(AUTHENTICATION_OK + message(b"S", b"K\0K\0") + key_data(process, secret) + READY, piece)
    return client, server


def refused(client: Peer) -> dict[str, str]:
    """What a client was told that was then closed."""
    assert client.transport.finished
    assert not client.reset
    return fields(client.received.removeprefix(b"N"))


@pytest.mark.failure(18)
class TestWhoIsLedWhere:
    def test_a_client_in_single_bytes_is_led_to_its_own_server(self) -> None:
        port = Port("postgresql")
        client = port.client()
        client.send(SSL_REQUEST, piece=1)
        assert client.received == b"N"
        client.send(GSSENC_REQUEST, piece=1)
        assert client.received == b"NN"
        client.send(PSQL, piece=1)
        assert port.dialled == ["10.0.0.2"]
        assert port.server.received == PSQL
        port.server.send(AUTHENTICATION_OK, piece=1)
        assert client.received == b"NN" + AUTHENTICATION_OK

    @pytest.mark.parametrize(
        "user",
        [
            *(b"carol", b"169.254.169.254", b"postgres.internal", b"'alice'", b'"alice"', b"Alice", b"ALICE", b" alice"),
            *(b"alice ", b"alice.", b"10.0.0.2", b"localhost", b"alice@db", b"../alice", b"alice/x", b"db/alice", b"a" * 64),
            b"\xffalice",
        ],
    )
    def test_a_name_that_is_not_on_the_list_contacts_nobody(self, user: bytes) -> None:
        port = Port("postgresql")
        client = port.client()
        client.send(startup((b"user", user), (b"database", b"alice")))
        told = refused(client)
        assert (told["S"], told["C"], told["M"]) == ("FATAL", "28000", "This user has no database here.")
        assert port.dialled == []
        assert {key.app for key, _ in port.stacks.asked} <= {"db"}

    def test_no_user_and_tls_at_once_contact_nobody(self) -> None:
        port = Port("postgresql")
        for first in (startup((b"database", b"alice")), HELLO, b"GET / HTTP/1.1\r\n\r\n"):
            client = port.client()
            client.send(first)
            assert client.closed
        assert (port.dialled, port.stacks.asked) == ([], [])


def test_a_cold_server_is_waited_for_and_gets_the_message_to_the_byte() -> None:
    port = Port("postgresql", warm=False)
    client = port.client("192.0.2.8")
    client.send(PSQL)
    port.wait(60)
    assert not client.closed
    assert port.stacks.asked == [(KEY, "192.0.2.8")]
    port.stacks.wake()
    assert port.server.received == PSQL


@pytest.mark.parametrize(
    ("why", "sqlstate", "says"),
    [
        (AtCapacity(2, "all are in use", retry_after=5), "53300", "no room"),
        (TooManyStarts("192.0.2.7", 3, retry_after=9), "53300", "more than 3 stacks"),
        (StartTimeout(KEY, 60, "pulling images", retry_after=5), "57P03", "not ready after 60 s (pulling images)"),
        (Asleep(KEY, retry_after=30), "57P03", "asleep"),
        (OutOfHours(KEY, "Mon-Fri 07:00-20:00", retry_after=3600), "57P03", "only within Mon-Fri"),
        (BackendUnavailable("Docker does not answer.", retry_after=5), "57P03", "Docker does not answer."),
        (AmbiguousVersion("abcdef0", ("abcdef01", "abcdef02")), "28000", "could be any of abcdef01"),
        (StartFailed(KEY, Mishap("it exited with 1.")), "58000", "it exited with 1."),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, Refusal) else "",
)
@pytest.mark.failure(13)
def test_who_cannot_be_served_is_told_why_in_the_protocol(why: Refusal, sqlstate: str, says: str) -> None:
    port = Port("postgresql", warm=False)
    client = port.client()
    client.send(PSQL)
    port.stacks.refuse(why)
    port.clock.advance(0)
    told = refused(client)
    assert told["C"] == sqlstate
    assert says in told["M"]
    assert port.front.counted().refusals == {("postgresql", why.type): 1}
    if why.retry_after:
        assert f"{why.retry_after:.0f} s" in told["H"]


def test_who_cannot_be_served_since_a_start_failed_sees_the_last_lines() -> None:
    port = Port("postgresql", warm=False)
    client = port.client()
    client.send(PSQL)
    logs = (LogTail("db", ("reading the disk", "no room on device")),)
    port.stacks.refuse(StartFailed(KEY, Mishap("db exited with 1.", logs=logs)))
    port.clock.advance(0)
    assert refused(client)["H"].splitlines() == ["The last lines of db:", "reading the disk", "no room on device"]


def test_the_last_word_is_not_overtaken_by_a_reset() -> None:
    port = Port("postgresql", TcpSettings(linger=3))
    client = port.client()
    client.transport.take(False)
    client.send(startup((b"user", b"carol")) + b"and more, which nobody reads")
    port.wait(20)
    assert not client.closed
    client.transport.take()
    port.clock.advance(0)
    assert fields(client.received)["C"] == "28000"
    client.send(b"more")
    port.wait(5)
    assert client.transport.gone
    assert not client.reset


def test_who_does_not_say_who_it_is_is_told_so_after_ten_seconds_in_all() -> None:
    port = Port("postgresql")
    client = port.client()
    for at in range(9):
        client.send(PSQL[at : at + 1])
        port.wait(1)
    assert not client.closed
    port.wait(2)
    assert refused(client)["M"] == "No start-up message has come within 10 s."
    assert port.stacks.asked == []


def test_who_waits_for_a_start_has_as_long_as_the_start() -> None:
    port = Port("postgresql", warm=False)
    client = port.client()
    client.send(PSQL)
    port.wait(119)
    assert not client.closed


class TestAServerThatIsNotUp:
    def test_one_that_says_so_is_asked_again_and_the_client_never_hears_of_it(self) -> None:
        port = Port("postgresql")
        client = port.client()
        client.send(PSQL)
        port.server.send(error("57P03"), piece=1)
        assert port.server.transport.gone
        port.wait(0.2)
        assert len(port.servers) == 2
        assert port.server.received == PSQL
        port.server.send(AUTHENTICATION_OK)
        assert client.received == AUTHENTICATION_OK
        ticket = port.stacks.ticket()
        assert (ticket.streams, ticket.in_flight) == (1, 1)

    @pytest.mark.parametrize("how", ["finish", "break_off"])
    def test_one_that_closes_without_a_word_is_asked_again(self, how: str) -> None:
        port = Port("postgresql")
        client = port.client()
        client.send(PSQL)
        getattr(port.server, how)()
        port.wait(0.2)
        port.server.send(AUTHENTICATION_OK)
        assert client.received == AUTHENTICATION_OK
        assert port.stacks.reported == [KEY]

    def test_one_that_has_other_reasons_is_believed(self) -> None:
        port = Port("postgresql")
        client = port.client()
        client.send(PSQL)
        port.server.send(error("28P01"))
        port.server.finish()
        port.clock.advance(0)
        assert client.received == error("28P01")
        assert client.closed
        assert len(port.servers) == 1

    def test_who_is_never_served_is_told_so_in_the_end(self) -> None:
        port = Port("postgresql", TcpSettings(start_timeout=10))
        client = port.client()
        client.send(PSQL)
        for _ in range(30):
            if not client.closed and not port.server.transport.gone:
                port.server.send(error("57P03"))
            port.wait(1)
        told = refused(client)
        assert told["C"] == "08006"
        assert "cannot take connections yet" in told["M"]

    def test_it_is_let_go_when_its_client_leaves_before_it_says_anything(self) -> None:
        port = Port("postgresql")
        client = port.client()
        client.send(PSQL)
        client.finish()
        assert port.server.transport.gone
        assert port.stacks.ticket().in_flight == 0


def test_a_client_that_leaves_takes_its_silent_server_with_it() -> None:
    port = Port("postgresql")
    client, server = session(port)
    client.send(message(b"Q", b"SELECT pg_sleep(1000)\0"))
    client.finish()
    assert server.transport.gone
    assert port.stacks.ticket().streams == 0


def test_a_server_that_breaks_off_after_its_last_word_does_not_take_that_back() -> None:
    port = Port("postgresql")
    client, server = session(port)
    server.send(error("57P01"))
    server.break_off()
    assert client.received.endswith(error("57P01"))
    assert client.closed
    assert not client.reset


@pytest.mark.failure(18)
class TestCancel:
    @pytest.mark.parametrize("piece", [1, 0])
    def test_it_reaches_the_server_of_the_session_and_is_not_answered(self, piece: int) -> None:
        port = Port("postgresql")
        session(port, "bob", 7, b"abcd", piece)
        client = port.client()
        client.send(cancel(7, b"abcd"), piece)
        assert port.dialled == ["10.0.0.3", "10.0.0.3"]
        assert port.server.received == cancel(7, b"abcd")
        assert not client.closed
        port.server.finish()
        port.clock.advance(0)
        assert client.closed
        assert client.received == b""

    def test_process_numbers_repeat_and_the_secret_tells_sessions_apart(self) -> None:
        port = Port("postgresql")
        session(port, "alice", 7, b"abcd")
        session(port, "bob", 7, b"efgh")
        port.client().send(cancel(7, b"efgh"))
        assert port.dialled[2:] == ["10.0.0.3"]

    def test_servers_that_call_all_sessions_the_same_stop_nothing_of_each_other(self) -> None:
        """Some stand-ins for PostgreSQL tell 0 and 0: whose session is meant cannot be known, until one is left."""
        port = Port("postgresql")
        session(port, "alice", 0, b"\0\0\0\0")
        bob, _ = session(port, "bob", 0, b"\0\0\0\0")
        one = port.client()
        one.send(cancel(0, b"\0\0\0\0"))
        assert port.dialled == ["10.0.0.2", "10.0.0.3"]
        assert one.closed
        bob.finish()
        port.client().send(cancel(0, b"\0\0\0\0"))
        assert port.dialled[2:] == ["10.0.0.2"]

    def test_a_long_secret_of_a_newer_protocol(self) -> None:
        port = Port("postgresql")
        session(port, "alice", 7, bytes(range(256)))
        client = port.client()
        client.send(SSL_REQUEST)  # as libpq 17 does
        client.send(cancel(7, bytes(range(256))))
        assert port.server.received == cancel(7, bytes(range(256)))

    @pytest.mark.parametrize("request_", [cancel(7, b"abce"), cancel(8, b"abcd")])
    def test_one_for_a_session_that_there_is_not_contacts_nobody(self, request_: bytes) -> None:
        port = Port("postgresql")
        session(port)
        client = port.client()
        client.send(request_)
        assert len(port.dialled) == 1
        assert client.closed
        assert client.received == b""

    def test_one_for_a_session_that_is_over_contacts_nobody(self) -> None:
        port = Port("postgresql")
        client, _ = session(port)
        client.finish()
        port.client().send(cancel(7, b"abcd"))
        assert len(port.dialled) == 1

    def test_what_looks_like_a_key_in_the_text_of_a_later_message_is_none(self) -> None:
        port = Port("postgresql")
        _, server = session(port)
        server.send(message(b"D", key_data(9, b"evil")) + key_data(9, b"evil"))
        port.client().send(cancel(9, b"evil"))
        assert len(port.dialled) == 1

    def test_a_session_of_another_process_is_asked_for_there(self) -> None:
        port = Port("postgresql")
        asked: list[Any] = []
        over: Deferred[None] = Deferred()

        def elsewhere(key: Any, request: bytes) -> Deferred[None]:
            asked.append((key.process, key.secret, request))
            return over

        port.front.elsewhere = elsewhere
        client = port.client()
        client.send(cancel(7, b"abcd"))
        assert asked == [(7, b"abcd", cancel(7, b"abcd"))]
        assert not client.closed
        over.callback(None)
        port.clock.advance(0)
        assert client.closed

    def test_a_server_that_does_not_take_it_is_given_up(self) -> None:
        port = Port("postgresql", TcpSettings(cancel_timeout=10))
        session(port)
        port.hangs = True
        client = port.client()
        client.send(cancel(7, b"abcd"))
        port.wait(11)
        assert port.hung_up == 1
        assert client.closed


def test_a_fault_of_ours_has_a_number_that_the_log_knows(clean_reactor: list) -> None:
    port = Port("postgresql", warm=False)
    client = port.client()
    client.send(PSQL)
    port.stacks.refuse(ZeroDivisionError("ours"))
    port.clock.advance(0)
    told = refused(client)
    assert told["C"] == "XX000"
    assert "ours" not in told["M"]
    clean_reactor.clear()
