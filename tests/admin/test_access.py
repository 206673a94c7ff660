"""Who may call what: admin/access.py, and that every route is behind it."""

from __future__ import annotations

import pytest
from twisted.internet.address import IPv6Address

from grandcentral.admin.access import Access, Caller, check, names_this_machine
from grandcentral.admin.answers import Refused
from grandcentral.admin.api import ROUTES

from .fakes import ELSEWHERE, LOOPBACK, SOCKET, TOKEN, browser

API = [route for route in ROUTES if route.access is Access.TOKEN]


def concrete(path: str) -> str:
    return path.replace("{app}", "quepid").replace("{name}", "db139cf")


@pytest.mark.parametrize("route", API, ids=lambda route: f"{route.method} {route.path}")
def test_the_api_needs_the_token_even_here(route) -> None:
    client = browser()
    response = client.ask(route.method, concrete(route.path))
    assert (response.status, response.json["type"]) == (401, "/problems/token-needed")
    assert response.fields["www-authenticate"].startswith("Bearer")
    assert client.control.calls == []


@pytest.mark.parametrize("route", API, ids=lambda route: f"{route.method} {route.path}")
def test_without_a_configured_token_the_api_is_closed_and_says_how_to_open_it(route) -> None:
    client = browser(token=None)
    response = client.ask(route.method, concrete(route.path), authorization="Bearer None")
    assert response.status == 403
    assert "token_file" in response.json["detail"]
    assert client.control.calls == []


@pytest.mark.parametrize(
    "credentials",
    ["", "Bearer", "Bearer ", "Bearer wrong", f"Bearer {TOKEN}x", f"Bearer {TOKEN[:-1]}", f"Basic {TOKEN}", TOKEN],
)
def test_any_other_credentials_are_refused(credentials: str) -> None:
    assert browser().ask("GET", "/api/v1/stacks", authorization=credentials).status == 401


@pytest.mark.parametrize("scheme", ["Bearer", "bearer", "BEARER"])
def test_the_token_opens(scheme: str) -> None:
    assert browser().ask("GET", "/api/v1/stacks", authorization=f"{scheme} {TOKEN}").status == 200


def test_statistics_are_open_to_this_machine() -> None:
    assert browser(token=None).ask("GET", "/stats", peer=LOOPBACK).status == 200
    assert browser(token=None).ask("GET", "/stats", peer=SOCKET).status == 200
    assert browser(token=None).ask("GET", "/stats", peer=IPv6Address("TCP", "::1", 1)).status == 200
    assert browser(token=None).ask("GET", "/stats", peer=IPv6Address("TCP", "::ffff:127.0.0.1", 1)).status == 200


def test_statistics_ask_others_for_the_token() -> None:
    client = browser()
    assert client.ask("GET", "/stats", peer=ELSEWHERE).status == 401
    assert client.ask("GET", "/stats", peer=ELSEWHERE, authorization=f"Bearer {TOKEN}").status == 200
    assert client.ask("GET", "/stats", peer=IPv6Address("TCP", "::ffff:192.0.2.7", 1)).status == 401
    assert browser(token=None).ask("GET", "/stats", peer=ELSEWHERE).status == 403


@pytest.mark.parametrize("host", ["evil.example", "evil.example:8081", "127.0.0.1.evil.example", "localhost.evil.example"])
def test_a_name_that_somebody_points_here_is_no_name_of_this_machine(host: str) -> None:
    """DNS rebinding: a page on evil.example, now resolved to 127.0.0.1, asks through the operator's own browser."""
    assert browser(token=None).ask("GET", "/stats", host=host).status == 403
    assert browser().ask("GET", "/stats", host=host).status == 401


def test_the_token_opens_by_any_name() -> None:
    """Behind somebody's reverse proxy the listener has a name of his choice."""
    assert browser().call("GET", "/stats", host="admin.example.com").status == 200
    assert browser().call("GET", "/api/v1/stacks", host="admin.example.com").status == 200


@pytest.mark.parametrize(
    ("host", "ours"),
    [
        ("localhost", True),
        ("gc.localhost", True),
        ("127.0.0.1", True),
        ("192.0.2.7", True),
        ("[::1]", True),
        ("notlocalhost", False),
        ("localhost.example", False),
        ("1.2.3", False),
    ],
)
def test_which_names_nobody_else_can_own(host: str, ours: bool) -> None:
    assert names_this_machine(host) is ours


def test_a_request_without_a_host_has_no_name_to_trust() -> None:
    with pytest.raises(Refused) as caught:
        check(Access.LOCAL, Caller(local=True, host=None, credentials=None), token=None)
    assert caught.value.status == 403
