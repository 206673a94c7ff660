"""What a probe makes of the bytes it gets back: probes/answer.py."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from grandcentral.probes.answer import LONGEST_HEAD, NotHTTP, status_of

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


@pytest.mark.parametrize(
    ("received", "status"),
    [
        (OK, 200),
        (b"HTTP/1.0 404 Not Found\r\n", 404),
        (b"HTTP/1.1 302 \r\n", 302),
        (b"HTTP/1.1 503\r\n", 503),
        (b"HTTP/1.1 200 OK\n", 200),
        (b"HTTP/1.1 200 \xc3\xa0 la carte\r\n", 200),
    ],
)
def test_the_status_is_in_the_first_line(received: bytes, status: int) -> None:
    assert status_of(received) == status


def test_interim_answers_are_skipped() -> None:
    """RFC 9110, section 15.2: a client must be able to parse one or more 1xx answers before the final one."""
    early = b"HTTP/1.1 103 Early Hints\r\nLink: </a.css>\r\n\r\n"
    assert status_of(b"HTTP/1.1 100 Continue\r\n\r\n" + early + OK) == 200
    assert status_of(early) is None
    assert status_of(early[:-2]) is None


@given(st.integers(0, len(b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 204 No Content\r\n") - 1))
def test_it_asks_for_more_until_the_line_is_whole(length: int) -> None:
    assert status_of(b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 204 No Content\r\n"[:length]) is None


@pytest.mark.parametrize(
    "received",
    [
        b"SSH-2.0-OpenSSH_9.2\r\n",
        b"J\x00\x00\x00\x0a5.5.5-10.11.6-MariaDB",
        b"\x15\x03\x01\x00\x02\x02F",
        b"HTTP/2.0 200 OK\r\n",
        b"HTTP/1.1  200 OK\r\n",
        b"HTTP/1.1 20 OK\r\n",
        b"HTTP/1.1 099 OK\r\n",
        b"HTTP/1.1 2000 OK\r\n",
        b"HTTP/1.1 200 O\0K\r\n",
        b"HTTP/1.1 101 Switching Protocols\r\n",
        b" HTTP/1.1 200 OK\r\n",
        b"HTTP/1.1 200 " + b"x" * LONGEST_HEAD,
        b"HTTP/1.1 100 Continue\r\n" + b"x" * LONGEST_HEAD,
    ],
)
def test_what_is_not_an_answer_is_said_to_be_none(received: bytes) -> None:
    with pytest.raises(NotHTTP):
        status_of(received)


@given(st.binary(max_size=60))
def test_no_bytes_surprise_it(received: bytes) -> None:
    try:
        status = status_of(received)
    except NotHTTP:
        return
    assert status is None or 200 <= status <= 999
