"""The listener as HTTP: methods, fields, problems."""

from __future__ import annotations

from pathlib import Path

import pytest
from twisted.internet.defer import fail
from twisted.logger import globalLogPublisher
from twisted.python.failure import Failure

from grandcentral import events
from grandcentral.admin.answers import Refused
from grandcentral.admin.api import ROUTES
from grandcentral.admin.routes import find

from .fakes import browser


def test_the_index_says_what_there_is() -> None:
    answer = browser().ask("GET", "/").json
    assert answer["version"] == "1.2.3"
    assert "POST /api/v1/stacks/{app}/{name}/start" in answer["routes"]
    assert len(answer["routes"]) == len(ROUTES)


@pytest.mark.parametrize("path", ["/", "/healthz", "/stats", "/nowhere", "/api/v1/stacks"])
def test_nothing_is_stored_sniffed_or_framed(path: str) -> None:
    fields = browser().ask("GET", path).fields
    assert fields["cache-control"] == "no-store"
    assert fields["x-content-type-options"] == "nosniff"
    assert "frame-ancestors 'none'" in fields["content-security-policy"]
    assert fields["server"] == "grandcentral"


@pytest.mark.parametrize("path", ["/nowhere", "/healthz/", "/api/v1/stacks/quepid", "/api/v1/stacks//db139cf", "/%ff", "//"])
def test_an_unknown_path_is_a_problem(path: str) -> None:
    response = browser().call("GET", path)
    assert (response.status, response.fields["content-type"]) == (404, "application/problem+json")
    assert (response.json["status"], response.json["type"]) == (404, "/problems/not-found")


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [
        ("POST", "/healthz", "GET, HEAD"),
        ("GET", "/api/v1/stacks/quepid/db139cf/start", "POST"),
        ("POST", "/api/v1/stacks/quepid/db139cf/pin", "DELETE, PUT"),
        ("BREW", "/stats", "GET, HEAD"),
        ("OPTIONS", "/stats", "GET, HEAD"),
    ],
)
def test_another_method_is_told_which_ones_there_are(method: str, path: str, allowed: str) -> None:
    response = browser().call(method, path)
    assert (response.status, response.fields["allow"]) == (405, allowed)
    assert allowed in response.json["detail"]


@pytest.mark.parametrize("path", ["/", "/healthz", "/readyz", "/stats", "/nowhere"])
def test_head_is_get_without_the_body(path: str) -> None:
    client = browser()
    get, head = client.ask("GET", path), client.ask("HEAD", path)
    assert head.body == b""
    assert head.status == get.status
    assert head.fields["content-length"] == str(len(get.body))


def test_a_bug_is_an_incident_whose_number_is_in_the_log(clean_reactor: list[Failure]) -> None:
    client = browser()
    client.control.capacity = lambda: 1 / 0  # type: ignore[assignment]
    response = client.ask("GET", "/stats")
    assert (response.status, response.json["type"]) == (500, "/problems/internal-error")
    assert response.json["incident"] in response.json["detail"]
    assert "division" not in response.body.decode()
    assert [failure.type for failure in clean_reactor] == [ZeroDivisionError]
    clean_reactor.clear()


def test_a_key_error_that_is_a_bug_is_no_unknown_app(clean_reactor: list[Failure]) -> None:
    client = browser()
    client.control.snapshot = lambda: {}["oops"]  # type: ignore[assignment]
    assert client.call("GET", "/api/v1/stacks").status == 500
    clean_reactor.clear()


def test_who_changed_what_is_in_the_log() -> None:
    logged = []
    globalLogPublisher.addObserver(logged.append)
    client = browser()
    client.call("GET", "/api/v1/stacks?secret=x")
    client.call("POST", "/api/v1/stacks/nobody/db139cf/stop")
    globalLogPublisher.removeObserver(logged.append)
    calls = [event for event in logged if event["log_format"] == events.ADMIN_CALL]
    assert [(event["log_level"].name, event["call"], event["status"]) for event in calls] == [
        ("debug", "GET /api/v1/stacks", 200),
        ("info", "POST /api/v1/stacks/nobody/db139cf/stop", 404),
    ]
    assert calls[1]["caller"] == "127.0.0.1"


def test_several_requests_on_one_connection() -> None:
    exchange = browser().send("GET", "/healthz")
    exchange.transport.clear()
    exchange.channel.dataReceived(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n")
    assert exchange.response().body == b"ok\n"
    exchange.leave()


def test_routes_are_unambiguous() -> None:
    for route in ROUTES:
        segments = route.path.removeprefix("/").split("/")
        assert find(ROUTES, route.method, segments)[0] is route


def test_every_route_is_in_the_manual() -> None:
    manual = (Path(__file__).parents[2] / "docs" / "operations.md").read_text()
    assert [f"{route.method} {route.path}" for route in ROUTES if f"`{route.method} {route.path}`" not in manual] == []


def test_a_refused_call_is_told_apart_from_a_broken_one() -> None:
    with pytest.raises(Refused):
        find(ROUTES, "GET", ["no", "such", "thing"])


def test_a_check_that_fails_is_no_bug() -> None:
    """It is what the check is for: nothing is logged, the caller is told."""
    assert browser(checks={"docker": lambda: fail(RuntimeError("down"))}).ask("GET", "/readyz").status == 503
