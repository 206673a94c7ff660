"""Too many connections: each limit is answered with its status, and forgotten when there is room."""

from __future__ import annotations

from ipaddress import ip_network

from .rig import OK, Gateway, HttpSettings, Peer, get


def served(gateway: Gateway, client: Peer) -> bool:
    client.send(get())
    if gateway.origin and not client.received:
        gateway.origin[-1].send(OK)
    return client.answer().status == 200


def test_an_address_may_have_so_many_connections_and_another_address_has_its_own() -> None:
    gateway = Gateway(HttpSettings(max_connections_per_client=2))
    first, second = gateway.client(), gateway.client()
    third = gateway.client()
    answer = third.answer()
    assert (answer.status, answer["connection"], answer["retry-after"]) == (503, b"close", b"1")
    assert b"too-many-connections" in answer.body
    assert b"192.0.2.7" in answer.body
    assert third.closed
    assert served(gateway, first)
    assert served(gateway, second)
    assert served(gateway, gateway.client("192.0.2.8"))
    assert gateway.front.counters.turned_away == 1


def test_one_that_leaves_makes_room() -> None:
    gateway = Gateway(HttpSettings(max_connections_per_client=1))
    first = gateway.client()
    assert gateway.client().answer().status == 503
    first.finish()
    gateway.wait(5)
    assert served(gateway, gateway.client())


def test_there_may_be_so_many_connections_in_all() -> None:
    gateway = Gateway(HttpSettings(max_connections=2))
    clients = [gateway.client(f"192.0.2.{n}") for n in range(3)]
    assert clients[2].answer().status == 503
    clients[2].finish()
    gateway.wait(5)
    clients[0].finish()
    gateway.wait(5)
    assert served(gateway, gateway.client("192.0.2.9"))


def test_a_proxy_that_we_trust_stands_for_many() -> None:
    gateway = Gateway(HttpSettings(max_connections_per_client=1, trusted_proxies=(ip_network("192.0.2.0/24"),)))
    assert all(served(gateway, gateway.client()) for _ in range(3))
