"""RFC 9112 (HTTP/1.1 messages), section by section: what an intermediary must do, seen from both of its sides."""

from __future__ import annotations

import pytest

from .rig import DATE, HOST, OK, Gateway, get, read_chunks, split_request

BIG = 2**63


def chunked(body: bytes, *fields: bytes, method: bytes = b"POST") -> bytes:
    return get(b"/", b"Transfer-Encoding: chunked", *fields, method=method) + body


def refused(request: bytes) -> int:
    """The status for a request that must not reach the application; the connection must end with it."""
    gateway = Gateway()
    client = gateway.client()
    client.send(request)
    assert gateway.origin == []
    assert client.closed
    return client.answers()[-1].status


def unheard(request: bytes) -> int:
    """The status for a request of which the application may have seen a beginning, but never the end."""
    gateway = Gateway()
    client = gateway.client()
    client.send(request)
    for origin in gateway.origin:
        assert origin.reset
    assert client.closed
    return client.answer().status


# -- §2.2 message parsing ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("place", [b"GET /\r HTTP/1.1", b"GET / HTTP/1.1\r", b"GET\r / HTTP/1.1"])
def test_2_2_bare_cr_in_the_request_line(place: bytes) -> None:
    assert refused(place + b"\r\nHost: " + HOST + b"\r\n\r\n") == 400


@pytest.mark.parametrize("field", [b"A: b\rc", b"A\r: b", b"\rA: b", b"A: b\r"])
def test_2_2_bare_cr_in_a_field(field: bytes) -> None:
    assert refused(get(b"/", field)) == 400


@pytest.mark.parametrize("blank", [b" ", b"\t", b" \t"])
def test_2_2_whitespace_before_the_first_field(blank: bytes) -> None:
    assert refused(b"GET / HTTP/1.1\r\n" + blank + b"Host: " + HOST + b"\r\n\r\n") == 400


@pytest.mark.parametrize("empty", [b"\r\n", b"\r\n\r\n"])
def test_2_2_empty_lines_before_a_request_are_ignored(empty: bytes) -> None:
    gateway = Gateway()
    client, origin = gateway.ask(empty + get(), OK)
    assert origin.received.startswith(b"GET / HTTP/1.1\r\n")
    client.send(empty + get(b"/second"), 1)
    assert b"GET /second" in origin.received


@pytest.mark.parametrize(
    "request_", [get().replace(b"\r\n", b"\n"), b"GET / HTTP/1.1\r\nHost: a\n\r\n", b"GET / HTTP/1.1\nHost: a\r\n\r\n"]
)
def test_2_2_lines_that_end_with_lf_alone_are_answered_at_once(request_: bytes) -> None:
    assert refused(request_) == 400


def test_2_2_an_answer_in_lf_lines_is_put_right() -> None:
    client, _ = Gateway().ask(get(), b"HTTP/1.1 200 OK\nContent-Length: 2\nA: b\n\nok")
    answer = client.answer()
    assert (answer.body, answer["a"]) == (b"ok", b"b")
    assert b"\n" not in client.received.replace(b"\r\n", b"")


def test_2_2_what_is_not_http_is_refused_at_its_first_byte() -> None:
    assert refused(b"\x16\x03\x01\x02\x00\x01") == 400


# -- §2.3 version --------------------------------------------------------------------------------------------------------


def test_2_3_our_own_version_is_sent_to_both_sides() -> None:
    client, origin = Gateway().ask(
        b"GET / HTTP/1.0\r\nHost: " + HOST + b"\r\n\r\n", b"HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nok"
    )
    assert origin.received.startswith(b"GET / HTTP/1.1\r\n")
    assert client.received.startswith(b"HTTP/1.1 200 OK\r\n")


@pytest.mark.parametrize(
    ("version", "status"),
    [(b"HTTP/2.0", 505), (b"HTTP/0.9", 505), (b"HTTP/1.10", 400), (b"http/1.1", 400), (b"HTTP/1", 400), (b"HTTPS/1.1", 400)],
)
def test_2_3_other_versions(version: bytes, status: int) -> None:
    assert refused(b"GET / " + version + b"\r\nHost: " + HOST + b"\r\n\r\n") == status


def test_2_3_a_later_minor_version_is_taken_as_1_1() -> None:
    _, origin = Gateway().ask(b"GET / HTTP/1.4\r\nHost: " + HOST + b"\r\n\r\n", OK)
    assert origin.received.startswith(b"GET / HTTP/1.1\r\n")


# -- §3 request line -----------------------------------------------------------------------------------------------------


def test_3_a_request_line_of_8000_bytes_is_taken() -> None:
    target = b"/" + b"a" * 7990
    _, origin = Gateway().ask(get(target), OK)
    assert target in origin.received


@pytest.mark.parametrize("ending", [b" HTTP/1.1\r\nHost: a\r\n\r\n", b""])
def test_3_a_longer_one_than_the_limit_is_414(ending: bytes) -> None:
    assert refused(b"GET /" + b"a" * 16400 + ending) == 414


@pytest.mark.parametrize(
    "line",
    [
        b"GET  / HTTP/1.1",
        b"GET / HTTP/1.1 ",
        b" GET / HTTP/1.1",
        b"GET /a b HTTP/1.1",
        b"GET\t/ HTTP/1.1",
        b"GET /",
        b"GET",
        b"G@T / HTTP/1.1",
        b"GET /\xc3\xa9 HTTP/1.1",
        b"GET /\x00 HTTP/1.1",
        b"GET /#part HTTP/1.1",
    ],
)
def test_3_request_lines_of_another_form(line: bytes) -> None:
    assert refused(line + b"\r\nHost: " + HOST + b"\r\n\r\n") == 400


# -- §3.2 host and target ------------------------------------------------------------------------------------------------


def test_3_2_no_host() -> None:
    assert refused(b"GET / HTTP/1.1\r\nA: b\r\n\r\n") == 400
    assert refused(b"GET / HTTP/1.1\r\n\r\n") == 400


def test_3_2_two_hosts() -> None:
    assert refused(get(b"/", b"Host: other.review.test")) == 400
    assert refused(get(b"/", b"hOST: " + HOST)) == 400


@pytest.mark.parametrize(
    "host", [b"a b", b"a/b", b"a,b@c", b"u@h", b"a:b", b"[::1", b"a\\b", b"a?b", b"%zz", b"a:80:80", b"\xff"]
)
def test_3_2_invalid_host(host: bytes) -> None:
    assert refused(get(host=host)) == 400


def test_3_2_1_origin_form_goes_as_it_came() -> None:
    target = b"//a/../b/./%2e%2E;x=1?q=%41&&r=[]|^`{}\"<>'"
    _, origin = Gateway().ask(get(target), OK)
    assert origin.received.startswith(b"GET " + target + b" HTTP/1.1\r\n")


@pytest.mark.parametrize(
    ("target", "sent"),
    [
        (b"http://%s/x?y" % HOST, b"/x?y"),
        (b"HTTP://%s" % HOST, b"/"),
        (b"http://%s?q" % HOST, b"/?q"),
        (b"https://%s/" % HOST, b"/"),
    ],
)
def test_3_2_2_absolute_form_replaces_host(target: bytes, sent: bytes) -> None:
    gateway = Gateway()
    _, origin = gateway.ask(get(target, host=b"elsewhere.review.test"), OK)
    line, fields, _ = split_request(origin.received)
    assert line == b"GET " + sent + b" HTTP/1.1"
    assert [value for name, value in fields if name == "host"] == [HOST]
    assert dict(fields)["x-forwarded-host"] == HOST


def test_3_2_2_absolute_form_needs_a_host_field_all_the_same() -> None:
    assert refused(b"GET http://" + HOST + b"/ HTTP/1.1\r\n\r\n") == 400


@pytest.mark.parametrize("target", [b"http:///x", b"http://u:p@%s/" % HOST, b"ftp://%s/" % HOST, b"x", b"http://:80/", b"*"])
def test_3_2_2_targets_that_name_nothing_here(target: bytes) -> None:
    assert refused(get(target)) == 400


def test_3_2_3_authority_form_is_for_connect_only() -> None:
    assert refused(get(HOST + b":80")) == 400
    assert refused(get(HOST + b":80", method=b"CONNECT")) == 405


def test_3_2_4_asterisk_form() -> None:
    _, origin = Gateway().ask(get(b"*", method=b"OPTIONS"), OK)
    assert origin.received.startswith(b"OPTIONS * HTTP/1.1\r\n")


def test_3_2_4_an_absolute_form_without_a_path_is_an_asterisk_for_options() -> None:
    _, origin = Gateway().ask(get(b"http://" + HOST, method=b"OPTIONS"), OK)
    assert origin.received.startswith(b"OPTIONS * HTTP/1.1\r\n")


# -- §4 status line ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("line", [b"HTTP/1.1 200 ", b"HTTP/1.1 200"])
def test_4_a_status_line_without_reason(line: bytes) -> None:
    client, _ = Gateway().ask(get(), line + b"\r\nContent-Length: 2\r\n\r\nok")
    assert client.received.startswith(b"HTTP/1.1 200 \r\n")
    assert client.answer().body == b"ok"


@pytest.mark.parametrize(
    "line",
    [b"HTTP/1.1 20 OK", b"HTTP/1.1 2000 OK", b"HTTP/1.1  200 OK", b"HTTP/2 200 OK", b"ICY 200 OK", b"HTTP/1.1 099 x", b"x"],
)
def test_4_status_lines_of_another_form_are_502(line: bytes) -> None:
    client, origin = Gateway().ask(get(), line + b"\r\nContent-Length: 2\r\n\r\nok")
    assert client.answer().status == 502
    assert origin.reset


# -- §5 field lines ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("field", [b"Content-Length : 3", b"A\t: b", b"A b: c", b": empty", b"no colon", b"A(b): c"])
def test_5_1_a_blank_before_the_colon_or_no_name(field: bytes) -> None:
    assert refused(get(b"/", field)) == 400


def test_5_1_the_blank_is_removed_from_an_answer() -> None:
    client, _ = Gateway().ask(get(), b"HTTP/1.1 200 OK\r\nContent-Length : 2\r\nA \t: b\r\n\r\nok")
    answer = client.answer()
    assert (answer.body, answer["a"]) == (b"ok", b"b")
    assert b"\r\nA: b\r\n" in client.received


def test_5_2_folded_lines_of_a_request() -> None:
    assert refused(get(b"/", b"A: b\r\n c")) == 400
    assert refused(get(b"/", b"Transfer-Encoding:\r\n chunked")) == 400


def test_5_2_folded_lines_of_an_answer_become_one() -> None:
    client, _ = Gateway().ask(get(), b"HTTP/1.1 200 OK\r\nA: b\r\n\t c\r\nContent-Length:\r\n 2\r\n\r\nok")
    answer = client.answer()
    assert (answer.body, answer["a"]) == (b"ok", b"b c")


# -- §6.1 transfer codings -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("coding", "status"),
    [
        (b"gzip, chunked", 501),
        (b"foo", 400),
        (b"chunked, gzip", 400),
        (b"chunked, chunked", 400),
        (b"identity", 400),
        (b"", 400),
        (b"chunked;a=b", 400),
        (b"xchunked", 400),
        (b"chunked\x0b", 400),
        (b'"chunked"', 400),
    ],
)
def test_6_1_transfer_codings_that_are_not_chunked(coding: bytes, status: int) -> None:
    assert refused(get(b"/", b"Transfer-Encoding: " + coding, method=b"POST") + b"0\r\n\r\n") == status


def test_6_1_chunked_twice_on_two_lines() -> None:
    assert refused(chunked(b"0\r\n\r\n", b"Transfer-Encoding: chunked")) == 400


@pytest.mark.parametrize("coding", [b"chunked", b"Chunked", b"chunked ", b" \tCHUNKED\t"])
def test_6_1_chunked_in_any_case(coding: bytes) -> None:
    _, origin = Gateway().ask(get(b"/", b"Transfer-Encoding:" + coding, method=b"POST") + b"2\r\nhi\r\n0\r\n\r\n", OK)
    _, fields, body = split_request(origin.received)
    assert [value for name, value in fields if name == "transfer-encoding"] == [b"chunked"]
    assert read_chunks(body) == (b"hi", b"")


@pytest.mark.parametrize(
    "order", [(b"Content-Length: 5", b"Transfer-Encoding: chunked"), (b"Transfer-Encoding: chunked", b"Content-Length: 5")]
)
def test_6_1_a_length_beside_a_transfer_coding(order: tuple[bytes, bytes]) -> None:
    assert refused(get(b"/", *order, method=b"POST") + b"0\r\n\r\nGET /smuggled HTTP/1.1\r\n\r\n") == 400


def test_6_1_a_transfer_coding_in_http_1_0() -> None:
    assert refused(chunked(b"0\r\n\r\n").replace(b"HTTP/1.1", b"HTTP/1.0")) == 400


def test_6_1_a_length_beside_a_transfer_coding_in_an_answer() -> None:
    gateway = Gateway()
    client, origin = gateway.ask(
        get(), b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n"
    )
    answer = client.answer()
    assert answer.body == b"hello"
    assert "content-length" not in answer
    assert origin.closed
    assert gateway.front.pool.idle_count == 0


@pytest.mark.parametrize("coding", [b"gzip", b"gzip, chunked", b"chunked, chunked"])
def test_6_1_an_answer_with_another_coding_is_502(coding: bytes) -> None:
    client, _ = Gateway().ask(get(), b"HTTP/1.1 200 OK\r\nTransfer-Encoding: " + coding + b"\r\n\r\n0\r\n\r\n")
    assert client.answer().status == 502


def test_6_1_no_transfer_coding_to_a_client_of_1_0() -> None:
    client, _ = Gateway().ask(
        get().replace(b"HTTP/1.1", b"HTTP/1.0"), b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n"
    )
    answer = client.answer()
    assert answer.body == b"ok"
    assert "transfer-encoding" not in answer
    assert client.closed


@pytest.mark.parametrize("status", [b"204 No Content", b"304 Not Modified"])
def test_6_1_no_transfer_coding_in_answers_without_a_body(status: bytes) -> None:
    gateway = Gateway()
    client, _ = gateway.ask(get(), b"HTTP/1.1 " + status + b"\r\nTransfer-Encoding: chunked\r\n\r\n")
    assert "transfer-encoding" not in client.answer()


# -- §6.2, §6.3 lengths --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "length", [b"-1", b"+5", b"5 5", b"0x5", b"5a", b"", b"5,5", b"5;", b"1_0", b"\xb2", b"%d" % BIG, b"9" * 40]
)
def test_6_3_lengths_that_are_none(length: bytes) -> None:
    assert refused(get(b"/", b"Content-Length: " + length, method=b"POST") + b"hello") == 400


@pytest.mark.parametrize("second", [b"5", b"6"])
def test_6_3_two_lengths(second: bytes) -> None:
    assert refused(get(b"/", b"Content-Length: 5", b"content-length: " + second, method=b"POST") + b"hello") == 400


def test_6_3_a_length_with_zeros_before_it_is_written_plainly() -> None:
    _, origin = Gateway().ask(get(b"/", b"Content-Length: 0005", method=b"POST") + b"hello", OK)
    _, fields, body = split_request(origin.received)
    assert [value for name, value in fields if name == "content-length"] == [b"5"]
    assert body == b"hello"


def test_6_3_rule_7_no_length_is_no_body() -> None:
    gateway = Gateway()
    client = gateway.client()
    client.send(get(method=b"POST") + get(b"/next"))
    [origin] = gateway.origin
    assert split_request(origin.received)[2] == b""
    origin.send(OK)
    assert b"GET /next" in origin.received


@pytest.mark.parametrize(
    ("request_", "answer"),
    [
        (get(method=b"HEAD"), b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n"),
        (get(), b"HTTP/1.1 204 No Content\r\n\r\n"),
        (get(), b"HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\n"),
    ],
)
def test_6_3_rule_1_answers_without_a_body_leave_both_connections_open(request_: bytes, answer: bytes) -> None:
    gateway = Gateway()
    client, origin = gateway.ask(request_, answer)
    method = request_.split()[0]
    assert client.answer(method).body == b""
    client.send(get(b"/next"))
    assert len(gateway.origin) == 1
    origin.send(OK)
    assert client.answers(method)[-1].body == b"ok"


@pytest.mark.parametrize("length", [b"5, 5", b"5,5,5"])
def test_6_3_rule_5_one_length_said_often_becomes_one(length: bytes) -> None:
    client, _ = Gateway().ask(get(), b"HTTP/1.1 200 OK\r\nContent-Length: " + length + b"\r\n\r\nhello")
    assert client.answer()["content-length"] == b"5"
    assert client.answer().body == b"hello"


def test_6_3_rule_5_one_length_on_two_lines_becomes_one() -> None:
    client, _ = Gateway().ask(get(), b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 5\r\n\r\nhello")
    assert [value for name, value in client.answer().fields if name == "content-length"] == [b"5"]


@pytest.mark.parametrize(
    "lengths",
    [
        b"Content-Length: 5, 6",
        b"Content-Length: 5\r\nContent-Length: 6",
        b"Content-Length: -1",
        b"Content-Length: x",
        b"Content-Length:",
        b"Content-Length: %d" % BIG,
    ],
)
def test_6_3_rule_5_a_bad_length_in_an_answer_is_502(lengths: bytes) -> None:
    client, origin = Gateway().ask(get(), b"HTTP/1.1 200 OK\r\n" + lengths + b"\r\n\r\nhello")
    assert client.answer().status == 502
    assert origin.reset


def test_6_3_rule_8_an_answer_until_close_is_passed_on_in_chunks() -> None:
    gateway = Gateway()
    client, origin = gateway.ask(get(), b"HTTP/1.1 200 OK\r\n\r\nhel")
    origin.send(b"lo")
    origin.finish()
    answer = client.answer()
    assert (answer.body, answer["transfer-encoding"]) == (b"hello", b"chunked")
    assert not client.closed
    client.send(get())
    assert len(gateway.origin) == 2


def test_6_3_rule_8_to_a_client_of_1_0_until_close() -> None:
    client, origin = Gateway().ask(b"GET / HTTP/1.0\r\nHost: " + HOST + b"\r\n\r\n", b"HTTP/1.0 200 OK\r\n\r\nhello")
    assert not client.closed
    origin.finish()
    assert client.answer().body == b"hello"
    assert client.closed
    assert not client.reset


@pytest.mark.parametrize(
    ("method", "answer"),
    [
        (b"GET", OK + b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil"),
        (b"GET", b"HTTP/1.1 204 No Content\r\n\r\nevil"),
        (b"HEAD", b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil"),
        (b"GET", b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\nevil"),
    ],
)
def test_6_3_surplus_bytes_are_never_an_answer(method: bytes, answer: bytes) -> None:
    gateway = Gateway()
    client, origin = gateway.ask(get(method=method), answer)
    assert b"evil" not in client.received
    assert origin.closed
    client.send(get())
    assert len(gateway.origin) == 2
    gateway.origin[1].send(OK)
    assert client.answers(method)[-1].body == b"ok"


def test_6_3_bytes_on_an_idle_connection_are_never_an_answer() -> None:
    gateway = Gateway()
    client, origin = gateway.ask(get(), OK)
    origin.send(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil")
    client.send(get())
    assert len(gateway.origin) == 2
    assert b"evil" not in client.received


# -- §7.1 chunks ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "body",
    [
        b"5\r\nhello\r\n0\r\n\r\n",
        b"005\r\nhello\r\n000\r\n\r\n",
        b"1\r\nh\r\n4\r\nello\r\n0\r\n\r\n",
        b"5;a\r\nhello\r\n0\r\n\r\n",
        b"5 ; a = b\r\nhello\r\n0;x\r\n\r\n",
        b'5;a="q;\\"\r"\r\nhello\r\n0\r\n\r\n'.replace(b'\r"', b'x"'),
        b"5\r\nhello\r\n0\r\nA: b\r\n\r\n",
    ],
)
@pytest.mark.parametrize("piece", [0, 1])
def test_7_1_chunks_are_decoded_and_made_anew(body: bytes, piece: int) -> None:
    client, origin = Gateway().ask(chunked(body), OK, piece)
    content, rest = read_chunks(split_request(origin.received)[2])
    assert (content, rest) == (b"hello", b"")
    assert client.answer().body == b"ok"
    assert b"a = b" not in origin.received


@pytest.mark.parametrize(
    "body",
    [
        b"5\r\nhelloX\r\n0\r\n\r\n",
        b"5\r\nhello0\r\n\r\n",
        b"5\nhello\r\n0\r\n\r\n",
        b"g\r\n",
        b"-1\r\n",
        b"+5\r\nhello",
        b"0x5\r\nhello",
        b"\r\n",
        b" 5\r\nhello\r\n0\r\n\r\n",
        b"5\r\nhello\n0\r\n\r\n",
        b"5;a\x00\r\nhello",
        b"5;\r\nhello",
        b"5;a=\r\nhello",
        b"8000000000000000\r\n",
        b"fffffffffffffffff\r\n",
        b"1" * 9000,
        b"5;" + b"a" * 9000,
        b"0\r\nno trailer\r\n\r\n",
        b"0\r\nA: b\n\r\n\r\n",
        b"0\r\n A: b\r\n\r\n",
        b"5 \rx\nhello",
        b"5\rhello",
    ],
)
@pytest.mark.parametrize("piece", [0, 1])
def test_7_1_what_is_no_chunk(body: bytes, piece: int) -> None:
    gateway = Gateway()
    client = gateway.client()
    client.send(chunked(body), piece)
    assert client.answer().status == 400
    assert client.closed
    assert all(origin.reset for origin in gateway.origin)
    assert all(not origin.received.endswith(b"0\r\n\r\n") for origin in gateway.origin)


def test_7_1_2_trailers_go_behind_the_body_and_never_into_the_head() -> None:
    _, origin = Gateway().ask(
        chunked(b"2\r\nhi\r\n0\r\nX-Sum: 1\r\nHost: evil\r\nContent-Length: 9\r\nX-Forwarded-For: 1.1.1.1\r\n\r\n"), OK
    )
    head, _, body = origin.received.partition(b"\r\n\r\n")
    assert b"X-Sum" not in head
    assert body == b"2\r\nhi\r\n0\r\nX-Sum: 1\r\n\r\n"


def test_7_1_2_trailers_of_an_answer() -> None:
    client, _ = Gateway().ask(
        get(), b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\nX-Sum: 1\r\nVia: x\r\n\r\n"
    )
    assert client.received.endswith(b"2\r\nok\r\n0\r\nX-Sum: 1\r\n\r\n")


@pytest.mark.parametrize("trailers", [b"A: " + b"b" * 70_000, b"".join(b"A%d: b\r\n" % n for n in range(200))])
def test_7_1_2_too_many_trailers(trailers: bytes) -> None:
    assert unheard(chunked(b"0\r\n" + trailers + b"\r\n\r\n")) == 400


@pytest.mark.parametrize("bad", [b"zz\r\n", b"2\r\nokX", b"2\nok\r\n0\r\n\r\n"])
def test_7_1_broken_chunks_in_an_answer_cut_the_connection(bad: bytes) -> None:
    gateway = Gateway()
    client, origin = gateway.ask(get(), b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n")
    origin.send(bad)
    assert client.closed
    assert not client.received.endswith(b"0\r\n\r\n")
    assert origin.reset


# -- §8 incomplete messages ----------------------------------------------------------------------------------------------


def test_8_a_request_head_that_ends_early() -> None:
    gateway = Gateway()
    client = gateway.client()
    client.send(b"GET / HTTP/1.1\r\nHo")
    client.finish()
    assert gateway.origin == []
    assert client.answer().status == 400


@pytest.mark.parametrize("request_", [get(b"/", b"Content-Length: 10", method=b"POST") + b"half", chunked(b"5\r\nhel")])
def test_8_a_request_body_that_ends_early_never_looks_whole(request_: bytes) -> None:
    gateway = Gateway()
    client = gateway.client()
    client.send(request_)
    client.finish()
    assert gateway.origin[0].reset
    assert not gateway.origin[0].received.endswith(b"0\r\n\r\n")
    assert client.answer().status == 400


@pytest.mark.parametrize("framing", [b"Content-Length: 10", b"Transfer-Encoding: chunked"])
@pytest.mark.parametrize("ending", ["finish", "break_off"])
def test_8_an_answer_that_ends_early_cuts_the_client(framing: bytes, ending: str) -> None:
    client, origin = Gateway().ask(get(), b"HTTP/1.1 200 OK\r\n" + framing + b"\r\n\r\n3\r\nabc\r\n")
    getattr(origin, ending)()
    assert client.closed
    assert not client.received.endswith(b"0\r\n\r\n")


def test_8_an_answer_until_close_that_is_reset_is_no_whole_one() -> None:
    client, origin = Gateway().ask(get(), b"HTTP/1.1 200 OK\r\n\r\nhalf")
    origin.break_off()
    assert client.closed
    assert not client.received.endswith(b"0\r\n\r\n")


def test_8_to_a_client_of_1_0_that_is_a_reset() -> None:
    client, origin = Gateway().ask(b"GET / HTTP/1.0\r\nHost: " + HOST + b"\r\n\r\n", b"HTTP/1.1 200 OK\r\n\r\nhalf")
    origin.break_off()
    assert client.reset


@pytest.mark.parametrize("half", [b"", b"HTTP/1.1 200 OK\r\nContent-Le"])
def test_8_an_answer_that_ends_before_its_body_is_502(half: bytes) -> None:
    gateway = Gateway()
    client, origin = gateway.ask(get(method=b"POST"), half)
    origin.finish()
    assert client.answer().status == 502
    assert len(gateway.origin) == 1


# -- §9 connections ------------------------------------------------------------------------------------------------------


def test_9_3_both_connections_are_kept() -> None:
    gateway = Gateway()
    client, origin = gateway.ask(get(b"/1"), OK)
    client.send(get(b"/2"))
    origin.send(OK)
    assert len(gateway.origin) == 1
    assert len(client.answers()) == 2
    assert not client.closed


@pytest.mark.parametrize(
    "field", [b"Connection: close", b"Connection: Keep-Alive, CLOSE", b"connection: foo\r\nConnection: close"]
)
def test_9_3_a_client_that_says_close(field: bytes) -> None:
    gateway = Gateway()
    client, origin = gateway.ask(get(b"/", field) + get(b"/never"), OK)
    assert client.answer()["connection"] == b"close"
    assert client.closed
    assert b"close" not in origin.received
    assert not origin.closed
    assert len(gateway.origin) == 1


def test_9_3_an_application_that_says_close() -> None:
    gateway = Gateway()
    client, origin = gateway.ask(get(), b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok")
    assert "connection" not in client.answer()
    assert not client.closed
    assert origin.closed
    client.send(get())
    assert len(gateway.origin) == 2


@pytest.mark.parametrize(("field", "kept"), [(b"", False), (b"Connection: keep-alive\r\n", True)])
def test_9_3_an_application_of_1_0(field: bytes, kept: bool) -> None:
    gateway = Gateway()
    _, origin = gateway.ask(get(), b"HTTP/1.0 200 OK\r\n" + field + b"Content-Length: 2\r\n\r\nok")
    assert origin.closed != kept


@pytest.mark.parametrize("field", [b"", b"Connection: keep-alive\r\n"])
def test_9_3_a_client_of_1_0_is_not_kept(field: bytes) -> None:
    client, origin = Gateway().ask(b"GET / HTTP/1.0\r\nHost: " + HOST + b"\r\n" + field + b"\r\n", OK)
    assert client.answer().body == b"ok"
    assert client.closed
    assert not origin.closed


def test_9_3_an_answer_before_the_end_of_the_request_closes() -> None:
    gateway = Gateway()
    client, origin = gateway.ask(get(b"/", b"Content-Length: 10", method=b"POST") + b"half", OK)
    assert client.answer()["connection"] == b"close"
    assert client.closed
    assert origin.closed
    client.send(b" more" + get(b"/never"))
    assert len(gateway.origin) == 1


def test_9_3_a_small_body_that_nobody_wants_does_not_cost_the_connection() -> None:
    gateway = Gateway()
    client = gateway.client()
    client.send(get(b"/", b"Content-Length: 2", method=b"POST", host=b"nobody.test") + b"hi" + get())
    gateway.origin[0].send(OK)
    assert [answer.status for answer in client.answers()] == [404, 200]


@pytest.mark.parametrize("method", [b"GET", b"HEAD", b"OPTIONS", b"PUT", b"DELETE", b"TRACE"])
def test_9_3_1_an_idempotent_request_is_repeated_when_a_kept_connection_is_stale(method: bytes) -> None:
    gateway = Gateway()
    client, origin = gateway.ask(get(), OK)
    client.send(get(b"/again", method=method))
    origin.finish()
    assert len(gateway.origin) == 2
    assert gateway.origin[1].received.startswith(method + b" /again HTTP/1.1\r\n")
    gateway.origin[1].send(b"HTTP/1.1 204 No Content\r\n\r\n")
    assert client.answers(b"GET", method)[-1].status == 204


def test_9_3_1_a_put_is_repeated_with_its_body() -> None:
    gateway = Gateway()
    client, origin = gateway.ask(get(), OK)
    client.send(get(b"/", b"Content-Length: 4", method=b"PUT") + b"body")
    origin.break_off()
    assert split_request(gateway.origin[1].received)[2] == b"body"


def test_9_3_1_a_put_whose_body_has_gone_is_not() -> None:
    gateway = Gateway()
    client, origin = gateway.ask(get(), OK)
    client.send(get(b"/", b"Content-Length: 8", method=b"PUT") + b"body")
    origin.break_off()
    assert len(gateway.origin) == 1
    assert client.answers()[-1].status == 502


def test_9_3_1_it_is_repeated_once() -> None:
    gateway = Gateway()
    client, origin = gateway.ask(get(), OK)
    client.send(get())
    origin.finish()
    gateway.origin[1].finish()
    assert len(gateway.origin) == 2
    assert client.answers()[-1].status == 502


def test_9_3_1_nothing_is_repeated_once_an_answer_has_begun() -> None:
    gateway = Gateway()
    client, origin = gateway.ask(get(), OK)
    client.send(get())
    origin.send(b"HTTP/1.1 200 OK\r\nContent-")
    origin.finish()
    assert [answer.status for answer in client.answers()] == [200, 502]


def test_9_3_2_pipelined_requests_are_answered_in_order() -> None:
    gateway = Gateway()
    client = gateway.client()
    client.send(b"".join(get(b"/%d" % n) for n in range(5)) + get(host=b"nobody.test") + get(b"/5"))
    for n in range(6):
        origin = gateway.origin[0]
        assert origin.received.count(b"GET ") == n + 1
        origin.send(b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n%d" % n)
    bodies = [answer.body if answer.status == 200 else answer.status for answer in client.answers()]
    assert bodies == [b"0", b"1", b"2", b"3", b"4", 404, b"5"]


def test_9_3_2_thousands_of_pipelined_requests_that_are_answered_here() -> None:
    gateway = Gateway()
    client = gateway.client()
    client.send(get(host=b"a") * 5000)
    assert [answer.status for answer in client.answers()] == [404] * 5000


def test_9_6_after_the_last_answer_the_gateway_reads_on_for_a_while() -> None:
    gateway = Gateway()
    client = gateway.client()
    client.send(b"nonsense\r\n\r\n")
    assert client.transport.finished
    assert not client.transport.gone
    assert client.answer()["connection"] == b"close"
    client.send(b"x" * 200_000)
    assert client.transport.reading
    gateway.wait(5)
    assert client.transport.gone
    assert not client.reset


def test_9_6_and_closes_when_the_client_does() -> None:
    gateway = Gateway()
    client, _ = gateway.ask(get(b"/", b"Connection: close"), OK)
    client.finish()
    assert client.transport.gone
    assert gateway.front.connections == 0


def test_6_6_1_date_is_added_where_the_application_has_none() -> None:
    client, _ = Gateway().ask(get(), OK)
    assert client.answer()["date"] == DATE
