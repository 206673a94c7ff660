"""Behind balancers that speak the PROXY protocol, and behind proxies that say in fields who asks."""

from __future__ import annotations

from ipaddress import ip_network
from typing import Any

import pytest

from grandcentral.core.forwarding import UNIX, plain_address
from grandcentral.frontends.http.settings import HttpSettings
from grandcentral.wire.proxyprotocol import SIGNATURE

from .rig import OK, Address, Gateway, Peer, get, split_request

BALANCER = "10.0.0.9"
V1 = b"PROXY TCP4 192.0.2.7 10.0.0.1 40000 80\r\n"
V1_OF_6 = b"PROXY TCP6 2001:db8::7 2001:db8::1 40000 80\r\n"
V2 = SIGNATURE + b"\x21\x11\0\x10" + bytes((192, 0, 2, 7, 10, 0, 0, 1)) + b"\x9c\x40\0\x50" + b"\x04\0\x01x"
LOCAL = SIGNATURE + b"\x20\0\0\0"
FROM_A_SOCKET = SIGNATURE + b"\x21\x31\0\xd8" + bytes(216)


def settings(**more: Any) -> HttpSettings:
    return HttpSettings(proxy_protocol=(ip_network("10.0.0.0/8"), UNIX), **more)


def connect(gateway: Gateway, peer: str) -> Peer:
    protocol = gateway.front.buildProtocol(Address(peer))  # type: ignore[arg-type]
    assert protocol is not None
    return gateway._attach(protocol, peer)


def forwarded(gateway: Gateway) -> dict[str, bytes]:
    return dict(split_request(gateway.origin[-1].received)[1])


@pytest.mark.parametrize("piece", [0, 1])
@pytest.mark.parametrize(
    ("header", "client"),
    [(V1, b"192.0.2.7"), (V2, b"192.0.2.7"), (V1_OF_6, b"2001:db8::7"), (LOCAL, b"10.0.0.9"), (FROM_A_SOCKET, b"unknown")],
)
def test_the_client_is_whom_the_header_names(header: bytes, client: bytes, piece: int) -> None:
    gateway = Gateway(settings())
    balancer = connect(gateway, BALANCER)
    balancer.send(header + get(), piece)
    gateway.origin[-1].send(OK)
    assert balancer.answer().status == 200
    fields = forwarded(gateway)
    assert fields["x-forwarded-for"] == client
    wanted = b'"[2001:db8::7]"' if b":" in client else client
    assert fields["forwarded"].startswith(b"for=" + wanted + b";")


def test_the_connection_goes_on_as_any_other() -> None:
    gateway = Gateway(settings())
    balancer = connect(gateway, BALANCER)
    balancer.send(V1 + get(b"/1") + get(b"/2"))
    gateway.origin[-1].send(OK)
    gateway.origin[-1].send(OK)
    balancer.send(get(b"/3"))
    gateway.origin[-1].send(OK)
    assert [answer.status for answer in balancer.answers()] == [200] * 3
    balancer.finish()
    assert balancer.closed
    assert gateway.front.connections == 0


@pytest.mark.parametrize("data", [get(), b"PROXY TCP4 here there 1 2\r\n" + get(), SIGNATURE + b"\x22\x11\0\0"])
def test_who_has_to_send_a_header_and_does_not_is_cut_off_without_an_answer(data: bytes) -> None:
    gateway = Gateway(settings())
    balancer = connect(gateway, BALANCER)
    balancer.send(data)
    assert balancer.reset
    assert balancer.received == b""
    assert not gateway.origin


@pytest.mark.parametrize("data", [b"", V1[:20], V2[:20]])
def test_a_header_that_does_not_come_is_not_waited_for_longer_than_a_head(data: bytes) -> None:
    gateway = Gateway(settings(head_timeout=5.0))
    balancer = connect(gateway, BALANCER)
    balancer.send(data)
    gateway.wait(4)
    assert not balancer.closed
    gateway.wait(3)
    assert balancer.closed
    assert balancer.received == b""


@pytest.mark.parametrize("data", [b"", V1[:20]])
def test_a_balancer_that_leaves_before_it_has_said_whose_connection_it_is_gets_no_answer(data: bytes) -> None:
    gateway = Gateway(settings())
    balancer = connect(gateway, BALANCER)
    balancer.send(data)
    balancer.finish()
    assert balancer.closed
    assert balancer.received == b""
    assert gateway.front.connections == 0


def test_nobody_else_is_believed() -> None:
    gateway = Gateway(settings())
    client = connect(gateway, "192.0.2.66")
    client.send(V1 + get())
    assert client.answer().status == 400
    ordinary = connect(gateway, "192.0.2.66")
    ordinary.send(get())
    gateway.origin[-1].send(OK)
    assert forwarded(gateway)["x-forwarded-for"] == b"192.0.2.66"


def test_a_unix_socket_can_be_a_balancer_and_a_proxy() -> None:
    gateway = Gateway(settings(trusted_proxies=(UNIX,)))
    balancer = connect(gateway, "")
    balancer.send(LOCAL + get(b"/", b"X-Forwarded-For: 192.0.2.1"))
    assert forwarded(gateway)["x-forwarded-for"] == b"192.0.2.1, unknown"


def test_fields_are_believed_of_the_proxy_that_the_header_names_and_not_of_the_balancer() -> None:
    for trusted, seen in ((ip_network("192.0.2.7"), b"198.51.100.1, 192.0.2.7"), (ip_network("10.0.0.0/8"), b"192.0.2.7")):
        gateway = Gateway(settings(trusted_proxies=(trusted,)))
        connect(gateway, BALANCER).send(V1 + get(b"/", b"X-Forwarded-For: 198.51.100.1"))
        assert forwarded(gateway)["x-forwarded-for"] == seen


@pytest.mark.parametrize(
    ("host", "plain"), [("::ffff:192.0.2.7", "192.0.2.7"), ("fe80::1%eth0", "fe80::1"), ("192.0.2.7", "192.0.2.7"), ("", "")]
)
def test_an_address_is_told_without_its_zone_and_ipv4_as_such(host: str, plain: str) -> None:
    assert plain_address(host) == plain


def test_chains_of_trusted_proxies_grow_at_the_end_rfc7239_section_4_and_7_1() -> None:
    gateway = Gateway(HttpSettings(trusted_proxies=(ip_network("10.0.0.0/8"),)))
    gateway.client(BALANCER).send(
        get(
            b"/",
            b'Forwarded: for="[2001:db8::1]:4711";proto=https',
            b"Forwarded: for=198.51.100.1",
            b"X-Forwarded-For: 2001:db8::1",
            b"X-Forwarded-For: 198.51.100.1",
            b"X-Forwarded-Proto: https",
        )
    )
    fields = forwarded(gateway)
    assert fields["forwarded"].startswith(b'for="[2001:db8::1]:4711";proto=https, for=198.51.100.1, for=10.0.0.9;proto=http;')
    assert fields["x-forwarded-for"] == b"2001:db8::1, 198.51.100.1, 10.0.0.9"
    assert fields["x-forwarded-proto"] == b"https"
