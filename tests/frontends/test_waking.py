"""Which requests the front door wakes a stack for, what the others are told, and which of them count as use."""

from __future__ import annotations

import json
from ipaddress import ip_network

from attrs import evolve

from grandcentral.core.keys import Key
from grandcentral.core.model import App, Endpoint
from grandcentral.core.waking import Judges, Rule
from grandcentral.frontdoor import judges
from tests.workers.rig import configuration

from .rig import HOST, OK, Gateway, HttpSettings, Peer, get

KEY = Key("app", "abc")
POLL = get(b"/poll", b"Sec-Fetch-Mode: cors", b"Accept: */*")
PAGE = get(b"/", b"Sec-Fetch-Mode: navigate", b"Accept: text/html")
QUIET = Judges({"app": [Rule(path="/poll", keeps_alive=False), Rule(path="/cable", keeps_alive=False)]})
UPGRADE = (b"Connection: upgrade", b"Upgrade: websocket")
SWITCHED = b"HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n"


def sleeping(settings: HttpSettings | None = None) -> Gateway:
    gateway = Gateway(settings, cold=True)
    gateway.stacks.asleep = True
    return gateway


def ask(gateway: Gateway, request: bytes, peer: str = "192.0.2.7") -> Peer:
    client = gateway.client(peer)
    client.send(request)
    return client


class TestWaking:
    def test_a_tab_that_polls_is_told_that_it_sleeps_and_a_page_wakes_it(self) -> None:
        gateway = sleeping()
        answer = ask(gateway, POLL).answer()
        assert (answer.status, answer["content-type"]) == (503, b"application/problem+json")
        assert (answer["x-grand-central-state"], answer["retry-after"]) == (b"asleep", b"30")
        assert json.loads(answer.body)["type"] == "/problems/asleep"
        held = ask(gateway, PAGE)
        assert held.received == b""
        assert [wakes for wakes, _ in gateway.stacks.asked] == [False, True]

    def test_its_connection_is_kept_and_the_next_request_on_it_may_wake(self) -> None:
        gateway = sleeping()
        client = ask(gateway, POLL)
        client.send(get(b"/like", b"Sec-Fetch-Mode: cors", b"Content-Length: 2", method=b"POST") + b"hi")
        assert [wakes for wakes, _ in gateway.stacks.asked] == [False, True]
        gateway.stacks.wake()
        gateway.origin[-1].send(OK)
        assert [answer.status for answer in client.answers()] == [503, 200]

    def test_who_reads_html_gets_a_page_that_says_how_to_wake_it_and_does_not_ask_again_by_itself(self) -> None:
        gateway = sleeping()
        answer = ask(gateway, get(b"/<x>", b"User-Agent: Googlebot/2.1", b"Accept: text/html")).answer()
        assert (answer.status, answer["x-grand-central-state"]) == (503, b"asleep")
        assert answer["content-type"].startswith(b"text/html")
        assert b'<a href="/">' in answer.body
        assert b"<x>" not in answer.body
        assert "refresh" not in answer

    def test_a_monitor_that_asks_for_the_head_gets_the_head(self) -> None:
        gateway = sleeping()
        client = ask(gateway, get(b"/", b"User-Agent: Uptime-Kuma/1.23", method=b"HEAD"))
        answer = client.answer(b"HEAD")
        assert (answer.status, answer["x-grand-central-state"], answer.body) == (503, b"asleep", b"")

    def test_one_that_sleeps_is_the_only_one_called_so(self) -> None:
        gateway = Gateway()
        assert "x-grand-central-state" not in ask(gateway, get(host=b"nobody.test")).answer()

    def test_a_request_that_does_not_wake_is_held_where_the_table_holds_it(self) -> None:
        gateway = Gateway(cold=True)  # it is starting already
        client = ask(gateway, POLL)
        gateway.wait(60)
        assert client.received == b""
        gateway.stacks.wake()
        gateway.origin[-1].send(OK)
        assert client.answer().status == 200

    def test_one_whose_stack_went_to_sleep_under_it_does_not_wake_it_again(self) -> None:
        gateway = Gateway()
        gateway.stacks.cold_when_lost = True
        gateway.refuses = True
        ask(gateway, POLL)
        assert gateway.stacks.asked == [(False, "")]

    def test_rules_of_the_app_come_first(self) -> None:
        gateway = sleeping()
        gateway.front.judges = Judges({"app": [Rule(path="/poll", wakes=True), Rule(wakes=False)]})
        ask(gateway, POLL)
        ask(gateway, PAGE)
        assert [wakes for wakes, _ in gateway.stacks.asked] == [True, False]

    def test_nothing_is_judged_for_a_stack_that_is_awake(self) -> None:
        gateway = Gateway()
        ask(gateway, POLL)
        assert gateway.stacks.asked == []

    def test_what_is_fixed_cannot_sleep_and_so_nobody_is_told_that_it_does(self) -> None:
        fixed = App("fixed", "static", ("fixed.test",), upstream=Endpoint("127.0.0.1", 1))
        made = judges(evolve(configuration(), apps=(fixed, App("app", "process"))))
        assert made.wakes("fixed", b"GET", b"/favicon.ico", b"User-Agent: Googlebot/2.1\r\n\r\n")
        assert not made.wakes("app", b"GET", b"/favicon.ico", b"\r\n")


class TestClient:
    def test_who_asks_is_told_to_the_table(self) -> None:
        gateway = sleeping()
        ask(gateway, PAGE, "198.51.100.1")
        ask(gateway, get(b"/", b"X-Forwarded-For: 203.0.113.9"), "198.51.100.1")
        assert gateway.stacks.asked == [(True, "198.51.100.1"), (True, "198.51.100.1")]

    def test_seen_through_proxies_that_are_trusted(self) -> None:
        gateway = sleeping(HttpSettings(trusted_proxies=(ip_network("198.51.100.0/24"),)))
        ask(gateway, get(b"/", b"X-Forwarded-For: 203.0.113.9, 198.51.100.7"), "198.51.100.1")
        assert gateway.stacks.asked == [(True, "203.0.113.9")]


class TestKeepingAlive:
    def test_a_request_that_does_not_is_in_flight_and_leaves_the_times_alone(self) -> None:
        gateway = Gateway()
        gateway.front.judges = QUIET
        ticket = gateway.stacks.ticket(KEY)
        gateway.wait(100)
        client = ask(gateway, POLL)
        assert (ticket.in_flight, ticket.requests, ticket.last_used) == (1, 1, 0.0)
        gateway.wait(1)
        gateway.origin[-1].send(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nsl")
        gateway.origin[-1].send(b"ow")
        assert client.answer().status == 200
        assert (ticket.in_flight, ticket.last_used, ticket.last_byte) == (0, 0.0, float("-inf"))

    def test_nor_if_the_client_leaves(self) -> None:
        gateway = Gateway()
        gateway.front.judges = QUIET
        gateway.wait(100)
        ask(gateway, POLL).break_off()
        ticket = gateway.stacks.ticket(KEY)
        assert (ticket.in_flight, ticket.last_used) == (0, 0.0)

    def test_a_stream_that_does_not_is_as_good_as_silent(self) -> None:
        gateway = Gateway()
        gateway.front.judges = QUIET
        gateway.wait(100)
        client = ask(gateway, get(b"/cable", *UPGRADE))
        gateway.origin[-1].send(SWITCHED + b"hello")
        client.send(b"hello")
        ticket = gateway.stacks.ticket(KEY)
        assert (ticket.in_flight, ticket.streams, ticket.last_byte) == (1, 1, float("-inf"))
        client.finish()
        gateway.origin[-1].finish()
        assert (ticket.in_flight, ticket.streams, ticket.last_used) == (0, 0, 0.0)

    def test_others_of_the_same_app_and_those_of_other_apps_do(self) -> None:
        gateway = Gateway()
        gateway.front.judges = QUIET
        gateway.wait(100)
        ask(gateway, get(b"/poll/more"))
        ticket = gateway.stacks.ticket(KEY)
        assert ticket.last_used == 100.0
        gateway.front.judges = Judges({"other": [Rule(keeps_alive=False)]})
        gateway.wait(1)
        client = ask(gateway, POLL)
        assert ticket.last_used == 101.0
        gateway.wait(1)
        gateway.origin[-1].send(OK)
        assert client.answer().status == 200
        assert ticket.last_used == 102.0

    def test_rules_that_change_meanwhile_do_not_matter_to_a_request_under_way(self) -> None:
        gateway = Gateway()
        gateway.front.judges = QUIET
        gateway.wait(100)
        client = ask(gateway, get(b"/poll", host=HOST))
        gateway.front.judges = Judges()
        gateway.origin[-1].send(OK)
        assert client.answer().status == 200
        assert gateway.stacks.ticket(KEY).last_used == 0.0
