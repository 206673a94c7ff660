"""Clients that take their time, over real sockets: they cost the others nothing, and get their status in the end."""

from __future__ import annotations

import asyncio
import re
import time

import pytest

from tests.gateway import GatewayProcess, Response, eventually, read_response

from .conftest import APPLICATION, Repository, Serve
from .test_gateway import host

MiB = 1024 * 1024
SLOW = 200


def metric(running: GatewayProcess, name: str) -> float:
    found = re.search(rf"^{re.escape(name)} (\S+)$", running.admin("/metrics").body.decode(), re.MULTILINE)
    assert found, name
    return float(found[1])


def test_two_hundred_clients_with_half_a_head_are_timed_out_and_slow_nobody_down(repository: Repository, serve: Serve) -> None:
    commit = repository.commit("one")
    running = serve('[http]\nhead_timeout = "4s"\nlinger = "1s"')
    running.get(host(commit))
    head = f"GET / HTTP/1.1\r\nHost: {host(commit)}\r\nX-Slow: ".encode()
    ended = asyncio.Event()

    async def slow(number: int) -> Response:
        reader, writer = await asyncio.open_connection("127.0.0.1", running.port)
        answer = asyncio.create_task(read_response(reader))
        for at in range(len(head) * 10):  # byte by byte, and never the end of it
            if answer.done():
                break
            writer.write(head[at : at + 1] or b"x")
            await asyncio.wait([answer], timeout=0.05 + number / 10_000)
        response = await answer
        writer.close()
        return response

    async def others() -> list[float]:
        reader, writer = await asyncio.open_connection("127.0.0.1", running.port)
        took = []
        while not ended.is_set():
            begun = time.perf_counter()
            writer.write(f"GET / HTTP/1.1\r\nHost: {host(commit)}\r\n\r\n".encode())
            assert (await read_response(reader)).status == 200
            took.append(time.perf_counter() - begun)
            await asyncio.sleep(0.01)
        writer.close()
        return took

    async def scenario() -> tuple[list[Response], list[float]]:
        served = asyncio.create_task(others())
        begun = time.monotonic()
        answers = await asyncio.gather(*(slow(number) for number in range(SLOW)))
        assert 3.5 < time.monotonic() - begun < 15
        ended.set()
        return answers, await served

    answers, took = asyncio.run(scenario())
    assert {answer.status for answer in answers} == {408}
    assert len(took) > 50
    assert sorted(took)[len(took) // 2] < 0.1
    eventually(lambda: metric(running, "grandcentral_http_connections") == 0, 10)


@pytest.mark.parametrize("sent", [MiB, 20 * MiB])
@pytest.mark.parametrize("aborts", [False, True], ids=["closes", "resets"])
def test_a_client_with_a_large_body_that_leaves_while_held_is_noticed_at_once(
    repository: Repository, serve: Serve, sent: int, aborts: bool
) -> None:
    commit = repository.commit("never", "import time\ntime.sleep(600)\n" + APPLICATION)
    running = serve()

    async def scenario() -> None:
        _, writer = await asyncio.open_connection("127.0.0.1", running.port)
        writer.write(f"POST / HTTP/1.1\r\nHost: {host(commit)}\r\nContent-Length: {64 * MiB}\r\n\r\n".encode())
        writer.write(bytes(sent))
        await writer.drain()
        await asyncio.to_thread(eventually, lambda: metric(running, "grandcentral_held_requests") == 1)
        if aborts:
            writer.transport.abort()
        else:
            writer.close()
            await writer.wait_closed()

    asyncio.run(scenario())
    eventually(lambda: metric(running, "grandcentral_held_requests") == 0, 1)
    eventually(lambda: metric(running, "grandcentral_http_connections") == 0, 1)


def test_too_many_connections_of_one_address_are_each_told_so(repository: Repository, serve: Serve) -> None:
    commit = repository.commit("one")
    running = serve("[http]\nmax_connections_per_client = 5")

    async def scenario() -> None:
        kept = [await asyncio.open_connection("127.0.0.1", running.port) for _ in range(5)]
        await asyncio.to_thread(eventually, lambda: metric(running, "grandcentral_http_connections") == 5)
        refused = await asyncio.gather(*(running.request(host(commit)) for _ in range(20)))
        assert {(answer.status, answer.problem) for answer in refused} == {(503, "too-many-connections")}
        for _, writer in kept:
            writer.close()

    asyncio.run(scenario())
    eventually(lambda: metric(running, "grandcentral_http_connections") == 0, 10)
    answer = running.get(host(commit))
    assert answer.status == 200, answer
    assert metric(running, "grandcentral_http_connections_refused_total") == 20
