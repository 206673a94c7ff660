"""How an application asks for more time: a field of its answers, and a call with its own token."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from twisted.logger import LogLevel, globalLogPublisher

from grandcentral.core import leases
from grandcentral.core.keys import Key
from grandcentral.core.tickets import Ticket
from grandcentral.core.waking import Judges, Rule

from .rig import Answer, Gateway, HttpSettings, get

KEY = Key("app", "abc")
TOKEN = leases.token(b"secret", KEY)
BEARER = f"Authorization: Bearer {TOKEN}".encode()
UPGRADE = (b"Connection: upgrade", b"Upgrade: websocket")
SWITCHED = b"HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: websocket\r\n%s\r\n"


def gateway(cold: bool = False) -> Gateway:
    made = Gateway(HttpSettings(max_lease=3600.0), cold=cold)
    made.front.token = lambda key: leases.token(b"secret", key)
    made.wait(100)
    return made


def ok(*fields: bytes) -> bytes:
    return b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n%s\r\nok" % b"".join(line + b"\r\n" for line in fields)


def asks(value: bytes) -> bytes:
    return b"X-Grand-Central-Keep-Alive: " + value


class TestField:
    @pytest.mark.parametrize(("value", "until"), [(b"600", 700.0), (b" 600\t", 700.0), (b"86400", 3700.0), (b"0", 100.0)])
    def test_it_keeps_the_stack_awake_from_now_on_for_no_longer_than_the_limit(self, value: bytes, until: float) -> None:
        rig = gateway()
        rig.ask(get(), ok(asks(value)))
        assert rig.stacks.ticket(KEY).keep_until == until

    def test_the_last_answer_counts(self) -> None:
        rig = gateway()
        ticket = rig.stacks.ticket(KEY)
        untils = []
        for value in (b"600", b"60", b"0", b"30"):
            rig.ask(get(), ok(asks(value)))
            untils.append(ticket.keep_until)
        assert untils == [700.0, 160.0, 100.0, 130.0]

    def test_the_same_bytes_again_extend_it(self) -> None:
        rig = gateway()
        client = rig.client()
        for _ in range(3):
            client.send(get())
            rig.origin[-1].send(ok(asks(b"60")))
            rig.wait(1)
        assert len(rig.origin) == 1
        assert rig.stacks.ticket(KEY).keep_until == 162.0

    def test_clients_do_not_see_it(self) -> None:
        rig = gateway()
        client, _ = rig.ask(get(), ok(b"X-Before: 1", b"x-grand-Central-keep-alive:60", b"X-Forwarded-For: me", b"X-After: 2"))
        answer = client.answer()
        assert "x-grand-central-keep-alive" not in answer
        assert (answer["x-before"], answer["x-forwarded-for"], answer["x-after"]) == (b"1", b"me", b"2")

    @pytest.mark.parametrize("value", [b"", b"soon", b"-1", b"1.5", b"1e3", b"10m", b"60,60", b"0x1", b"9" * 16, "٦".encode()])
    def test_nonsense_changes_nothing_and_is_logged(self, value: bytes) -> None:
        rig = gateway()
        logged = []
        globalLogPublisher.addObserver(logged.append)
        try:
            client, _ = rig.ask(get(), ok(asks(value)))
        finally:
            globalLogPublisher.removeObserver(logged.append)
        assert client.answer().status == 200
        assert "x-grand-central-keep-alive" not in client.answer()
        assert rig.stacks.ticket(KEY).keep_until == 0.0
        assert [(event["log_level"], event["key"]) for event in logged] == [(LogLevel.debug, KEY)]

    def test_of_two_fields_the_last_counts(self) -> None:
        rig = gateway()
        rig.ask(get(), ok(asks(b"600"), asks(b"60")))
        assert rig.stacks.ticket(KEY).keep_until == 160.0

    def test_an_upgraded_connection_may_ask_too(self) -> None:
        rig = gateway()
        client, _ = rig.ask(get(b"/cable", *UPGRADE), SWITCHED % (asks(b"600") + b"\r\n"))
        assert rig.stacks.ticket(KEY).keep_until == 700.0
        assert "x-grand-central-keep-alive" not in client.answers()[0]

    def test_an_interim_answer_asks_for_nothing(self) -> None:
        rig = gateway()
        client, _ = rig.ask(get(), b"HTTP/1.1 103 Early Hints\r\n" + asks(b"600") + b"\r\n\r\n" + ok())
        assert rig.stacks.ticket(KEY).keep_until == 0.0
        assert [answer.status for answer in client.answers()] == [103, 200]
        assert b"keep-alive" not in client.received.lower()

    def test_a_request_that_keeps_nothing_awake_can_bring_a_lease(self) -> None:
        rig = gateway()
        rig.front.judges = Judges({"app": [Rule(keeps_alive=False)]})
        rig.ask(get(), ok(asks(b"600")))
        ticket = rig.stacks.ticket(KEY)
        assert (ticket.keep_until, ticket.last_used) == (700.0, 0.0)

    def test_a_client_cannot_ask_by_the_same_field(self) -> None:
        rig = gateway()
        _, origin = rig.ask(get(b"/", asks(b"600")), ok())
        assert rig.stacks.ticket(KEY).keep_until == 0.0
        assert b"keep-alive" not in origin.received.lower()


def call(rig: Gateway, query: bytes = b"?seconds=600", *fields: bytes, method: bytes = b"POST", path: bytes = b"") -> Answer:
    client = rig.client()
    client.send(get((path or leases.PATH.encode()) + query, *fields, method=method))
    return client.answer(method)


def problem(answer: Answer) -> tuple[int, str]:
    return answer.status, json.loads(answer.body)["type"].rpartition("/")[2]


class TestCall:
    def test_with_its_token_a_stack_stays_awake_and_is_told_until_when(self) -> None:
        rig = gateway()
        rig.stacks.ticket(KEY)
        answer = call(rig, b"?seconds=600", BEARER)
        assert (answer.status, answer["content-type"], answer["cache-control"]) == (200, b"application/json", b"no-store")
        assert json.loads(answer.body) == {"until": "2027-01-15T08:10:00+00:00"}
        ticket = rig.stacks.ticket(KEY)
        assert ticket.keep_until == 700.0
        assert (ticket.requests, ticket.in_flight, ticket.last_used) == (0, 0, 0.0)
        assert rig.origin == []

    def test_no_longer_than_the_limit(self) -> None:
        assert json.loads(call(gateway(), b"?seconds=999999999", BEARER).body) == {"until": "2027-01-15T09:00:00+00:00"}

    def test_0_gives_it_back(self) -> None:
        rig = gateway()
        call(rig, b"?seconds=600", BEARER)
        assert json.loads(call(rig, b"?seconds=0", BEARER).body) == {"until": None}
        assert rig.stacks.ticket(KEY).keep_until == 100.0

    @pytest.mark.parametrize(
        "fields",
        [
            (),
            (b"Authorization: Bearer ",),
            (b"Authorization: Bearer " + TOKEN[:-1].encode(),),
            (b"Authorization: Basic " + TOKEN.encode(),),
            (b"Authorization: Bearer " + leases.token(b"secret", Key("app", "abd")).encode(),),
            (b"Authorization: Bearer " + leases.token(b"other", KEY).encode(),),
            (b"Authorization: Bearer \xe9",),
            (BEARER, BEARER),
            (b"X-Authorization: Bearer " + TOKEN.encode(),),
        ],
    )
    def test_without_the_token_nothing_happens(self, fields: tuple[bytes, ...]) -> None:
        rig = gateway()
        answer = call(rig, b"?seconds=600", *fields)
        assert problem(answer) == (401, "token-needed")
        assert answer["www-authenticate"] == b'Bearer realm="grandcentral"'
        assert rig.stacks.ticket(KEY).keep_until == 0.0

    def test_a_gateway_without_tokens_takes_none(self) -> None:
        rig = gateway()
        rig.front.token = None
        assert problem(call(rig, b"?seconds=600", BEARER)) == (401, "token-needed")

    @pytest.mark.parametrize("query", [b"", b"?", b"?seconds", b"?seconds=", b"?seconds=-1", b"?seconds=1&seconds=2", b"?s=1"])
    def test_nonsense_is_refused_with_the_remedy(self, query: bytes) -> None:
        answer = call(gateway(), query, BEARER)
        assert problem(answer) == (400, "bad-request")
        assert b"seconds=600" in answer.body

    @pytest.mark.parametrize("method", [b"GET", b"HEAD", b"PUT", b"DELETE", b"OPTIONS"])
    def test_other_methods_are_refused(self, method: bytes) -> None:
        answer = call(gateway(), b"?seconds=600", BEARER, method=method)
        assert (answer.status, answer["allow"]) == (405, b"POST")

    @pytest.mark.parametrize(
        "path", [b"/.grand-central", b"/.grand-central/", b"/.grand-central/keep-alive/", b"/.well-known/x", b"/.", b"/"]
    )
    def test_every_other_path_is_the_applications(self, path: bytes) -> None:
        rig = gateway()
        client = rig.client()
        client.send(get(path, BEARER, method=b"POST"))
        rig.origin[-1].send(ok())
        assert client.answer().status == 200

    def test_a_body_is_not_looked_at(self) -> None:
        rig = gateway()
        client = rig.client()
        target = leases.PATH.encode() + b"?seconds=600"
        client.send(get(target, BEARER, b"Content-Length: 2", method=b"POST") + b"hi" + get())
        rig.origin[-1].send(ok())
        assert [answer.status for answer in client.answers()] == [200, 200]

    def test_on_a_host_of_no_app_it_is_as_unknown_as_everything(self) -> None:
        client = gateway().client()
        client.send(get(leases.PATH.encode(), BEARER, method=b"POST", host=b"nobody.test"))
        assert problem(client.answer()) == (404, "unknown-host")


class TestCallAsleep:
    def test_it_wakes_nothing(self) -> None:
        rig = gateway(cold=True)
        rig.stacks.asleep = True
        answer = call(rig, b"?seconds=600", BEARER)
        assert problem(answer) == (503, "asleep")
        assert answer["x-grand-central-state"] == b"asleep"

    def test_what_this_process_does_not_know_to_be_ready_is_asked_for_without_waking(self) -> None:
        rig = gateway(cold=True)
        client = rig.client()
        client.send(get(leases.PATH.encode() + b"?seconds=600", BEARER, method=b"POST"))
        assert rig.stacks.asked == [(False, "")]
        rig.stacks.wake()
        assert client.answer().status == 200
        assert rig.stacks.ticket(KEY).keep_until == 700.0

    def test_while_it_starts_the_application_is_told_to_ask_again_before_it_waits_for_itself(self) -> None:
        rig = gateway(cold=True)
        client = rig.client()
        client.send(get(leases.PATH.encode() + b"?seconds=600", BEARER, method=b"POST"))
        rig.wait(5)
        answer = client.answer()
        assert problem(answer) == (503, "starting")
        assert (answer["retry-after"], "refresh" in answer) == (b"2", False)
        assert rig.stacks.cancelled == 1

    def test_a_caller_that_leaves_is_forgotten(self) -> None:
        rig = gateway(cold=True)
        client = rig.client()
        client.send(get(leases.PATH.encode() + b"?seconds=600", BEARER, method=b"POST"))
        client.break_off()
        assert rig.stacks.cancelled == 1

    def test_the_key_that_counts_is_the_canonical_one(self) -> None:
        rig = gateway()
        canonical = Key("app", "abcdef")
        rig.stacks.ready[KEY] = Ticket(canonical, 1, rig.stacks.ticket(KEY).endpoint)
        assert call(rig, b"?seconds=600", BEARER).status == 401
        assert call(rig, b"?seconds=600", b"Authorization: bearer " + leases.token(b"secret", canonical).encode()).status == 200


@given(st.binary(max_size=20))
def test_a_number_of_seconds_is_digits(text: bytes) -> None:
    seconds = leases.seconds(text)
    assert (seconds is not None) == (text.strip(b" \t").isdigit() and len(text.strip(b" \t")) <= 15)


def test_each_stack_has_its_own_token_and_keeps_it() -> None:
    keys = [Key("app", "abc"), Key("app", "abd"), Key("ap", "pabc"), Key("app")]
    assert len({leases.token(b"s", key) for key in keys}) == 4
    assert leases.token(b"s", keys[0]) == leases.token(b"s", Key("app", "abc")) != leases.token(b"t", keys[0])
