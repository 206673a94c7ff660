"""POST /provision and what belongs to it: who is let in, what is understood, and what is answered."""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import urlencode

import pytest
from attrs import define, evolve, field
from twisted.logger import globalLogPublisher
from zope.interface.verify import verifyObject

from grandcentral.admin.openapi import SCHEMAS
from grandcentral.core.keys import Key
from grandcentral.core.model import Endpoint
from grandcentral.core.tickets import Ticket
from grandcentral.errors import ProvisionedOtherwise, ServiceExited, StartFailed
from grandcentral.interfaces import IProvisioning

from .fakes import ELSEWHERE, TOKEN, Browser, FakeProvisioning, Response, browser
from .test_openapi import faults
from .test_stacks import READY

SECRET = "pre-arrängéd"
ALICE = {"app": "hoodie", "username": "alice", "emailaddress": "alice@example.com", "appname": "shop"}
KEY = Key("hoodie", "alice.shop")
HREF = "/api/v1/provisions/hoodie/alice.shop"
BEARER = {"authorization": f"Bearer {SECRET}"}


@define
class Desk:
    """An admin listener for which somebody provisions; the apps' URLs are made up."""

    secret: str | None = SECRET
    token: str | None = TOKEN
    provisioning: FakeProvisioning = field(factory=FakeProvisioning)
    browser: Browser = field(init=False)

    def __attrs_post_init__(self) -> None:
        self.browser = browser(
            provisioning=self.provisioning,
            provision_secret=lambda: self.secret,
            token=self.token,
            url=lambda key: f"http://{key.name}.test",
            connection=lambda key, password: f"db://{key.name}:{password}",
        )

    def provision(self, query: str = "", given: dict[str, str] | None = None, **fields: Any) -> Response:
        return self.post("/provision" + query, {**ALICE, **fields}, given)

    def post(self, target: str, body: object, given: dict[str, str] | None = None) -> Response:
        text = body if isinstance(body, bytes) else json.dumps(body).encode()
        return self.browser.ask("POST", target, ELSEWHERE, text, **(BEARER if given is None else given))


@pytest.fixture
def desk() -> Desk:
    return Desk()


def test_the_fake_provisions() -> None:
    assert verifyObject(IProvisioning, FakeProvisioning())


# -- who is let in ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("given", "fields"),
    [
        (BEARER, {}),
        ({"authorization": f"bearer  {SECRET}"}, {}),
        ({"authorization": f"Bearer {TOKEN}"}, {}),
        ({}, {"secret": SECRET}),
        ({"authorization": "Basic eDp5"}, {"secret": SECRET}),
    ],
)
def test_the_secret_and_the_token_open(desk: Desk, given: dict[str, str], fields: dict[str, str]) -> None:
    assert desk.provision(given=given, **fields).status == 201


@pytest.mark.parametrize(
    ("given", "fields"),
    [
        ({}, {}),
        ({}, {"secret": ""}),
        ({}, {"secret": SECRET + "x"}),
        ({}, {"secret": [SECRET]}),
        ({}, {"secret": "\ud800"}),
        ({"authorization": "Bearer"}, {}),
        ({"authorization": f"Basic {SECRET}"}, {}),
        ({"authorization": SECRET}, {}),
    ],
)
def test_everything_else_is_refused_and_nothing_is_done(desk: Desk, given: dict[str, str], fields: dict[str, Any]) -> None:
    desk.provisioning.rows[KEY] = evolve_row(desk)
    for answer in (
        desk.provision(given=given, **fields),
        desk.post("/deprovision", {**ALICE, **fields}, given),
        desk.browser.ask("GET", HREF, ELSEWHERE, **given),
        desk.browser.ask("DELETE", HREF, ELSEWHERE, **given),
    ):
        assert (answer.status, answer.json["type"]) == (401, "/problems/secret-needed")
        assert answer.fields["www-authenticate"].startswith("Bearer")
    assert desk.provisioning.asked[1:] == []
    assert KEY in desk.provisioning.rows


def evolve_row(desk: Desk) -> Any:
    desk.provision()
    return desk.provisioning.rows[KEY]


@pytest.mark.parametrize("secret", [None, ""])
def test_where_nothing_is_configured_it_is_closed_and_says_how_to_open_it(secret: str | None) -> None:
    answer = Desk(secret, token=None).provision(given={"authorization": "Bearer "}, secret="")
    assert (answer.status, "secret_file in [provision]" in answer.json["detail"]) == (403, True)


def test_a_secret_that_was_changed_counts_at_once(desk: Desk) -> None:
    desk.secret = "another"
    assert desk.provision().status == 401
    assert desk.provision(given={"authorization": "Bearer another"}).status == 201


def test_the_list_is_for_operators(desk: Desk) -> None:
    desk.provision()
    assert desk.browser.ask("GET", "/api/v1/provisions", ELSEWHERE, **BEARER).status == 401
    [row] = desk.browser.call("GET", "/api/v1/provisions").json["provisions"]
    assert (row["name"], row["username"], row["url"]) == ("alice.shop", "alice", "http://alice.shop.test")
    assert "p4ss" not in json.dumps(row)


def test_no_secret_and_no_password_gets_into_the_log(desk: Desk) -> None:
    logged: list[str] = []
    observer = lambda event: logged.append(repr(event))  # noqa: E731
    globalLogPublisher.addObserver(observer)
    try:
        desk.provision(secret=SECRET)
        desk.provision(secret="wr0ng", given={})
    finally:
        globalLogPublisher.removeObserver(observer)
    assert any("/provision" in line for line in logged)
    assert not [line for line in logged if SECRET in line or "p4ss" in line or "wr0ng" in line]


# -- what is answered ---------------------------------------------------------------------------------------------------


def test_what_is_new_is_answered_whole_and_with_its_password_once(desk: Desk) -> None:
    answer = desk.provision(expires="2026-12-24T18:00:00Z")
    assert (answer.status, answer.fields["location"]) == (201, HREF)
    assert answer.json == {
        "app": "hoodie",
        "name": "alice.shop",
        "href": HREF,
        "stack": "/api/v1/stacks/hoodie/alice.shop",
        "username": "alice",
        "appname": "shop",
        "emailaddress": "alice@example.com",
        "url": "http://alice.shop.test",
        "connection": "db://alice.shop:p4ss",
        "state": "cold",
        "created": "2026-11-20T13:04:05.000Z",
        "expires": "2026-12-24T18:00:00.000Z",
        "ending": False,
        "password": "p4ss",
        "failure": None,
    }
    again = desk.provision()
    assert (again.status, again.json["password"], again.fields["location"]) == (200, None, HREF)
    assert again.json["connection"] == "db://alice.shop:None"
    shown = desk.browser.ask("GET", HREF, ELSEWHERE, **BEARER).json
    assert shown == {name: value for name, value in again.json.items() if name not in ("password", "failure")}
    assert desk.browser.control.calls == []


def test_what_is_answered_is_what_is_described(desk: Desk) -> None:
    for schema, answer in (
        ("NewProvision", desk.provision()),
        ("Provision", desk.browser.ask("GET", HREF, ELSEWHERE, **BEARER)),
        ("Provisions", desk.browser.call("GET", "/api/v1/provisions")),
        ("Removed", desk.post("/deprovision", {**ALICE, "username": "bob"})),
    ):
        assert list(faults({"$ref": schema}, answer.json)) == []
    assert SCHEMAS["Wanted"]["properties"].keys() == {*ALICE, "type", "ttl", "expires", "secret"}


@pytest.mark.parametrize(
    ("body", "media_type"),
    [
        (json.dumps(ALICE), "application/json"),
        (json.dumps(ALICE), "application/json; charset=utf-8"),
        (urlencode(ALICE), "application/x-www-form-urlencoded"),
        (urlencode({**ALICE, "secret": SECRET}), "Application/X-WWW-Form-Urlencoded"),
    ],
)
def test_json_and_forms_are_understood(desk: Desk, body: str, media_type: str) -> None:
    assert desk.post("/provision", body.encode(), {**BEARER, "content_type": media_type}).status == 201
    assert desk.provisioning.asked[0].email == "alice@example.com"


@pytest.mark.parametrize(
    ("body", "media_type", "status", "type"),
    [
        (b"", "application/json", 400, "bad-payload"),
        (b"[1]", "application/json", 400, "bad-payload"),
        (b'"x"', "application/json", 400, "bad-payload"),
        (b"\xff", "application/json", 400, "bad-payload"),
        (b"[" * 100_000, "application/json", 400, "bad-payload"),
        (b'{"username": "a", "username": "b"}', "application/json", 400, "bad-payload"),
        (b"username=a&username=b", "application/x-www-form-urlencoded", 400, "bad-payload"),
        (b"<username>a</username>", "application/xml", 415, "unsupported-media-type"),
    ],
)
def test_what_is_not_understood_is_refused(desk: Desk, body: bytes, media_type: str, status: int, type: str) -> None:
    answer = desk.post("/provision", body, {**BEARER, "content_type": media_type})
    assert (answer.status, answer.json["type"]) == (status, f"/problems/{type}")
    assert desk.provisioning.asked == []


def test_every_field_that_is_wrong_is_named_with_its_remedy(desk: Desk) -> None:
    answer = desk.post("/provision", {"app": "hoodie", "username": "A B", "emailaddress": 5, "usrname": "x", "ttl": "soon"})
    assert (answer.status, answer.json["type"]) == (422, "/problems/invalid-fields")
    errors = {error["field"]: error["detail"] for error in answer.json["errors"]}
    assert errors.keys() == {"username", "emailaddress", "appname", "usrname", "ttl"}
    assert "did you mean username?" in errors["usrname"]
    assert "lower-case letters" in errors["username"]
    assert all(f"{name}: " in answer.json["detail"] for name in errors)
    assert desk.provisioning.asked == []


def test_a_refusal_is_told_as_everywhere(desk: Desk) -> None:
    desk.provisioning.refusal = ProvisionedOtherwise(KEY)
    answer = desk.provision()
    assert (answer.status, answer.json["type"], answer.json["key"]) == (409, "/problems/provisioned-otherwise", str(KEY))


def test_an_idempotency_key_is_passed_on(desk: Desk) -> None:
    assert desk.provision(given={**BEARER, "idempotency_key": "a-1"}).status == 201
    assert desk.provisioning.asked[0].request == "a-1"
    answer = desk.provision(given={**BEARER, "idempotency_key": "a b"})
    assert [error["field"] for error in answer.json["errors"]] == ["Idempotency-Key"]


# -- those who wait -----------------------------------------------------------------------------------------------------


def waiting(desk: Desk, query: str = "?wait=30", **given: str) -> Any:
    body = json.dumps(ALICE).encode()
    return desk.browser.send("POST", "/provision" + query, ELSEWHERE, body, **BEARER, **given)


@pytest.mark.parametrize(("query", "given"), [("?wait=30", {}), ("?wait=30s", {}), ("", {"prefer": "wait=30"})])
def test_who_waits_has_it_started_and_is_answered_when_it_is_ready(desk: Desk, query: str, given: dict[str, str]) -> None:
    exchange = waiting(desk, query, **given)
    assert not exchange.answered
    [(verb, key, starting)] = desk.browser.control.calls
    assert (verb, key) == ("start", KEY)
    desk.browser.control.stacks = (evolve(READY, key=KEY),)
    starting.callback(Ticket(KEY, 1, Endpoint("127.0.0.1", 1)))
    assert (exchange.response().status, exchange.response().json["state"]) == (201, "ready")


def test_who_has_waited_for_long_enough_is_told_so_and_gets_the_password(desk: Desk) -> None:
    exchange = waiting(desk)
    desk.browser.control.stacks = (evolve(READY, key=KEY, state="starting"),)
    desk.browser.clock.advance(30)
    answer = exchange.response()
    assert (answer.status, answer.json["state"], answer.json["password"]) == (202, "starting", "p4ss")
    assert desk.browser.control.cancelled == []


def test_a_start_that_fails_takes_nothing_back(desk: Desk) -> None:
    exchange = waiting(desk)
    desk.browser.control.calls[0][2].errback(StartFailed(KEY, ServiceExited("web ended with status 1.")))
    answer = exchange.response()
    assert (answer.status, answer.json["password"]) == (202, "p4ss")
    assert "web ended with status 1" in answer.json["failure"]


# -- taking back --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("method", ["POST", "DELETE"])
def test_it_is_answered_when_nothing_is_left(desk: Desk, method: str) -> None:
    desk.provision()
    target, body = ("/deprovision", json.dumps(ALICE).encode()) if method == "POST" else (HREF, b"")
    exchange = desk.browser.send(method, target, ELSEWHERE, body, **BEARER)
    assert not exchange.answered
    desk.provisioning.answers[0].callback(True)
    said = {"app": "hoodie", "name": "alice.shop", "existed": True, "removed": True}
    assert (exchange.response().status, exchange.response().json) == (200, said)
    again = desk.browser.ask(method, target, ELSEWHERE, body, **BEARER)
    assert (again.status, again.json) == (200, {**said, "existed": False})
    assert desk.browser.ask("GET", HREF, ELSEWHERE, **BEARER).status == 404


def test_what_takes_longer_goes_on(desk: Desk) -> None:
    desk.provision()
    exchange = desk.browser.send("DELETE", HREF + "?wait=5s", ELSEWHERE, **BEARER)
    desk.browser.clock.advance(5)
    assert (exchange.response().status, exchange.response().json["removed"]) == (202, False)
    assert not desk.provisioning.answers[0].called


def test_what_is_to_be_taken_back_is_named_by_the_same_fields(desk: Desk) -> None:
    answer = desk.post("/deprovision", {"type": "postgres", "username": "alice", "appname": "x"})
    assert [error["field"] for error in answer.json["errors"]] == ["appname"]
    assert desk.post("/deprovision", {"type": "postgres", "username": "alice"}).json["name"] == "alice"
