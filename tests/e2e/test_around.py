"""What is around the requests, in a gateway as operators run it: logs, metrics, traces, PROXY headers."""

from __future__ import annotations

import asyncio
import json
import re
import signal
from pathlib import Path

import pytest

from tests.gateway import GatewayProcess, Response, eventually, read_response

from .conftest import Repository, Serve
from .test_gateway import host


def metrics(running: GatewayProcess) -> dict[str, float]:
    text = running.admin("/metrics").body.decode()
    return {line.rpartition(" ")[0]: float(line.rpartition(" ")[2]) for line in text.splitlines() if line[0] != "#"}


async def ask(running: GatewayProcess, data: bytes) -> Response:
    reader, writer = await asyncio.open_connection("127.0.0.1", running.port)
    try:
        writer.write(data)
        return await read_response(reader)
    finally:
        writer.close()


@pytest.mark.parametrize("workers", [0, 2])
def test_every_request_has_its_line_its_count_and_the_first_its_timing(
    repository: Repository, serve: Serve, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, workers: int
) -> None:
    log = tmp_path / "access.log"
    monkeypatch.setenv("GRANDCENTRAL_LOG_ACCESS", str(log))
    monkeypatch.setenv("GRANDCENTRAL_LOG_ACCESS_FORMAT", "json")
    commit = repository.commit("one")
    running = serve("[http]\ntracing = true", workers=workers)
    first, *rest = (running.get(host(commit)) for _ in range(10))
    timing = dict(part.split(";dur=") for part in first.fields["server-timing"].split(", "))
    assert {"held", "start-registry", "start-create", "start-ready"} <= set(timing)
    assert 0 < float(timing["start-create"]) <= float(timing["held"])
    # A worker that has yet to learn the way to the stack may hold a request for long enough to say so, once.
    later = [answer.fields["server-timing"] for answer in rest if "server-timing" in answer.fields]
    assert len(later) <= max(0, workers - 1)
    assert not any("start-" in timing for timing in later)
    problem = json.loads(running.get("elsewhere.example.com").body)

    def lines() -> list[dict[str, object]]:
        whole = log.read_text().rpartition("\n")[0] if log.exists() else ""
        return [json.loads(line) for line in whole.splitlines()]

    eventually(lambda: len(lines()) == 11, 10, "the log's lines")
    assert sorted((line["status"], line["stack"]) for line in lines()) == [(200, f"app/{commit}")] * 10 + [(404, "")]
    assert problem["trace_id"] in {line["trace_id"] for line in lines()}
    assert len({line["trace_id"] for line in lines()}) == 11

    log.rename(tmp_path / "access.log.1")
    assert running.process is not None
    running.process.send_signal(signal.SIGUSR1)
    running.get(host(commit))
    eventually(lambda: len(lines()) == 1, 10, "a line in the new log")

    def counted() -> dict[str, float] | None:
        """The metrics, when every worker has told of all its requests: each does once a second."""
        told = metrics(running)
        codes = [told.get(f'grandcentral_http_requests_total{{code="{code}",method="GET"}}') for code in (200, 404)]
        return told if codes == [11, 1] else None

    told = eventually(counted, 10, "the count of answers")
    assert told['grandcentral_stack_starts_total{depth="cold",outcome="ready"}'] == 1
    assert told['grandcentral_stacks{state="ready"}'] == 1
    assert told["grandcentral_http_held_seconds_count"] >= 1
    assert told["grandcentral_http_request_duration_seconds_count"] == 11
    assert 0 < told["grandcentral_http_request_duration_seconds_sum"] < 60
    assert told['grandcentral_http_refusals_total{type="unknown-host"}'] == 1
    assert told["grandcentral_memory_available_bytes"] > 0
    assert told['grandcentral_proxied_bytes_total{direction="out"}'] > 1000
    assert told["grandcentral_access_log_dropped_total"] == 0


@pytest.mark.parametrize("workers", [0, 2])
def test_behind_a_balancer_the_client_is_whom_the_header_names(repository: Repository, serve: Serve, workers: int) -> None:
    commit = repository.commit("one")
    running = serve('[http]\nproxy_protocol = "127.0.0.0/8"', workers=workers)
    request = f"GET / HTTP/1.1\r\nHost: {host(commit)}\r\n\r\n".encode()
    answer = asyncio.run(ask(running, b"PROXY TCP4 192.0.2.7 127.0.0.1 4000 80\r\n" + request))
    assert b"for=192.0.2.7\n" in answer.body
    with pytest.raises((asyncio.IncompleteReadError, ConnectionError)):
        asyncio.run(ask(running, request))


def test_the_log_of_requests_can_go_to_standard_output(
    repository: Repository, serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GRANDCENTRAL_LOG_ACCESS", "-")
    commit = repository.commit("one")
    running = serve()
    asyncio.run(ask(running, f'GET /"x HTTP/1.1\r\nHost: {host(commit)}\r\nUser-Agent: \x1b[2J"\r\n\r\n'.encode("latin-1")))
    asyncio.run(ask(running, f'GET /"y HTTP/1.1\r\nHost: {host(commit)}\r\nUser-Agent: a"b\r\n\r\n'.encode()))
    running.stop()
    assert re.search(r'^127\.0\.0\.1 - - \[.*\] "-" 400 ', running.log, re.MULTILINE)
    assert re.search(rf'"GET /\\x22y HTTP/1.1" 200 \d+ "-" "a\\x22b" app/{commit} ', running.log)
    assert "\x1b" not in running.log
