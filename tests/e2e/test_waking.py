"""What wakes a stack and what keeps it awake, over real sockets, in one process and through workers."""

from __future__ import annotations

import asyncio
import json

import pytest

from tests.gateway import GatewayProcess, eventually

from .conftest import Repository, Serve
from .test_gateway import host

POLL = {"Sec_Fetch_Mode": "cors", "Sec_Fetch_Dest": "empty", "Accept": "application/json"}
PAGE = {"Sec_Fetch_Mode": "navigate", "Sec_Fetch_Dest": "document", "Accept": "text/html"}
QUIET = 'idle = "1s"\n[[apps.app.requests]]\npath = "/poll"\nkeeps_alive = false\n'

# GET /field?600 answers with the field, GET /call?600 after a call with the token that it has found.
APPLICATION = '''
import http.client
import os
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import urlsplit


class Application(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        path, _, seconds = self.path.partition("?")
        body = b"here"
        if path == "/call":
            url = urlsplit(os.environ["GRANDCENTRAL_KEEP_ALIVE_URL"])
            fields = {"Host": url.netloc, "Authorization": "Bearer " + os.environ["GRANDCENTRAL_TOKEN"]}
            gateway = http.client.HTTPConnection("127.0.0.1", url.port)
            gateway.request("POST", f"{url.path}?seconds={seconds}", headers=fields)
            body = gateway.getresponse().read()
            gateway.close()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        if path == "/field":
            self.send_header("X-Grand-Central-Keep-Alive", seconds)
        self.end_headers()
        self.wfile.write(body)


ThreadingHTTPServer(("127.0.0.1", int(os.environ["PORT"])), Application).serve_forever()
'''


@pytest.fixture(params=[0, 2], ids=["one process", "workers"])
def workers(request: pytest.FixtureRequest) -> int:
    return int(request.param)


def asleep(running: GatewayProcess, commit: str) -> bool:
    return running.state(commit) in ("cold", "stopped")


def starts(running: GatewayProcess, commit: str) -> int:
    return len(json.loads(running.admin(f"/api/v1/stacks/app/{commit}/starts").body)["starts"])


@pytest.mark.failure(11)
def test_a_tab_left_open_does_not_wake_what_sleeps_and_a_page_does(repository: Repository, serve: Serve, workers: int) -> None:
    commit = repository.commit("one", APPLICATION)
    running = serve(app='idle = "1s"', workers=workers)
    assert running.get(host(commit), **PAGE).status == 200
    eventually(lambda: asleep(running, commit), what="sleep")
    for fields in (POLL, POLL, {"User_Agent": "Uptime-Kuma/1.23"}):
        answer = running.get(host(commit), "/poll", **fields)
        assert (answer.status, answer.problem) == (503, "asleep")
        assert answer.fields["content-type"] == "application/problem+json"
        assert answer.fields["x-grand-central-state"] == "asleep"
        assert int(answer.fields["retry-after"]) > 0
    assert asleep(running, commit)
    assert starts(running, commit) == 1
    assert running.get(host(commit), **PAGE).body == b"here"
    assert starts(running, commit) == 2
    assert running.get(host(commit), "/poll", **POLL).status == 200


def test_one_that_polls_when_a_page_is_opened_is_answered_by_the_application(
    repository: Repository, serve: Serve, workers: int
) -> None:
    commit = repository.commit("one", "import time\ntime.sleep(1)\n" + APPLICATION)
    running = serve(workers=workers)

    async def scenario() -> list[int]:
        page = asyncio.create_task(running.request(host(commit), **PAGE))
        while (await running.request(host(commit), "/poll", **POLL)).status == 503:  # until the page has been heard of
            await asyncio.sleep(0.05)
        return [(await running.request(host(commit), "/poll", **POLL)).status, (await page).status]

    assert asyncio.run(scenario()) == [200, 200]
    assert starts(running, commit) == 1


def test_what_keeps_nothing_awake_lets_it_fall_asleep(repository: Repository, serve: Serve, workers: int) -> None:
    commit = repository.commit("one", APPLICATION)
    running = serve(app=QUIET, workers=workers)
    assert running.get(host(commit)).status == 200

    async def scenario() -> int:
        answered = 0
        while (answer := await running.request(host(commit), "/poll", **POLL)).status == 200:
            answered += 1
            await asyncio.sleep(0.05)
        assert answer.problem == "asleep"
        return answered

    assert asyncio.run(asyncio.wait_for(scenario(), 30)) > 0


@pytest.mark.parametrize("way", ["/field", "/call"])
def test_a_lease_holds_a_stack_awake_past_its_idle_time_until_it_is_given_back(
    repository: Repository, serve: Serve, workers: int, way: str
) -> None:
    commit, other = repository.commit("one", APPLICATION), repository.commit("two", APPLICATION)
    running = serve(app='idle = "1s"', workers=workers)
    taken = running.get(host(commit), f"{way}?600")
    assert taken.status == 200
    assert "x-grand-central-keep-alive" not in taken.fields
    if way == "/call":
        assert json.loads(taken.body)["until"].endswith("+00:00")
    assert running.get(host(other)).status == 200
    eventually(lambda: asleep(running, other), what="sleep of the one that has no lease")
    assert running.state(commit) == "ready"
    assert running.get(host(commit), f"{way}?0").status == 200
    eventually(lambda: asleep(running, commit), what="sleep")


def test_nobody_but_the_stack_itself_takes_a_lease_and_the_call_wakes_nothing(
    repository: Repository, serve: Serve, workers: int
) -> None:
    commit = repository.commit("one", APPLICATION)
    running = serve(workers=workers)
    call = running.request(host(commit), "/.grand-central/keep-alive?seconds=600", "POST", Authorization="Bearer guessed")
    assert asyncio.run(call).problem == "asleep"
    assert asleep(running, commit)
    assert running.get(host(commit)).status == 200
    call = running.request(host(commit), "/.grand-central/keep-alive?seconds=600", "POST", Authorization="Bearer guessed")
    assert asyncio.run(call).problem == "token-needed"
