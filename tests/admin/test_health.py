"""/healthz and /readyz."""

from __future__ import annotations

import sqlite3

from twisted.internet.defer import Deferred, fail, succeed

from grandcentral.errors import EngineUnavailable

from .fakes import ELSEWHERE, browser


def test_alive_is_one_word() -> None:
    response = browser().ask("GET", "/healthz")
    assert (response.status, response.body) == (200, b"ok\n")


def test_health_needs_no_token_and_answers_to_any_name_from_anywhere() -> None:
    """A load balancer calls it by whatever name it knows."""
    for path in ("/healthz", "/readyz"):
        assert browser(token=None).ask("GET", path, peer=ELSEWHERE, host="gateway-7.internal").status == 200


def test_ready_says_what_each_check_found() -> None:
    response = browser(checks={"docker": lambda: succeed(None)}).ask("GET", "/readyz")
    assert response.status == 200
    assert response.json == {
        "ready": True,
        "checks": {"docker": {"ok": True, "detail": "ok"}, "manifest": {"ok": True, "detail": "ok"}},
    }


def test_one_failing_check_makes_it_not_ready_and_says_why() -> None:
    why = "Docker does not answer at unix:///var/run/docker.sock."
    checks = {"docker": lambda: fail(EngineUnavailable(why))}
    response = browser(checks=checks).ask("GET", "/readyz")
    assert response.status == 503
    assert response.json["ready"] is False
    assert response.json["checks"]["docker"] == {"ok": False, "detail": why}
    assert response.json["checks"]["manifest"]["ok"] is True


def test_a_gateway_that_cannot_remember_anything_is_not_ready() -> None:
    response = browser(broken=sqlite3.OperationalError("disk I/O error")).ask("GET", "/readyz")
    assert response.status == 503
    assert response.json["checks"] == {"manifest": {"ok": False, "detail": "disk I/O error"}}


def test_a_check_that_raises_or_says_nothing_is_a_failed_one() -> None:
    def broken() -> Deferred[None]:
        raise OSError("no space left")

    checks = {"broken": broken, "mute": lambda: fail(RuntimeError())}
    found = browser(checks=checks).ask("GET", "/readyz").json["checks"]
    found.pop("manifest")
    assert found == {"broken": {"ok": False, "detail": "no space left"}, "mute": {"ok": False, "detail": "RuntimeError"}}


def test_checks_run_side_by_side_and_none_is_waited_for_longer_than_two_seconds() -> None:
    asked = []

    def slow(name: str) -> Deferred[None]:
        asked.append(name)
        return Deferred()

    client = browser(checks={"one": lambda: slow("one"), "two": lambda: slow("two"), "three": lambda: succeed(None)})
    exchange = client.send("GET", "/readyz")
    assert asked == ["one", "two"]
    client.clock.advance(1.9)
    assert not exchange.answered
    client.clock.advance(0.2)
    found = exchange.response().json["checks"]
    assert found["one"] == found["two"] == {"ok": False, "detail": "no answer within 2 s"}
    assert found["three"]["ok"] is True


def test_a_caller_who_leaves_ends_the_checks() -> None:
    ended = []
    client = browser(checks={"slow": lambda: Deferred(lambda _: ended.append("slow"))})
    client.send("GET", "/readyz").leave()
    assert ended == ["slow"]
    assert client.clock.getDelayedCalls() == []
