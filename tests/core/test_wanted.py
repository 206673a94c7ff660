"""What calls to /provision ask for, and every way in which they do not."""

from __future__ import annotations

from math import inf

import pytest
from hypothesis import given
from hypothesis import strategies as st

from grandcentral.core.keys import NAME, NAMES, Key
from grandcentral.core.model import App
from grandcentral.core.problems import Invalid
from grandcentral.core.provisions import misaddressed, misnamed
from grandcentral.core.routing import Routes, host_for
from grandcentral.core.wanted import Wanted, meant, wanted

NOW = 1795179845.0
HOODIE = App("hoodie", "docker", ("{app}.{user}.example.com",), NAME, provisioned=True)
POSTGRES = App("postgres", "docker", ("{user}.example.org",), NAME, provisioned=True)
APPS = {"hoodie": HOODIE, "postgres": POSTGRES}
ALICE = {"app": "hoodie", "username": "alice", "emailaddress": "a@example.com", "appname": "shop"}


def wrong(fields: dict[str, object], apps: dict[str, App] | None = None, request: str = "") -> dict[str, str]:
    with pytest.raises(Invalid) as caught:
        wanted(fields, APPS if apps is None else apps, NOW, request)
    return {problem.place: problem.text for problem in caught.value.problems}


def test_the_triplet() -> None:
    assert wanted(ALICE, APPS, NOW) == Wanted(Key("hoodie", "alice.shop"), "alice", "shop", "a@example.com")
    assert meant(ALICE, APPS) == Key("hoodie", "alice.shop")


def test_an_addon_is_of_a_type_and_a_user() -> None:
    assert wanted({"type": "postgres", "username": "bob"}, APPS, NOW) == Wanted(Key("postgres", "bob"), "bob", "")


def test_where_there_is_one_app_it_need_not_be_said() -> None:
    said = {name: value for name, value in ALICE.items() if name != "app"}
    assert wanted(said, {"hoodie": HOODIE}, NOW).key == Key("hoodie", "alice.shop")
    assert wrong(said).keys() == {"app"}


@pytest.mark.parametrize(
    ("more", "expires"),
    [
        ({}, None),
        ({"ttl": 60}, NOW + 60),
        ({"ttl": "60"}, NOW + 60),
        ({"ttl": "7d"}, NOW + 7 * 86400),
        ({"expires": "7d"}, NOW + 7 * 86400),
        ({"expires": "2026-12-24T18:00:00+01:00"}, 1798131600.0),
        ({"ttl": "never"}, inf),
        ({"expires": "never", "ttl": None}, inf),
    ],
)
def test_its_end(more: dict[str, object], expires: float | None) -> None:
    assert wanted({**ALICE, **more}, APPS, NOW).expires == expires


@pytest.mark.parametrize(
    ("more", "field", "text"),
    [
        ({"app": "hodie"}, "app", "'hodie' is no app that can be provisioned here; there is hoodie, postgres"),
        ({"app": 5}, "app", "must be text"),
        ({"app": ""}, "app", "is missing"),
        ({"type": "hoodie"}, "type", "means the same as app"),
        ({"username": ""}, "username", "is missing: say it"),
        ({"username": None}, "username", "is missing: say it"),
        ({"username": ["alice"]}, "username", "must be text"),
        ({"username": "Alice"}, "username", "'Alice' is no name: write 1 to 63 lower-case letters, digits and inner hyphens"),
        ({"username": "-alice"}, "username", "is no name"),
        ({"username": "a" * 64}, "username", "is no name"),
        ({"username": "älice"}, "username", "is no name"),
        ({"appname": "shop.alice"}, "appname", "is no name"),
        ({"appname": "shop\n"}, "appname", "'shop\\n' is no name"),
        ({"emailaddress": ""}, "emailaddress", "is missing"),
        ({"emailaddress": "alice"}, "emailaddress", "is no e-mail address: write one such as alice@example.com"),
        ({"ttl": 0}, "ttl", "must be longer than 0"),
        ({"ttl": -1}, "ttl", "is not a duration"),
        ({"ttl": True}, "ttl", "must be seconds, or a duration"),
        ({"ttl": 1.5}, "ttl", "must be seconds, or a duration"),
        ({"ttl": "9" * 30}, "ttl", "is not a duration"),
        ({"ttl": "99999999999"}, "ttl", "less than a hundred years"),
        ({"ttl": "1d", "expires": "1d"}, "ttl", "says the same as expires"),
        ({"expires": "2020-01-01T00:00:00Z"}, "expires", "an end lies ahead"),
        ({"expires": "2027-01-01T00:00:00"}, "expires", "with its time zone"),
        ({"expires": 5}, "expires", "must be text"),
        ({"user_name": "x"}, "user_name", "did you mean username?"),
        ({"zzz": "x"}, "zzz", "there is app, type, username"),
    ],
)
def test_what_is_wrong_is_said_of_its_field(more: dict[str, object], field: str, text: str) -> None:
    found = wrong({**ALICE, **more})
    assert found.keys() == {field}
    assert text in found[field]


def test_what_has_no_place_is_not_taken() -> None:
    assert "leave this out" in wrong({"app": "postgres", "username": "bob", "appname": "shop"})["appname"]


def test_where_nothing_is_provisioned_that_is_what_is_wrong() -> None:
    assert "set provisioned = true" in wrong(ALICE, apps={})["app"]


@pytest.mark.parametrize("request_", ["a b", "é", "x" * 256, "a\n"])
def test_a_request_has_a_name_that_will_do(request_: str) -> None:
    assert wrong(ALICE, request=request_).keys() == {"Idempotency-Key"}
    assert wanted(ALICE, APPS, NOW, "x" * 255).request == "x" * 255


_LABELS = st.from_regex(NAMES[NAME], fullmatch=True)


@given(st.tuples(_LABELS, _LABELS), st.tuples(_LABELS, _LABELS))
def test_no_two_pairs_make_one_name_and_each_host_leads_back(one: tuple[str, str], other: tuple[str, str]) -> None:
    keys = [
        wanted({**ALICE, "username": user, "appname": appname}, APPS, NOW).key for user, appname in (one, other)
    ]
    assert (keys[0] == keys[1]) is (one == other)
    host = host_for(HOODIE, keys[0])
    if len(host) <= 253:
        assert Routes((HOODIE,)).match(host.encode()) == keys[0]


@given(st.text())
def test_what_is_let_through_needs_no_quoting_anywhere(text: str) -> None:
    if misnamed(text) is None:
        assert set(text) <= set("abcdefghijklmnopqrstuvwxyz0123456789-")
    if misaddressed(text) is None:
        assert text.isascii()
        assert not set(text) & set(" \t\r\n\"'\\(),:;<>[]") - {"'"}
