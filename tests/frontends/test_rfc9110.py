"""RFC 9110 (HTTP semantics), section by section, with RFC 7239 and RFC 8297: seen from both sides of the gateway."""

from __future__ import annotations

from ipaddress import ip_network

import pytest

from grandcentral.frontends.http.settings import HttpSettings

from .rig import DATE, HOST, OK, Gateway, get, split_request

WEBSOCKET = get(b"/ws", b"Connection: keep-alive, Upgrade", b"Upgrade: websocket", b"Sec-WebSocket-Version: 13")
SWITCHED = b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Accept: x\r\n\r\n"


def sent(
    *fields: bytes, peer: str = "192.0.2.7", settings: HttpSettings | None = None, request: bytes = b""
) -> dict[str, list[bytes]]:
    """The fields that the application gets for a request with these."""
    gateway = Gateway(settings)
    client = gateway.client(peer)
    client.send(request or get(b"/", *fields))
    found: dict[str, list[bytes]] = {}
    for name, value in split_request(gateway.origin[0].received)[1]:
        found.setdefault(name, []).append(value)
    return found


def test_4_2_3_the_case_of_a_host_does_not_matter() -> None:
    gateway = Gateway()
    _, origin = gateway.ask(get(host=b"ABC.Review.TEST:80"), OK)
    assert b"Host: ABC.Review.TEST:80\r\n" in origin.received


def test_5_1_unknown_fields_are_passed_on_as_they_came() -> None:
    lines = [
        b"x-odd:  two  blanks ",
        b"X-ODD: again",
        b"Empty:",
        b"Ob-Text: \xe9\xff",
        b"a!#$%&'*+-.^_`|~9: z",
        b"Cookie: a=b; c=d",
    ]
    gateway = Gateway()
    client, origin = gateway.ask(get(b"/", *lines), OK.replace(b"\r\n\r\n", b"\r\n" + b"\r\n".join(lines) + b"\r\n\r\n"))
    block = b"\r\n".join(lines) + b"\r\n"
    assert block in origin.received
    assert block in client.received


def test_5_3_lines_of_one_name_keep_their_order() -> None:
    assert sent(b"A: 1", b"B: x", b"a: 2", b"A: 3")["a"] == [b"1", b"2", b"3"]
    client, _ = Gateway().ask(get(), OK.replace(b"\r\n\r\n", b"\r\nSet-Cookie: a\r\nX: y\r\nSet-Cookie: b\r\n\r\n"))
    assert [value for name, value in client.answer().fields if name == "set-cookie"] == [b"a", b"b"]


@pytest.mark.parametrize(
    "request_",
    [
        get(b"/", b"A: " + b"b" * 17_000),
        get(b"/", *[b"A%d: b" % n for n in range(129)]),
        get(b"/", *[b"A: " + b"b" * 9000] * 8),
        b"GET / HTTP/1.1\r\nA: " + b"b" * 70_000,
    ],
)
def test_5_4_what_is_too_large_is_431(request_: bytes) -> None:
    gateway = Gateway()
    client = gateway.client()
    client.send(request_)
    assert client.answer().status == 431
    assert client.closed
    assert gateway.origin == []


def test_5_4_what_is_just_not_too_large_is_passed_on() -> None:
    assert sent(b"A: " + b"b" * 16_000)["a"] == [b"b" * 16_000]
    assert len(sent(*[b"A%d: b" % n for n in range(127)])) > 127


def test_5_4_an_answer_with_too_large_a_head_is_502() -> None:
    client, _ = Gateway().ask(get(), b"HTTP/1.1 200 OK\r\nA: " + b"b" * 70_000)
    assert client.answer().status == 502


@pytest.mark.parametrize("byte", [b"\x00", b"\r", b"\n", b"\x01", b"\x0b", b"\x7f"])
def test_5_5_control_characters_in_values(byte: bytes) -> None:
    gateway = Gateway()
    client = gateway.client()
    client.send(get(b"/", b"A: b" + byte + b"c"))
    assert client.answer().status == 400
    assert gateway.origin == []


@pytest.mark.parametrize("byte", [b"\x00", b"\r"])
def test_5_5_control_characters_in_an_answer(byte: bytes) -> None:
    client, _ = Gateway().ask(get(), b"HTTP/1.1 200 OK\r\nA: b" + byte + b"c\r\nContent-Length: 2\r\n\r\nok")
    assert client.answer().status == 502


def test_6_6_1_a_date_is_added_only_where_there_is_none() -> None:
    client, _ = Gateway().ask(get(), OK)
    assert client.answer()["date"] == DATE
    client, _ = Gateway().ask(get(), OK.replace(b"\r\n\r\n", b"\r\nDate: yesterday\r\n\r\n"))
    assert client.answer()["date"] == b"yesterday"


HOP_BY_HOP = [b"Keep-Alive: timeout=5", b"Proxy-Connection: keep-alive", b"TE: trailers", b"Upgrade: websocket"]


def test_7_6_1_fields_between_two_hops_are_not_passed_on() -> None:
    found = sent(b"Connection: keep-alive, X-Mine , x-other,, te", b"X-Mine: 1", b"X-Other: 2", b"X-Third: 3", *HOP_BY_HOP)
    gone = {"connection", "keep-alive", "proxy-connection", "te", "upgrade", "x-mine", "x-other"}
    assert not gone & set(found)
    assert found["x-third"] == [b"3"]


def test_7_6_1_nor_from_the_application() -> None:
    lines = b"\r\n".join(
        [b"Connection: X-Mine", b"Connection: x-other", b"X-Mine: 1", b"X-Other: 2", b"X-Third: 3", *HOP_BY_HOP]
    )
    client, _ = Gateway().ask(get(), OK.replace(b"\r\n\r\n", b"\r\n" + lines + b"\r\n\r\n"))
    answer = client.answer()
    assert not {"connection", "keep-alive", "proxy-connection", "te", "upgrade", "x-mine", "x-other"} & {
        name for name, _ in answer.fields
    }
    assert answer["x-third"] == b"3"


def test_7_6_1_what_says_where_a_message_goes_and_ends_cannot_be_named_away() -> None:
    request = get(b"/", b"Connection: host, content-length, x-forwarded-for, via", b"Content-Length: 2", method=b"POST") + b"hi"
    found = sent(request=request)
    assert found["host"] == [HOST]
    assert found["content-length"] == [b"2"]
    assert found["x-forwarded-for"] == [b"192.0.2.7"]
    assert found["via"] == [b"1.1 grand-central"]


def test_7_6_2_max_forwards_counts_down() -> None:
    for method in (b"OPTIONS", b"TRACE"):
        assert sent(request=get(b"/", b"Max-Forwards: 3", method=method))["max-forwards"] == [b"2"]
    assert sent(b"Max-Forwards: 3")["max-forwards"] == [b"3"]


def test_7_6_2_at_zero_the_gateway_answers_itself() -> None:
    gateway = Gateway()
    client = gateway.client()
    client.send(get(b"/x", b"Max-Forwards: 0", b"Cookie: secret", b"A: b", method=b"TRACE"))
    client.send(get(b"*", b"Max-Forwards: 0", method=b"OPTIONS"))
    trace, options = client.answers(b"TRACE", b"OPTIONS")
    assert gateway.origin == []
    assert (trace.status, trace["content-type"]) == (200, b"message/http")
    assert trace.body.startswith(b"TRACE /x HTTP/1.1\r\n")
    assert b"A: b" in trace.body
    assert b"secret" not in trace.body
    assert options.status == 200
    assert b"GET" in options["allow"]


def test_7_6_3_via_is_added_both_ways() -> None:
    assert sent()["via"] == [b"1.1 grand-central"]
    assert sent(request=b"GET / HTTP/1.0\r\nHost: " + HOST + b"\r\n\r\n")["via"] == [b"1.0 grand-central"]
    client, _ = Gateway().ask(get(), b"HTTP/1.0 200 OK\r\nContent-Length: 0\r\n\r\n")
    assert client.answer()["via"] == b"1.0 grand-central"


def test_7_6_3_via_is_appended_to() -> None:
    assert b", ".join(sent(b"Via: 1.0 fred", b"via: 1.1 p.example")["via"]) == b"1.0 fred, 1.1 p.example, 1.1 grand-central"
    client, _ = Gateway().ask(get(), OK.replace(b"\r\n\r\n", b"\r\nVia: 1.1 fred\r\n\r\n"))
    assert client.answer()["via"] == b"1.1 fred, 1.1 grand-central"


def test_7_7_path_query_and_content_are_not_touched() -> None:
    body = bytes(range(256))
    gateway = Gateway()
    request = get(b"/%7Euser//x/../%2F?a=%20+b;c", b"Content-Encoding: gzip", b"Content-Length: 256", method=b"POST") + body
    client, origin = gateway.ask(request, b"HTTP/1.1 200 OK\r\nContent-Length: 256\r\n\r\n" + body)
    line, fields, sent_body = split_request(origin.received)
    assert line == b"POST /%7Euser//x/../%2F?a=%20+b;c HTTP/1.1"
    assert dict(fields)["content-encoding"] == b"gzip"
    assert sent_body == client.answer().body == body


# -- §7.8 Upgrade --------------------------------------------------------------------------------------------------------


def tunnel() -> tuple[Gateway, object, object]:
    gateway = Gateway()
    client, origin = gateway.ask(WEBSOCKET, SWITCHED)
    return gateway, client, origin


def test_7_8_an_upgrade_becomes_a_tunnel() -> None:
    gateway = Gateway()
    client, origin = gateway.ask(WEBSOCKET, SWITCHED)
    fields = dict(split_request(origin.received)[1])
    assert (fields["connection"], fields["upgrade"]) == (b"upgrade", b"websocket")
    answer = client.answer()
    assert (answer.status, answer["connection"], answer["upgrade"]) == (101, b"upgrade", b"websocket")
    client.send(b"\x00\r\n\r\nGET / HTTP/1.1\r\n")
    origin.send(b"\xff\x00frame")
    assert origin.received.endswith(b"\x00\r\n\r\nGET / HTTP/1.1\r\n")
    assert client.received.endswith(b"\xff\x00frame")
    [ticket] = gateway.stacks.ready.values()
    assert (ticket.in_flight, ticket.streams) == (1, 1)


def test_7_8_early_bytes_go_through_the_tunnel() -> None:
    client, origin = Gateway().ask(WEBSOCKET + b"early frame", SWITCHED + b"first frame")
    assert origin.received.endswith(b"\r\n\r\nearly frame")
    assert client.received.endswith(b"\r\n\r\nfirst frame")


@pytest.mark.parametrize("first", ["client", "origin"])
def test_7_8_a_tunnel_closes_one_half_after_the_other(first: str) -> None:
    gateway = Gateway()
    client, origin = gateway.ask(WEBSOCKET, SWITCHED)
    one, other = (client, origin) if first == "client" else (origin, client)
    one.finish()
    assert other.transport.finished
    assert not one.closed
    other.send(b"last words")
    assert one.received.endswith(b"last words")
    other.finish()
    assert client.transport.gone
    assert origin.transport.gone
    [ticket] = gateway.stacks.ready.values()
    assert (ticket.in_flight, ticket.streams) == (0, 0)


@pytest.mark.parametrize("first", ["client", "origin"])
def test_7_8_a_tunnel_ends_when_either_side_breaks_off(first: str) -> None:
    gateway = Gateway()
    client, origin = gateway.ask(WEBSOCKET, SWITCHED)
    one, other = (client, origin) if first == "client" else (origin, client)
    one.break_off()
    assert other.transport.gone
    [ticket] = gateway.stacks.ready.values()
    assert (ticket.in_flight, ticket.streams) == (0, 0)


def test_7_8_a_refused_upgrade_is_an_answer_like_any_other() -> None:
    gateway = Gateway()
    client, origin = gateway.ask(WEBSOCKET, b"HTTP/1.1 403 Forbidden\r\nContent-Length: 2\r\n\r\nno")
    assert client.answer().status == 403
    client.send(get())
    origin.send(OK)
    assert [answer.status for answer in client.answers()] == [403, 200]


@pytest.mark.parametrize(
    "request_",
    [
        get(b"/", b"Upgrade: websocket"),
        WEBSOCKET.replace(b"HTTP/1.1", b"HTTP/1.0"),
        get(b"/", b"Connection: Upgrade, HTTP2-Settings", b"Upgrade: h2c", b"HTTP2-Settings: AAMAAABkAARAAAAAAAIAAAAA"),
    ],
)
def test_7_8_upgrades_that_are_not_passed_on(request_: bytes) -> None:
    found = sent(request=request_)
    assert "upgrade" not in found
    assert "connection" not in found
    assert "http2-settings" not in found


@pytest.mark.parametrize(
    ("request_", "answer"),
    [(get(), SWITCHED), (WEBSOCKET, SWITCHED.replace(b"websocket", b"other")), (WEBSOCKET, b"HTTP/1.1 101 Switching\r\n\r\n")],
)
def test_7_8_a_101_that_nobody_asked_for_is_502(request_: bytes, answer: bytes) -> None:
    client, origin = Gateway().ask(request_, answer)
    assert client.answer().status == 502
    assert origin.reset


def test_15_5_22_a_426_keeps_saying_to_what() -> None:
    answer = b"HTTP/1.1 426 Upgrade Required\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nContent-Length: 0\r\n\r\n"
    client, _ = Gateway().ask(get(), answer)
    assert client.answer()["upgrade"] == b"websocket"


# -- methods -------------------------------------------------------------------------------------------------------------


def test_8_6_no_length_in_answers_that_have_no_content() -> None:
    client, _ = Gateway().ask(get(), b"HTTP/1.1 204 No Content\r\nContent-Length: 0\r\n\r\n")
    assert "content-length" not in client.answer()


@pytest.mark.parametrize("method", [b"PROPFIND", b"get", b"M-SEARCH", b"!"])
def test_9_1_unknown_methods_are_passed_on(method: bytes) -> None:
    _, origin = Gateway().ask(get(method=method), OK)
    assert origin.received.startswith(method + b" / ")


def test_9_2_2_a_post_never_goes_over_a_connection_that_was_kept() -> None:
    gateway = Gateway()
    client, _ = gateway.ask(get(), OK)
    client.send(get(b"/", b"Content-Length: 2", method=b"POST") + b"hi")
    assert len(gateway.origin) == 2
    gateway.origin[1].finish()
    assert len(gateway.origin) == 2
    assert client.answers()[-1].status == 502


def test_9_3_2_head_has_the_fields_and_no_content() -> None:
    client, _ = Gateway().ask(get(method=b"HEAD"), b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\nA: b\r\n\r\n")
    answer = client.answer(b"HEAD")
    assert (answer["content-length"], answer["a"]) == (b"1000", b"b")
    client, _ = Gateway().ask(get(method=b"HEAD"), b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
    assert client.answer(b"HEAD").status == 200


def test_9_3_2_head_of_our_own_answers() -> None:
    gateway = Gateway()
    client = gateway.client()
    client.send(get(method=b"HEAD", host=b"nobody.test") + get(method=b"HEAD", host=b"nobody.test"))
    assert [answer.status for answer in client.answers(b"HEAD", b"HEAD")] == [404, 404]


def test_9_3_6_connect_is_refused() -> None:
    gateway = Gateway()
    client = gateway.client()
    client.send(b"CONNECT " + HOST + b":443 HTTP/1.1\r\nHost: " + HOST + b"\r\n\r\n\x16\x03\x01")
    assert client.answer().status == 405
    assert "allow" in client.answer()
    assert client.closed
    assert gateway.origin == []


def test_9_3_8_trace_is_passed_on_and_has_no_content() -> None:
    assert sent(request=get(method=b"TRACE"))["host"] == [HOST]
    gateway = Gateway()
    client = gateway.client()
    client.send(get(b"/", b"Content-Length: 2", method=b"TRACE") + b"hi")
    assert client.answer().status == 400
    assert gateway.origin == []


# -- §10.1.1 Expect ------------------------------------------------------------------------------------------------------


EXPECT = get(b"/", b"Expect: 100-continue", b"Content-Length: 5", method=b"POST")


def test_10_1_1_the_expectation_and_its_answer_are_passed_on() -> None:
    gateway = Gateway()
    client, origin = gateway.ask(EXPECT, b"HTTP/1.1 100 Continue\r\n\r\n")
    assert b"Expect: 100-continue\r\n" in origin.received
    assert client.received == b"HTTP/1.1 100 Continue\r\nVia: 1.1 grand-central\r\n\r\n"
    client.send(b"hello")
    origin.send(OK)
    assert origin.received.endswith(b"\r\n\r\nhello")
    assert [answer.status for answer in client.answers()] == [100, 200]
    assert not client.closed


def test_10_1_1_a_final_answer_instead_ends_the_connection() -> None:
    client, _ = Gateway().ask(EXPECT, b"HTTP/1.1 417 Expectation Failed\r\nContent-Length: 0\r\n\r\n")
    assert (client.answer().status, client.answer()["connection"]) == (417, b"close")
    assert client.closed


def test_10_1_1_a_client_of_1_0_expects_nothing() -> None:
    assert "expect" not in sent(request=EXPECT.replace(b"HTTP/1.1", b"HTTP/1.0"))


def test_10_1_4_te_is_for_us_only() -> None:
    assert "te" not in sent(b"Connection: TE", b"TE: trailers, deflate;q=0.5")


def test_11_6_2_authorization_is_passed_on() -> None:
    lines = (b"Authorization: Basic Zm9v", b"Proxy-Authorization: Basic YmFy")
    found = sent(*lines)
    assert found["authorization"] == [b"Basic Zm9v"]
    client, _ = Gateway().ask(get(), b"HTTP/1.1 401 Unauthorized\r\nWWW-Authenticate: Basic\r\nContent-Length: 0\r\n\r\n")
    assert client.answer()["www-authenticate"] == b"Basic"


@pytest.mark.parametrize("status", [b"100 Continue", b"102 Processing", b"103 Early Hints", b"199 Odd"])
def test_15_2_interim_answers_are_passed_on(status: bytes) -> None:
    hints = b"HTTP/1.1 " + status + b"\r\nLink: </a.css>; rel=preload\r\n\r\n"
    client, _ = Gateway().ask(get(), hints + hints + OK)
    answers = client.answers()
    assert [answer.status for answer in answers] == [int(status[:3])] * 2 + [200]
    assert answers[0]["link"] == b"</a.css>; rel=preload"


@pytest.mark.parametrize("piece", [0, 1])
def test_15_2_but_not_to_a_client_of_1_0(piece: int) -> None:
    answer = b"HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n" + OK
    client, _ = Gateway().ask(b"GET / HTTP/1.0\r\nHost: " + HOST + b"\r\n\r\n", answer, piece)
    assert [answer.status for answer in client.answers()] == [200]


def test_15_2_an_application_that_never_comes_to_the_point() -> None:
    client, origin = Gateway().ask(get(), b"HTTP/1.1 102 Processing\r\n\r\n" * 100)
    assert client.answers()[-1].status == 502
    assert origin.reset


# -- RFC 7239 and its forerunners ----------------------------------------------------------------------------------------


CLAIMS = (
    b"X-Forwarded-For: 1.1.1.1",
    b"X-Forwarded-Proto: https",
    b"X-Forwarded-Host: evil",
    b"Forwarded: for=1.1.1.1",
    b"X-Forwarded-Port: 1",
    b"X_Forwarded_For: 2.2.2.2",
    b"X-Real-IP: 3.3.3.3",
    b"x-forwarded-ssl: on",
)


def test_rfc_7239_5_what_a_client_claims_of_itself_is_not_believed() -> None:
    found = sent(*CLAIMS)
    assert found["x-forwarded-for"] == [b"192.0.2.7"]
    assert found["x-forwarded-proto"] == [b"http"]
    assert found["x-forwarded-host"] == [HOST]
    assert found["forwarded"] == [b'for=192.0.2.7;proto=http;host="' + HOST + b'"']
    assert not {"x-forwarded-port", "x_forwarded_for", "x-real-ip", "x-forwarded-ssl"} & set(found)


def test_rfc_7239_5_what_a_trusted_proxy_says_is_kept_and_added_to() -> None:
    settings = HttpSettings(trusted_proxies=(ip_network("192.0.2.0/24"),))
    found = sent(*CLAIMS, settings=settings)
    assert found["x-forwarded-for"] == [b"1.1.1.1, 192.0.2.7"]
    assert found["x-forwarded-proto"] == [b"https"]
    assert found["x-forwarded-host"] == [b"evil"]
    assert found["forwarded"] == [b'for=1.1.1.1, for=192.0.2.7;proto=http;host="' + HOST + b'"']
    assert found["x-forwarded-port"] == [b"1"]


def test_rfc_7239_6_an_ipv6_address_is_bracketed_and_quoted() -> None:
    found = sent(peer="2001:db8::1")
    assert found["x-forwarded-for"] == [b"2001:db8::1"]
    assert found["forwarded"][0].startswith(b'for="[2001:db8::1]";')
