"""/stats, and the operator's hand on the stacks."""

from __future__ import annotations

import sqlite3
from urllib.parse import quote

import pytest
from attrs import evolve
from twisted.logger import globalLogPublisher
from twisted.python.failure import Failure
from zope.interface.verify import verifyObject

from grandcentral import events
from grandcentral.core.history import Start
from grandcentral.core.keys import Key
from grandcentral.core.model import Endpoint, LogTail, StackSnapshot, Version
from grandcentral.core.tickets import Ticket
from grandcentral.errors import (
    AtCapacity,
    BackendUnavailable,
    HookFailed,
    NotSaved,
    ServiceExited,
    StackStopped,
    StartFailed,
    UnknownVersion,
)
from grandcentral.interfaces import IStackControl

from .fakes import FakeControl, browser

KEY = Key("quepid", "db139cf")
HREF = "/api/v1/stacks/quepid/db139cf"
DIGEST = "sha256:" + "a" * 64

READY = StackSnapshot(  # at 1000 seconds, which is 13:04:05
    KEY,
    "ready",
    generation=3,
    last_used=940.0,
    ready_since=400.0,
    requests=7,
    bytes_in=100,
    bytes_out=2000,
    endpoint=Endpoint("172.18.0.2", 3000),
    version=Version("db139cf", "registry.example.com/quepid:db139cf", DIGEST, branch="main", created=1795179600.5),
    phases={"pull": 1.5, "ready": 0.0304},
)
TICKET = Ticket(KEY, 3, Endpoint("172.18.0.2", 3000))


def test_the_fake_is_a_stack_control() -> None:
    assert verifyObject(IStackControl, FakeControl())


# -- statistics ---------------------------------------------------------------------------------------------------------


def test_a_stack_in_full() -> None:
    known = {"memory": lambda: {KEY: 50 << 20}, "url": lambda key: f"http://{key.name}.example.com"}
    assert browser((READY,), **known).ask("GET", "/stats").json["stacks"] == [
        {
            "app": "quepid",
            "name": "db139cf",
            "href": HREF,
            "url": "http://db139cf.example.com",
            "state": "ready",
            "pinned": False,
            "pinned_until": None,
            "keep_until": None,
            "warm": False,
            "generation": 3,
            "version": {
                "name": "db139cf",
                "image": "registry.example.com/quepid:db139cf",
                "digest": DIGEST,
                "commit": None,
                "branch": "main",
                "created": "2026-11-20T13:00:00.500Z",
            },
            "endpoint": "172.18.0.2:3000",
            "ready_since": "2026-11-20T12:54:05.000Z",
            "last_used": "2026-11-20T13:03:05.000Z",
            "idle_seconds": 60.0,
            "in_flight": 0,
            "streams": 0,
            "waiting": 0,
            "requests": 7,
            "bytes_in": 100,
            "bytes_out": 2000,
            "memory": 52428800,
            "progress": None,
            "phases_ms": {"pull": 1500, "ready": 30},
            "failure": None,
            "failure_logs": [],
        }
    ]


def test_the_gateway_in_short() -> None:
    client = browser((evolve(READY, waiting=2), StackSnapshot(Key("docs"), "starting", waiting=3)))
    client.clock.advance(61.04)
    assert client.ask("GET", "/stats").json["gateway"] == {
        "version": "1.2.3",
        "uptime_seconds": 61.0,
        "held_requests": 5,
        "slots_taken": 2,
        "max_stacks": 20,
    }


def test_requests_that_workers_hold_are_counted_where_they_are() -> None:
    client = browser((evolve(READY, waiting=2),), workers=lambda: [{"slot": 0, "held": 40}, {"slot": 1, "held": 2}])
    assert client.ask("GET", "/stats").json["gateway"]["held_requests"] == 42


def test_what_is_stopped_is_listed_apart() -> None:
    asleep = evolve(READY, key=Key("quepid", "beefbee"), state="stopped", endpoint=None)
    for path in ("/stats", "/api/v1/stacks"):
        shown = browser((READY, asleep)).call("GET", path).json
        assert [stack["name"] for stack in shown["stacks"]] == ["db139cf"]
        assert [(stack["name"], stack["state"]) for stack in shown["stopped"]] == [("beefbee", "stopped")]


def test_an_app_is_the_sum_of_its_stacks() -> None:
    other = evolve(READY, key=Key("quepid", "beefbee"), in_flight=1, streams=2)
    apps = browser((READY, other, StackSnapshot(Key("docs"), "starting"))).ask("GET", "/stats").json["apps"]
    assert apps["quepid"] == {
        "states": {"ready": 2},
        "in_flight": 1,
        "streams": 2,
        "waiting": 0,
        "requests": 14,
        "bytes_in": 200,
        "bytes_out": 4000,
    }
    assert apps["docs"]["states"] == {"starting": 1}


def test_a_busy_stack_is_not_idle_however_old_its_last_request() -> None:
    for busy in (evolve(READY, in_flight=1), evolve(READY, streams=1)):
        assert browser((busy,)).ask("GET", "/stats").json["stacks"][0]["idle_seconds"] == 0


def test_a_stack_that_was_never_used_has_no_last_use() -> None:
    stack = browser((StackSnapshot(KEY, "queued"),)).ask("GET", "/stats").json["stacks"][0]
    assert (stack["last_used"], stack["idle_seconds"], stack["ready_since"]) == (None, None, None)


# -- looking ------------------------------------------------------------------------------------------------------------


def test_stacks_are_listed_in_order() -> None:
    stacks = (evolve(READY, key=Key("z", "1")), READY, evolve(READY, key=Key("docs")))
    listed = browser(stacks).call("GET", "/api/v1/stacks").json["stacks"]
    assert [stack["href"] for stack in listed] == ["/api/v1/stacks/docs/-", HREF, "/api/v1/stacks/z/1"]


def test_one_stack_is_shown() -> None:
    assert browser((READY,)).call("GET", HREF).json["state"] == "ready"


def test_one_stack_is_shown_with_its_last_starts_and_what_was_said_last() -> None:
    stack = evolve(
        READY,
        state="failed",
        pinned=True,
        pinned_until=1795179845.0 + 3600,
        keep_until=1060.0,
        failure="db exited with status 1",
        failure_logs=(LogTail("db", ("no space", "bye")),),
    )
    history = tuple(Start(KEY, generation, 1795179845.0, {"pull": 1.5}) for generation in range(9, 0, -1))
    shown = browser((stack,), history).call("GET", HREF).json
    assert (shown["failure"], shown["failure_logs"]) == (
        "db exited with status 1",
        [{"service": "db", "lines": ["no space", "bye"]}],
    )
    assert (shown["pinned_until"], shown["keep_until"]) == ("2026-11-20T14:04:05.000Z", "2026-11-20T13:05:05.000Z")
    assert [start["generation"] for start in shown["starts"]] == [9, 8, 7, 6, 5]


def test_a_stack_is_shown_without_its_starts_if_they_cannot_be_had() -> None:
    shown = browser((READY,), broken=sqlite3.OperationalError("disk I/O error")).call("GET", HREF).json
    assert (shown["state"], shown["starts"]) == ("ready", None)


def test_a_stack_without_a_name_is_called_by_a_dash() -> None:
    assert browser((evolve(READY, key=Key("docs")),)).call("GET", "/api/v1/stacks/docs/-").json["app"] == "docs"


def test_a_commit_is_found_by_its_short_form_unless_that_is_two() -> None:
    client = browser((evolve(READY, key=Key("quepid", "db139cf0011")), evolve(READY, key=Key("other", "db139cf9999"))))
    assert client.call("GET", HREF).json["name"] == "db139cf0011"
    client.control.stacks += (evolve(READY, key=Key("quepid", "db139cf2222")),)
    assert client.call("GET", HREF).status == 404


def test_a_name_that_begins_like_another_is_another() -> None:
    twelve = evolve(READY, key=Key("quepid", "pr-12"))
    assert browser((twelve,)).call("GET", "/api/v1/stacks/quepid/pr-1").status == 404


def test_a_stack_that_is_not_there_is_a_problem_with_a_remedy() -> None:
    response = browser().call("GET", HREF)
    assert (response.status, response.json["type"]) == (404, "/problems/unknown-stack")
    assert "start" in response.json["detail"]


# -- starting -----------------------------------------------------------------------------------------------------------


def test_a_start_is_accepted_and_goes_on() -> None:
    client = browser((evolve(READY, state="starting"),))
    exchange = client.send("POST", HREF + "/start", authorization="Bearer s3cret-tökén")
    client.clock.advance(0)
    response = exchange.response()
    assert (response.status, response.fields["location"]) == (202, HREF)
    assert response.json["state"] == "starting"
    verb, key, _ = client.control.calls[0]
    assert (verb, key) == ("start", KEY)
    assert client.control.cancelled == []


@pytest.mark.parametrize(("query", "fields"), [("?wait=30s", {}), ("?wait=30", {}), ("", {"prefer": "respond-async, wait=30"})])
def test_a_start_can_be_waited_for(query: str, fields: dict[str, str]) -> None:
    client, exchange = started(query, **fields)
    client.clock.advance(29)
    assert not exchange.answered
    client.control.stacks = (READY,)
    client.control.calls[0][2].callback(TICKET)
    assert exchange.response().status == 200
    assert exchange.response().json["state"] == "ready"
    exchange.leave()
    assert client.clock.getDelayedCalls() == []


def test_a_wait_that_was_too_short_is_answered_like_none() -> None:
    client, exchange = started("?wait=30s")
    client.clock.advance(30)
    assert exchange.response().status == 202
    assert exchange.response().json == {
        "app": "quepid",
        "name": "db139cf",
        "href": HREF,
        "state": "cold",
        "pinned": False,
    }


def test_nobody_waits_for_longer_than_ten_minutes() -> None:
    client, exchange = started("?wait=2h")
    client.clock.advance(600)
    assert exchange.response().status == 202


@pytest.mark.parametrize("wait", ["soon", "-1s", "30x", "", "nan", "1e9", "٣"])
def test_a_wait_that_cannot_be_read_is_refused_by_name(wait: str) -> None:
    client = browser()
    response = client.call("POST", f"{HREF}/start?wait={quote(wait)}")
    assert (response.status, response.json["type"]) == (400, "/problems/invalid-wait")
    assert client.control.calls == []


def test_a_caller_who_leaves_does_not_end_the_start() -> None:
    client, exchange = started("?wait=30s")
    exchange.leave()
    assert client.control.cancelled == []
    assert client.clock.getDelayedCalls() == []


@pytest.mark.parametrize(
    ("reason", "status", "type"),
    [
        (UnknownVersion(KEY, "registry.example.com/quepid"), 404, "unknown-version"),
        (AtCapacity(20, "all are busy", retry_after=2.5), 503, "at-capacity"),
        (BackendUnavailable("Docker does not answer."), 503, "engine-unavailable"),
        (StackStopped(KEY), 503, "stopped"),
    ],
)
def test_a_refused_start_is_the_same_problem_that_a_client_would_get(reason: Exception, status: int, type: str) -> None:
    client, exchange = started("?wait=30s")
    client.control.calls[0][2].errback(reason)
    response = exchange.response()
    assert (response.status, response.json["type"], response.json["detail"]) == (status, f"/problems/{type}", str(reason))
    assert response.fields.get("retry-after") == ("3" if type == "at-capacity" else None)


def test_a_failed_start_brings_its_last_lines() -> None:
    cause = ServiceExited("db exited with status 1", service="db", status=1, logs=(LogTail("db", ("no space", "bye")),))
    client, exchange = started("?wait=30s")
    client.control.calls[0][2].errback(StartFailed(KEY, cause))
    response = exchange.response()
    assert (response.status, response.json["logs"]) == (502, [{"service": "db", "lines": ["no space", "bye"]}])


def test_an_app_that_is_not_configured() -> None:
    calls = (("POST", "start"), ("POST", "stop"), ("POST", "remove"), ("PUT", "pin"), ("DELETE", "pin"), ("GET", "logs"))
    for method, verb in calls:
        response = browser().call(method, f"/api/v1/stacks/nobody/db139cf/{verb}")
        assert (response.status, response.json["type"]) == (404, "/problems/unknown-app")


def test_what_fails_after_the_answer_is_in_the_log(clean_reactor: list[Failure]) -> None:
    logged = []
    client, exchange = started("")
    client.clock.advance(0)
    assert exchange.response().status == 202
    globalLogPublisher.addObserver(logged.append)
    client.control.calls[0][2].errback(StackStopped(KEY))
    globalLogPublisher.removeObserver(logged.append)
    assert [(event["log_format"], event["verb"], event["key"]) for event in logged] == [
        (events.ADMIN_LATE_FAILURE, "start", KEY)
    ]
    assert clean_reactor == []


def test_a_bug_after_the_answer_is_in_the_log_with_its_traceback(clean_reactor: list[Failure]) -> None:
    client, _ = started("")
    client.clock.advance(0)
    client.control.calls[0][2].errback(ZeroDivisionError())
    assert [failure.type for failure in clean_reactor] == [ZeroDivisionError]
    clean_reactor.clear()


def started(query: str, **fields: str):
    client = browser()
    return client, client.send("POST", f"{HREF}/start{query}", authorization="Bearer s3cret-tökén", **fields)


# -- stopping and pinning -----------------------------------------------------------------------------------------------


def test_a_stop_is_waited_for() -> None:
    client = browser((READY,))
    exchange = client.send("POST", HREF + "/stop", authorization="Bearer s3cret-tökén")
    client.clock.advance(29)
    assert not exchange.answered
    client.control.stacks = ()
    client.control.calls[0][2].callback(None)
    assert (exchange.response().status, exchange.response().json["state"]) == (200, "cold")


def test_a_stop_that_takes_long_goes_on_without_its_caller() -> None:
    client = browser((evolve(READY, state="stopping"),))
    exchange = client.send("POST", HREF + "/stop?wait=1s", authorization="Bearer s3cret-tökén")
    client.clock.advance(1)
    assert (exchange.response().status, exchange.response().json["state"]) == (202, "stopping")
    assert client.control.cancelled == []


@pytest.mark.parametrize(("query", "force"), [("", False), ("?force=1", True), ("?force=TRUE", True), ("?force=false", False)])
def test_a_stop_may_be_forced(query: str, force: bool) -> None:
    client = browser((READY,))
    client.send("POST", f"{HREF}/stop{query}", authorization="Bearer s3cret-tökén").leave()
    assert client.control.said == [{"force": force}]


def test_a_stop_that_loses_something_is_refused_with_what_its_hook_said() -> None:
    client = browser((READY,))
    exchange = client.send("POST", HREF + "/stop", authorization="Bearer s3cret-tökén")
    cause = HookFailed("The dump ended with status 2.", logs=(LogTail("db", ("no space left",)),))
    client.control.calls[0][2].errback(NotSaved(KEY, cause))
    response = exchange.response()
    assert (response.status, response.json["type"]) == (409, "/problems/not-saved")
    assert response.json["logs"] == [{"service": "db", "lines": ["no space left"]}]
    assert "Force" in response.json["detail"]


@pytest.mark.parametrize(("query", "volumes"), [("", False), ("?volumes=1", True), ("?volumes=true", True)])
def test_a_removal_says_whether_volumes_go_too(query: str, volumes: bool) -> None:
    client = browser((READY,))
    exchange = client.send("POST", f"{HREF}/remove{query}", authorization="Bearer s3cret-tökén")
    assert (client.control.calls[0][0], client.control.said) == ("remove", [{"volumes": volumes}])
    client.control.stacks = ()
    client.control.calls[0][2].callback(None)
    assert (exchange.response().status, exchange.response().json["state"]) == (200, "cold")


@pytest.mark.parametrize(("call", "type"), [("stop?force=perhaps", "force"), ("remove?volumes=all", "volumes")])
def test_what_is_neither_yes_nor_no_does_nothing(call: str, type: str) -> None:
    client = browser((READY,))
    response = client.call("POST", f"{HREF}/{call}")
    assert (response.status, response.json["type"]) == (400, f"/problems/invalid-{type}")
    assert client.control.calls == []


@pytest.mark.parametrize(
    ("until", "end"),
    [
        ("2d", 1795179845.0 + 2 * 86400),
        ("90m", 1795179845.0 + 5400),
        ("2026-12-24T18:00:00Z", 1798135200.0),
        ("2026-12-24T19:00:00+01:00", 1798135200.0),
        ("2026-12-24T19:00:00%2B01:00", 1798135200.0),
    ],
)
def test_a_pin_may_end(until: str, end: float) -> None:
    client = browser((READY,))
    client.send("PUT", f"{HREF}/pin?until={until}", authorization="Bearer s3cret-tökén").leave()
    assert client.control.said == [{"until": end}]


@pytest.mark.parametrize(
    "until", ["", "tomorrow", "0s", "-2d", "2026-12-24T18:00:00", "2020-01-01T00:00:00Z", "2026-13-01", "999999999999d"]
)
def test_a_pin_that_has_no_end_that_can_be_read_is_none(until: str) -> None:
    client = browser((READY,))
    response = client.call("PUT", f"{HREF}/pin?until={quote(until)}")
    assert (response.status, response.json["type"]) == (400, "/problems/invalid-until")
    assert client.control.calls == []


@pytest.mark.parametrize(("method", "verb"), [("PUT", "pin"), ("DELETE", "unpin")])
def test_a_pin_is_answered_when_it_is_durable(method: str, verb: str) -> None:
    client = browser((evolve(READY, pinned=verb == "pin"),))
    exchange = client.send(method, HREF + "/pin", authorization="Bearer s3cret-tökén")
    asked, key, durable = client.control.calls[0]
    assert (asked, key) == (verb, KEY)
    assert not exchange.answered
    durable.callback(None)
    assert (exchange.response().status, exchange.response().json["pinned"]) == (200, verb == "pin")


# -- history ------------------------------------------------------------------------------------------------------------


def test_the_history_of_starts() -> None:
    history = (
        Start(KEY, 4, 1795179845.0, {"pull": 1.5, "ready": 0.25}),
        Start(KEY, 3, 1795179800.0, {"pull": 9.0}, failure="db exited with status 1", depth="stopped"),
        Start(Key("other"), 1, 1795179700.0, {}),
    )
    client = browser(history=history)
    assert client.call("GET", HREF + "/starts").json["starts"] == [
        {
            "generation": 4,
            "depth": "cold",
            "began": "2026-11-20T13:04:05.000Z",
            "took_ms": 1750,
            "phases_ms": {"pull": 1500, "ready": 250},
            "failure": None,
        },
        {
            "generation": 3,
            "depth": "stopped",
            "began": "2026-11-20T13:03:20.000Z",
            "took_ms": 9000,
            "phases_ms": {"pull": 9000},
            "failure": "db exited with status 1",
        },
    ]
    assert len(client.call("GET", HREF + "/starts?limit=1").json["starts"]) == 1


# -- logs ---------------------------------------------------------------------------------------------------------------


def test_the_last_lines_of_each_service() -> None:
    client = browser((READY,))
    exchange = client.send("GET", HREF + "/logs?lines=2", authorization="Bearer s3cret-tökén")
    assert client.control.said == [{"lines": 2}]
    client.control.calls[0][2].callback((LogTail("web", ("up", "GET /")), LogTail("db", ())))
    assert exchange.response().json == {
        "logs": [{"service": "web", "lines": ["up", "GET /"]}, {"service": "db", "lines": []}],
    }


def test_an_engine_that_is_away_has_no_logs_and_a_slow_one_is_not_waited_for_without_end() -> None:
    client = browser((READY,))
    away = client.send("GET", HREF + "/logs", authorization="Bearer s3cret-tökén")
    client.control.calls[0][2].errback(BackendUnavailable("Docker does not answer."))
    assert (away.response().status, away.response().json["type"]) == (503, "/problems/engine-unavailable")
    slow = client.send("GET", HREF + "/logs", authorization="Bearer s3cret-tökén")
    client.clock.advance(30)
    assert (slow.response().status, slow.response().json["type"]) == (504, "/problems/engine-slow")


@pytest.mark.parametrize("lines", ["0", "10001", "all", "9" * 5000])
def test_a_number_of_lines_that_is_none_is_refused(lines: str) -> None:
    response = browser((READY,)).call("GET", f"{HREF}/logs?lines={lines}")
    assert (response.status, response.json["type"]) == (400, "/problems/invalid-lines")


@pytest.mark.parametrize("limit", ["0", "-1", "1001", "many", "9" * 5000])
def test_a_limit_that_is_none_is_refused(limit: str) -> None:
    response = browser().call("GET", f"{HREF}/starts?limit={limit}")
    assert (response.status, response.json["type"]) == (400, "/problems/invalid-limit")


def test_a_manifest_that_fails_is_an_incident(clean_reactor: list[Failure]) -> None:
    assert browser(broken=OSError("disk full")).call("GET", HREF + "/starts").status == 500
    clean_reactor.clear()
