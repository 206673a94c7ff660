"""What a PostgreSQL server says first, by the manual and as one of version 15 says it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from grandcentral.wire.postgresql import CANNOT_CONNECT_NOW, INVALID_AUTHORIZATION, error
from grandcentral.wire.postgresql_server import LONGEST_ERROR, Greeting, SessionKey, not_up


def message(kind: bytes, body: bytes) -> bytes:
    return kind + (4 + len(body)).to_bytes(4, "big") + body


AUTHENTICATION_OK = message(b"R", b"\0\0\0\0")
PARAMETER = message(b"S", b"K\0\0\0\x0cK\0")  # with what looks like the head of a key in it
KEY = message(b"K", (4711).to_bytes(4, "big") + b"abcd")
READY = message(b"Z", b"I")
EVIL = message(b"K", (1).to_bytes(4, "big") + b"evil")


def greeted(data: bytes, *cuts: int) -> Greeting:
    greeting, at = Greeting(), 0
    for cut in (*sorted(cuts), len(data)):
        greeting.feed(data[at:cut])
        at = max(at, cut)
    return greeting


@pytest.mark.failure(18)
class TestTheKeyOfASession:
    @given(st.lists(st.integers(0, 60), max_size=60))
    def test_it_is_found_however_it_is_cut(self, cuts: list[int]) -> None:
        greeting = greeted(AUTHENTICATION_OK + PARAMETER + KEY + PARAMETER + READY, *cuts)
        assert greeting.key == SessionKey(4711, b"abcd")
        assert greeting.over

    def test_what_comes_after_the_session_is_ready_is_not_read(self) -> None:
        assert greeted(AUTHENTICATION_OK + READY + EVIL).key is None
        assert greeted(AUTHENTICATION_OK + KEY + READY + EVIL).key == SessionKey(4711, b"abcd")

    def test_what_is_in_the_text_of_a_message_is_not_read(self) -> None:
        greeting = greeted(message(b"N", EVIL * 100) + READY)
        assert greeting.key is None
        assert greeting.over

    @pytest.mark.parametrize("size", [4, 32, 256])
    def test_secrets_have_been_longer_since_protocol_3_2(self, size: int) -> None:
        assert greeted(message(b"K", (7).to_bytes(4, "big") + bytes(size)) + READY).key == SessionKey(7, bytes(size))

    @pytest.mark.parametrize("size", [0, 3, 257, 100_000])
    def test_a_secret_of_another_size_is_passed_over_and_not_kept(self, size: int) -> None:
        greeting = greeted(message(b"K", (7).to_bytes(4, "big") + bytes(size)) + READY)
        assert greeting.key is None
        assert greeting.over

    def test_a_process_number_has_a_sign(self) -> None:
        assert greeted(message(b"K", b"\xff\xff\xff\xffabcd")).key == SessionKey(-1, b"abcd")

    def test_what_is_no_message_ends_it(self) -> None:
        assert greeted(b"R\0\0\0\x03" + KEY).key is None

    @given(st.binary(max_size=200))
    def test_nothing_a_server_says_can_upset_it(self, data: bytes) -> None:
        greeted(data, *range(len(data)))


class TestWhetherItIsUp:
    def test_one_that_says_57P03_is_not(self) -> None:
        said = error(CANNOT_CONNECT_NOW, "the database system is starting up")
        assert [not_up(said[:cut]) for cut in range(len(said))] == [None] * len(said)
        assert not_up(said) is True

    @pytest.mark.parametrize(
        "said", [AUTHENTICATION_OK, error(INVALID_AUTHORIZATION, "57P03"), b"R", message(b"E", b"SFATAL\0")[:-1] + b"\1"]
    )
    def test_one_that_says_anything_else_is(self, said: bytes) -> None:
        assert not_up(said) is False

    def test_one_whose_error_has_no_end_is_believed_to_be(self) -> None:
        assert not_up(b"E" + LONGEST_ERROR.to_bytes(4, "big")) is False
