"""The whole gateway as one process, on the process backend: what a client and an operator see."""

from __future__ import annotations

import asyncio
import hashlib
import json
import os
import re

import pytest

from tests.gateway import GatewayProcess, eventually, read_response

from .conftest import APPLICATION, Repository, Serve

MiB = 1024 * 1024
SLOW = "import time\ntime.sleep(1)\n" + APPLICATION


def host(commit: str, digits: int = 7) -> str:
    return f"{commit[:digits]}.review.localhost"


def test_three_commits_at_once_each_get_their_own_page(repository: Repository, serve: Serve) -> None:
    commits = {message: repository.commit(message) for message in ("one", "two", "three")}
    running = serve()
    answers = running.ask_all([host(commit) for commit in commits.values()])
    assert [answer.body.split()[0].decode() for answer in answers] == list(commits)
    assert {running.state(commit) for commit in commits.values()} == {"ready"}


@pytest.mark.failure(22)
def test_short_long_and_oddly_written_hosts_are_one_stack(repository: Repository, serve: Serve) -> None:
    commit = repository.commit("one")
    running = serve()
    pids = set()
    for name in (host(commit), host(commit, 40), host(commit, 12).upper(), host(commit) + "."):
        answer = running.get(name)
        assert answer.status == 200, answer
        pids |= set(re.findall(rb"pid=(\d+)", answer.body))
    assert len(pids) == 1
    assert len(running.stacks()) == 1


@pytest.mark.failure(1)
def test_five_hundred_requests_on_a_cold_key_make_one_start_and_are_all_answered(repository: Repository, serve: Serve) -> None:
    commit = repository.commit("one")
    running = serve()
    answers = running.ask_all([host(commit)] * 500)
    assert {answer.status for answer in answers} == {200}
    assert {answer.body.splitlines()[0] for answer in answers} == {b"one"}
    starts = json.loads(running.admin(f"/api/v1/stacks/app/{commit}/starts").body)["starts"]
    assert len(starts) == 1
    assert {"registry", "create", "ready"} <= set(starts[0]["phases_ms"])


def test_what_cannot_be_had_is_said_as_a_page_to_browsers_and_as_a_problem_to_others(
    repository: Repository, serve: Serve
) -> None:
    repository.commit("one")
    running = serve()
    cases = {
        "elsewhere.example.com": "unknown-host",
        "nothex1.review.localhost": "invalid-version",
        "0123456789.review.localhost": "unknown-version",
    }
    for name, problem in cases.items():
        plain = running.get(name)
        assert (plain.status, plain.fields["content-type"], plain.problem) == (404, "application/problem+json", problem)
        page = running.get(name, Accept="text/html,*/*;q=0.8")
        assert page.status == 404
        assert page.fields["content-type"].startswith("text/html")
        assert page.body.startswith(b"<!doctype html>")


def test_an_application_that_exits_fails_all_at_once_with_its_last_words_and_is_not_restarted_by_the_next_request(
    repository: Repository, serve: Serve
) -> None:
    commit = repository.commit("broken")
    running = serve()
    answers = running.ask_all([host(commit)] * 20)
    assert {(answer.status, answer.problem) for answer in answers} == {(502, "start-failed")}
    assert b"cannot find its shoes" in answers[0].body
    again = running.get(host(commit), Accept="text/html")
    assert again.status == 502
    assert b"cannot find its shoes" in again.body
    starts = json.loads(running.admin(f"/api/v1/stacks/app/{commit}/starts").body)["starts"]
    assert len(starts) == 1


def test_a_stack_that_dies_is_booted_by_the_next_request(repository: Repository, serve: Serve) -> None:
    commit = repository.commit("one")
    running = serve()
    first = running.get(host(commit))
    assert running.get(host(commit), "/exit").status == 502
    second = running.get(host(commit))
    assert second.status == 200
    assert first.body != second.body


@pytest.mark.failure(9)
def test_idle_stacks_go_but_not_one_with_a_slow_download_or_a_silent_stream(repository: Repository, serve: Serve) -> None:
    idle, downloading, streaming = (repository.commit(message) for message in ("idle", "downloading", "streaming"))
    running = serve(app='idle = "1s"')

    async def scenario() -> None:
        await running.request(host(idle))
        reader, writer = await upgrade(running, host(streaming))
        slow = asyncio.create_task(running.request(host(downloading), "/slow"))
        await asyncio.to_thread(eventually, lambda: running.state(idle) == "stopped", 20)
        assert running.state(streaming) == "ready"
        answer = await slow
        assert answer.body == b"tick" * 40
        writer.write(b"still there?")
        assert await reader.readexactly(12) == b"still there?"
        writer.close()

    asyncio.run(scenario())
    eventually(lambda: running.state(streaming) == running.state(downloading) == "stopped", 30, "sleep")


async def upgrade(running: GatewayProcess, name: str) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    reader, writer = await asyncio.open_connection("127.0.0.1", running.port)
    writer.write(f"GET /echo HTTP/1.1\r\nHost: {name}\r\nConnection: upgrade\r\nUpgrade: echo\r\n\r\n".encode())
    head = await reader.readuntil(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 101 "), head
    return reader, writer


@pytest.mark.failure(23)
def test_an_upgrade_to_a_cold_key_is_held_then_upgraded_and_echoes(repository: Repository, serve: Serve) -> None:
    commit = repository.commit("one")
    running = serve()

    async def scenario() -> None:
        reader, writer = await upgrade(running, host(commit))
        for payload in (b"a", bytes(range(256)) * 400):
            writer.write(payload)
            assert await reader.readexactly(len(payload)) == payload
        writer.close()

    asyncio.run(scenario())


@pytest.mark.failure(12)
@pytest.mark.parametrize("chunked", [False, True], ids=["length", "chunked"])
def test_a_large_post_to_a_cold_key_arrives_whole_and_once_and_costs_no_memory(
    repository: Repository, serve: Serve, chunked: bool
) -> None:
    warm, cold = repository.commit("warm"), repository.commit("cold", SLOW)
    running = serve()
    running.get(host(warm))
    body = os.urandom(64 * MiB)
    sent, fields = body, {}
    if chunked:
        pieces = (body[at : at + MiB] for at in range(0, len(body), MiB))
        sent, fields = (
            b"%b0\r\n\r\n" % b"".join(b"100000\r\n%b\r\n" % piece for piece in pieces),
            {"Transfer-Encoding": "chunked"},
        )
    before = running.memory()
    peak = before

    async def scenario() -> bytes:
        nonlocal peak
        posting = asyncio.create_task(running.request(host(cold), method="POST", body=sent, **fields))
        while not posting.done():
            peak = max(peak, running.memory())
            await asyncio.wait([posting], timeout=0.01)
        return (await posting).body

    assert asyncio.run(scenario()).decode() == hashlib.sha256(body).hexdigest()
    assert peak - before < 8 * MiB


def test_what_is_too_large_to_be_held_is_413_and_taken_when_it_need_not_be(repository: Repository, serve: Serve) -> None:
    commit = repository.commit("one", SLOW)
    running = serve('[http]\nmax_held_body = "1MiB"')
    body = os.urandom(2 * MiB)
    refused = asyncio.run(running.request(host(commit), method="POST", body=body))
    assert (refused.status, refused.problem, refused.fields["connection"]) == (413, "body-too-large", "close")
    eventually(lambda: running.state(commit) == "ready")
    assert (
        asyncio.run(running.request(host(commit), method="POST", body=body)).body.decode() == hashlib.sha256(body).hexdigest()
    )


@pytest.mark.failure(2)
def test_a_client_that_leaves_while_held_frees_its_place_and_the_start_goes_on(repository: Repository, serve: Serve) -> None:
    commit = repository.commit("one", SLOW)
    running = serve()

    async def scenario() -> None:
        _, writer = await asyncio.open_connection("127.0.0.1", running.port)
        writer.write(f"GET / HTTP/1.1\r\nHost: {host(commit)}\r\n\r\n".encode())
        await asyncio.to_thread(eventually, lambda: running.stacks().get(commit, {}).get("waiting") == 1)
        writer.close()
        await asyncio.to_thread(eventually, lambda: running.stacks()[commit]["waiting"] == 0)
        assert running.state(commit) != "ready"

    asyncio.run(scenario())
    eventually(lambda: running.state(commit) == "ready")


def test_never_more_than_max_stacks_and_every_client_is_answered(repository: Repository, serve: Serve) -> None:
    commits = [repository.commit(f"number {n}") for n in range(8)]
    running = serve('[limits]\nmax_stacks = 2\nmin_uptime = "100ms"\nqueue_timeout = "60s"')
    answers = running.ask_all([host(commit) for commit in commits])
    assert {answer.status for answer in answers} == {200}
    taken = [stack for stack in running.stacks().values() if stack["state"] == "ready"]
    assert len(taken) <= 2


def test_busy_and_pinned_stacks_survive_a_crowd_of_newcomers(repository: Repository, serve: Serve) -> None:
    busy, pinned, *others = (repository.commit(f"number {n}") for n in range(6))
    running = serve('[limits]\nmax_stacks = 3\nmin_uptime = "0s"\nqueue_timeout = "60s"')
    running.get(host(pinned))
    running.admin(f"/api/v1/stacks/app/{pinned}/pin", "PUT")

    async def scenario() -> None:
        reader, writer = await upgrade(running, host(busy))
        answers = await asyncio.gather(*(running.request(host(commit)) for commit in others))
        assert {answer.status for answer in answers} == {200}
        writer.write(b"still there?")
        assert await reader.readexactly(12) == b"still there?"
        assert (running.state(busy), running.state(pinned)) == ("ready", "ready")
        writer.close()

    asyncio.run(scenario())


def test_a_stopped_gateway_leaves_stacks_running_and_the_next_adopts_them(repository: Repository, serve: Serve) -> None:
    commit = repository.commit("one")
    running = serve()
    before = running.get(host(commit)).body
    running.admin(f"/api/v1/stacks/app/{commit}/pin", "PUT")
    for end in (running.stop, running.kill):
        end()
        running.start()
        assert running.stacks()[commit]["pinned"]
        assert running.get(host(commit)).body == before


def test_a_port_and_a_state_directory_in_use_are_said_in_a_sentence(repository: Repository, serve: Serve) -> None:
    repository.commit("one")
    running = serve()
    elsewhere = running.home / "elsewhere"
    elsewhere.mkdir()
    for second, sentence in (
        (GatewayProcess(elsewhere, running.configuration, port=running.port), f"cannot listen on tcp:{running.port}"),
        (GatewayProcess(running.home, running.configuration), "is another gateway's (process "),
    ):
        second.start(ready=False)
        assert second.process is not None
        assert second.process.wait(20) == 1
        assert sentence in second.log


def test_pipelined_and_kept_connections_reach_the_right_stacks(repository: Repository, serve: Serve) -> None:
    one, two = repository.commit("one"), repository.commit("two")
    running = serve()

    async def scenario() -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", running.port)
        for commit in (one, two, one):
            writer.write(f"GET / HTTP/1.1\r\nHost: {host(commit)}\r\n\r\n".encode())
        bodies = [(await read_response(reader)).body.splitlines()[0] for _ in range(3)]
        assert bodies == [b"one", b"two", b"one"]
        writer.close()

    asyncio.run(scenario())
