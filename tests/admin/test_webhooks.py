"""Notifications of registries, as they come in by HTTP; and the bound on what anybody may send."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

import pytest
from attrs import define, field
from twisted.logger import globalLogPublisher

from grandcentral import events
from grandcentral.admin.site import LONGEST
from grandcentral.admin.webhooks import Webhooks
from grandcentral.core.keys import Key
from grandcentral.core.references import Reference
from grandcentral.core.webhooks import FORMATS

from .fakes import ELSEWHERE, Browser, Response, browser

SECRET = "open sesame"
HUB = {"push_data": {"tag": "db139cf"}, "repository": {"repo_name": "team/quepid"}}
PUSHED = Reference("docker.io", "team/quepid", "db139cf")


@define
class Hook:
    """An admin listener with a secret, and what it was told."""

    secret: str | None = SECRET
    keys: tuple[Key, ...] = (Key("quepid", "db139cf"), Key("docs"))
    told: list[Reference] = field(factory=list)
    browser: Browser = field(init=False)

    def __attrs_post_init__(self) -> None:
        self.browser = browser(webhooks=Webhooks(lambda: self.secret, self.pushed))

    def pushed(self, images: Iterable[Reference]) -> tuple[Key, ...]:
        told = tuple(images)
        self.told += told
        return self.keys if told else ()

    def post(self, format: str, document: Any, query: str = "", **fields: str) -> Response:
        body = document if isinstance(document, bytes) else json.dumps(document).encode()
        return self.browser.ask("POST", f"/webhooks/{format}{query}", ELSEWHERE, body, **fields)

    def hub(self, document: Any = HUB, secret: str = "open%20sesame", **fields: str) -> Response:
        return self.post("docker-hub", document, f"?secret={secret}", **fields)


def test_a_push_is_passed_on_and_answered_with_the_keys_it_is_for() -> None:
    hook = Hook()
    answer = hook.hub()
    assert (answer.status, answer.json) == (202, ["quepid/db139cf", "docs"])
    assert hook.told == [PUSHED]


def test_a_push_that_is_for_no_app_is_fine() -> None:
    answer = Hook(keys=()).hub()
    assert (answer.status, answer.json) == (200, [])


def test_what_is_no_push_is_fine_too() -> None:
    hook = Hook()
    answer = hook.post("distribution", {"events": [{"action": "pull"}]}, authorization=f"Bearer {SECRET}")
    assert (answer.status, answer.json, hook.told) == (200, [], [])


@pytest.mark.parametrize("format", FORMATS)
def test_without_a_secret_it_is_closed_and_says_how_to_open_it(format: str) -> None:
    for secret in (None, ""):
        hook = Hook(secret)
        answer = hook.post(format, HUB, "?secret=", authorization="Bearer ", x_gitlab_token="")
        assert (answer.status, answer.json["type"]) == (403, "/problems/webhooks-closed")
        assert "secret_file in [webhooks]" in answer.json["detail"]
        assert hook.told == []


@pytest.mark.parametrize("format", FORMATS)
def test_who_does_not_know_the_secret_is_told_where_it_goes(format: str) -> None:
    hook = Hook()
    for given in ("", "?secret=open"):
        answer = hook.post(format, HUB, given, authorization="Bearer wrong", x_gitlab_token="wrong")
        assert (answer.status, answer.json["type"]) == (401, "/problems/secret-needed")
        assert FORMATS[format].remedy in answer.json["detail"]
        assert SECRET not in answer.body.decode()
    assert hook.told == []


def test_the_secret_is_the_one_that_is_configured_now() -> None:
    hook = Hook()
    hook.secret = "another"
    assert hook.hub().status == 401
    assert hook.hub(secret="another").status == 202


def test_the_admin_token_opens_nothing_here() -> None:
    hook = Hook()
    assert hook.browser.call("POST", "/webhooks/distribution", body=b'{"events": []}').status == 401


def test_a_notification_that_cannot_be_understood_is_a_problem_with_its_place() -> None:
    answer = Hook().hub({"repository": {"repo_name": "a/b"}})
    assert (answer.status, answer.json["type"]) == (400, "/problems/bad-notification")
    assert "push_data: is missing" in answer.json["detail"]


def test_a_form_is_no_json() -> None:
    answer = Hook().hub(b"payload=%7B%7D", content_type="application/x-www-form-urlencoded")
    assert answer.status == 400
    assert "application/json" in answer.json["detail"]


def test_a_form_cannot_bring_the_secret() -> None:
    form = {"content_type": "application/x-www-form-urlencoded"}
    assert Hook().post("docker-hub", b"secret=open%20sesame", **form).status == 401


def test_an_unknown_format_is_not_found_and_the_others_are_named() -> None:
    answer = Hook().post("quay", {})
    assert answer.status == 404
    assert "docker-hub" in answer.json["detail"]


def test_a_notification_is_worth_a_line_in_the_log_if_it_is_refused() -> None:
    logged: list[Any] = []
    globalLogPublisher.addObserver(logged.append)
    hook = Hook()
    hook.hub()
    hook.hub(secret="wrong")
    globalLogPublisher.removeObserver(logged.append)
    calls = [event for event in logged if event["log_format"] == events.ADMIN_CALL]
    assert [(event["log_level"].name, event["status"]) for event in calls] == [("debug", 202), ("info", 401)]
    assert "open" not in str([event["call"] for event in calls])


# -- bodies -----------------------------------------------------------------------------------------------------------------


def test_a_body_may_be_as_long_as_the_bound() -> None:
    body = json.dumps(HUB).encode()
    assert Hook().hub(body + b" " * (LONGEST - len(body))).status == 202


@pytest.mark.parametrize("target", ["/webhooks/docker-hub", "/api/v1/stacks/quepid/db139cf/start", "/nowhere"])
def test_a_body_that_says_it_is_longer_is_refused_before_it_comes(target: str) -> None:
    exchange = Hook().browser.send("POST", target, content_length=str(LONGEST + 1), expect="100-continue")
    answer = exchange.response()
    assert answer.status == 413
    assert str(LONGEST) in answer.json["detail"]
    assert exchange.transport.disconnecting
    exchange.leave()


def test_a_body_that_turns_out_longer_is_refused_where_it_does() -> None:
    hook = Hook()
    exchange = hook.browser.send("POST", "/webhooks/docker-hub?secret=open%20sesame", transfer_encoding="chunked")
    chunk = b"10000\r\n" + b" " * 0x10000 + b"\r\n"
    for _ in range(LONGEST // 0x10000):
        exchange.channel.dataReceived(chunk)
    assert not exchange.answered
    exchange.channel.dataReceived(chunk + chunk + b"0\r\n\r\n")
    assert exchange.response().status == 413
    assert exchange.transport.value().count(b"HTTP/1.1 ") == 1
    assert exchange.transport.disconnecting
    assert hook.told == []
    exchange.leave()
