"""Endpoint strings: what the gateway can listen on; and that Twisted reads them the same way."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st
from twisted.internet import endpoints as twisted
from twisted.internet.testing import MemoryReactor

from grandcentral.config.endpoints import Listen, door, parse, parse_door
from grandcentral.core.model import Door


@pytest.mark.parametrize(
    ("text", "listen"),
    [
        ("tcp:8080", Listen("tcp:8080", "tcp", 8080)),
        ("tcp:port=8080", Listen("tcp:port=8080", "tcp", 8080)),
        ("tcp:80:interface=127.0.0.1", Listen("tcp:80:interface=127.0.0.1", "tcp", 80, "127.0.0.1")),
        (r"tcp:80:interface=\:\:1:backlog=5", Listen(r"tcp:80:interface=\:\:1:backlog=5", "tcp", 80, "::1")),
        ("unix:/run/g.sock:mode=660", Listen("unix:/run/g.sock:mode=660", "unix")),
    ],
)
def test_what_we_take_twisted_takes(text: str, listen: Listen) -> None:
    assert parse(text) == listen
    twisted.serverFromString(MemoryReactor(), text)


@pytest.mark.parametrize("text", ["systemd:domain=INET:index=0", "systemd:INET6:name=http"])
def test_sockets_from_systemd(text: str) -> None:
    assert parse(text) == Listen(text, "systemd")


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "is not an endpoint"),
        ("8080", "is not an endpoint"),
        ("postgresql:5432", "is not an endpoint"),
        ("tcp:", "names no port"),
        ("tcp", "names no port"),
        ("tcp:http", '"http" is not a port'),
        ("tcp:70000", '"70000" is not a port'),
        ("tcp:80:localhost", "takes backlog, interface, port"),
        ("tcp:80:iface=lo", "takes backlog, interface, port"),
        ("unix:", "names no address"),
        ("systemd:INET", "either index= or name="),
        ("systemd:domain=TCP:index=0", "needs a domain"),
        ("systemd:domain=INET:index=x", '"x" is not an index'),
        ("tls:443", "tls: endpoints are not in this version yet"),
        ("ssl:443", "ssl: endpoints are not in this version yet"),
        ("haproxy:tcp:80", "haproxy: endpoints are not in this version yet"),
    ],
)
def test_what_we_do_not_take_has_a_reason(text: str, why: str) -> None:
    with pytest.raises(ValueError, match=why):
        parse(text)


@pytest.mark.parametrize(
    ("first", "second", "collide"),
    [
        ("tcp:80", "tcp:80", True),
        ("tcp:80", "tcp:80:interface=127.0.0.1", True),
        ("tcp:80:interface=10.0.0.1", "tcp:80:interface=127.0.0.1", False),
        ("tcp:80", "tcp:81", False),
        ("tcp:0", "tcp:0", False),
        ("unix:/a", "unix:/a", True),
        ("unix:/a", "unix:/b", False),
        ("tcp:80", "unix:/a", False),
    ],
)
def test_which_collide(first: str, second: str, collide: bool) -> None:
    assert parse(first).collides(parse(second)) is collide
    assert parse(second).collides(parse(first)) is collide


@given(st.text() | st.from_regex(r"(tcp|unix|systemd)(:[a-z0-9=\\:]{0,8}){0,3}", fullmatch=True))
def test_any_text_is_an_endpoint_or_a_value_error(text: str) -> None:
    try:
        listen = parse(text)
    except ValueError:
        return
    assert listen.kind in ("tcp", "unix", "systemd")


class TestPortsOfApps:
    def test_what_is_spoken_there_is_said_first(self) -> None:
        assert door("postgresql:5432", "db") == Door("postgresql", "tcp:5432", "db")
        assert door("redis:6379:interface=127.0.0.1", "cache") == Door("redis", "tcp:6379:interface=127.0.0.1", "cache")
        assert door("tcp:2525", "mail") == Door("tcp", "tcp:2525", "mail")
        assert parse_door("redis:6379:interface=::1".replace("::", "\\:\\:")).interface == "::1"

    @pytest.mark.parametrize(
        ("text", "why"),
        [
            ("mysql:3306", "what an app can listen for is postgresql, redis and tcp: write one such as"),
            ("postgresql", "what an app can listen for is"),
            ("unix:/run/db", "what an app can listen for is"),
            ("postgresql:x", '"postgresql:x": "x" is not a port'),
            ("postgresql:", '"postgresql:" names no port: write one such as "postgresql:5432"'),
            ("redis:6379:iface=lo", '"redis:6379:iface=lo": a tcp: endpoint takes backlog, interface, port'),
            ("tcp:0", "nobody would know the port"),
        ],
    )
    def test_what_we_do_not_take_has_a_reason(self, text: str, why: str) -> None:
        with pytest.raises(ValueError, match=re.escape(why)):
            parse_door(text)

    def test_one_port_is_one_listener_s(self) -> None:
        assert parse_door("redis:80").collides(parse("tcp:80:interface=127.0.0.1"))
        assert parse_door("redis:80").collides(parse_door("postgresql:80"))
        assert not parse_door("redis:80").collides(parse_door("redis:81"))
