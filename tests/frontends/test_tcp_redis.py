"""Redis' front door: who says a user's name is led to the server of that user, and until then hears what Redis would say."""

from __future__ import annotations

import pytest

from grandcentral.core.keys import Key
from grandcentral.errors import AtCapacity, Mishap, Refusal, StartFailed, StartTimeout
from grandcentral.frontends.tcp import TcpSettings

from .tcp_rig import Port

KEY = Key("db", "alice")


def packed(*words: bytes) -> bytes:
    return b"*%d\r\n" % len(words) + b"".join(b"$%d\r\n%b\r\n" % (len(word), word) for word in words)


AUTH = packed(b"AUTH", b"alice", b"secret")
WRONG_PASS = b"-WRONGPASS invalid username-password pair or user is disabled.\r\n"


@pytest.mark.failure(19)
class TestWhoIsLedWhere:
    @pytest.mark.parametrize("piece", [1, 0])
    @pytest.mark.parametrize(
        "first",
        [
            AUTH,
            packed(b"HELLO", b"3", b"AUTH", b"alice", b"secret"),
            packed(b"hello", b"3", b"SETNAME", b"AUTH", b"auth", b"alice", b"secret"),
            b"AUTH alice secret\r\n",
            b'\r\nauth "alice" \'secret\'\n',
            AUTH + packed(b"PING") + packed(b"GET", b"x"),
        ],
    )
    def test_by_whatever_it_says_who_it_is(self, first: bytes, piece: int) -> None:
        port = Port("redis")
        client = port.client()
        client.send(first, piece)
        assert port.dialled == ["10.0.0.2"]
        port.server.send(b"+OK\r\n")
        assert port.server.received == first.removeprefix(b"\r\n")
        assert client.received == b"+OK\r\n"

    def test_what_it_asks_before_is_answered_in_order_and_goes_no_further(self) -> None:
        port = Port("redis")
        client = port.client()
        client.send(packed(b"PING") + b"GET x\r\n" + AUTH + packed(b"PING"))
        assert client.received == b"-NOAUTH Authentication required.\r\n" * 2
        assert port.server.received == AUTH + packed(b"PING")

    @pytest.mark.parametrize(
        "name", [b"carol", b"Alice", b"169.254.169.254", b"redis.internal", b"'alice'", b"ali\r\nce", b"\xff"]
    )
    def test_a_name_that_is_not_on_the_list_contacts_nobody_and_another_may_follow(self, name: bytes) -> None:
        port = Port("redis")
        client = port.client()
        client.send(packed(b"AUTH", name, b"secret"))
        assert client.received == WRONG_PASS
        assert port.dialled == []
        assert not client.closed
        client.send(AUTH)
        assert port.server.received == AUTH

    def test_a_password_alone_names_nobody(self) -> None:
        port = Port("redis")
        client = port.client()
        client.send(packed(b"AUTH", b"alice"))
        assert client.received.startswith(b"-WRONGPASS A user name is needed here")
        assert port.dialled == []

    def test_tls_is_not_offered(self) -> None:
        port = Port("redis")
        client = port.client()
        client.send(b"\x16\x03\x01\x01\x24")
        assert client.closed
        assert port.dialled == []


@pytest.mark.parametrize(
    ("why", "says"),
    [
        (StartTimeout(KEY, 60, "starting", retry_after=5), b"-LOADING db/alice is not ready after 60 s"),
        (AtCapacity(2, "all are in use", retry_after=5), b"-LOADING There is no room"),
        (StartFailed(KEY, Mishap("it exited with 1.")), b"-ERR db/alice did not start: it exited with 1."),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, Refusal) else "",
)
@pytest.mark.failure(13)
def test_who_cannot_be_served_is_told_why_and_may_ask_again(why: Refusal, says: bytes) -> None:
    port = Port("redis", warm=False)
    client = port.client()
    client.send(AUTH + packed(b"PING"))
    client.send(packed(b"PING"))
    port.stacks.refuse(why)
    port.clock.advance(0)
    first, *rest = client.received.splitlines()
    assert first.startswith(says)
    assert rest == [b"-NOAUTH Authentication required."] * 2
    client.send(AUTH)
    port.stacks.wake()
    assert port.server.received == AUTH


def test_who_was_refused_has_again_ten_seconds_to_say_who_it_is() -> None:
    port = Port("redis", warm=False)
    client = port.client()
    client.send(AUTH)
    port.wait(60)
    port.stacks.refuse(StartTimeout(KEY, 60, "starting", retry_after=5))
    port.wait(9)
    assert not client.closed
    port.wait(2)
    assert client.received.endswith(b"-ERR No AUTH with a user name has come within 10 s.\r\n")
    assert client.closed


def test_any_number_of_names_may_be_tried_at_once() -> None:
    port = Port("redis")
    client = port.client()
    client.send(b"AUTH carol x\r\n" * 3000 + AUTH)
    assert client.received == WRONG_PASS * 3000
    assert port.server.received == AUTH


@pytest.mark.parametrize("command", [b"HELLO\n", b"AUTH carol x\n"])
def test_who_does_not_take_what_it_is_told_is_told_no_more_until_it_does(command: bytes) -> None:
    port = Port("redis")
    client = port.client()
    client.transport.take(False)
    client.send(command * 4000 + AUTH)
    assert len(client.transport.pending) < 70_000
    client.send(packed(b"PING"))
    client.transport.take()
    port.clock.advance(0)
    port.server.send(b"+OK\r\n")
    client.transport.take()
    assert client.received.count(b"\r\n") == 4001
    assert port.server.received == AUTH + packed(b"PING")


def test_who_asks_for_nothing_but_to_quit_may() -> None:
    port = Port("redis")
    client = port.client()
    client.send(packed(b"QUIT"))
    assert client.received == b"+OK\r\n"
    assert client.closed


def test_one_too_many_is_told_so() -> None:
    port = Port("redis", TcpSettings(max_connections_per_client=1))
    port.client()
    second = port.client()
    assert second.received.startswith(b"-ERR There are more than the 1 connections")
    assert second.closed


def test_who_waits_when_the_gateway_stops_is_told_so() -> None:
    port = Port("redis", warm=False)
    client = port.client()
    client.send(AUTH)
    port.front.stop()
    assert client.received.startswith(b"-ERR The gateway is shutting down")
    assert client.closed
