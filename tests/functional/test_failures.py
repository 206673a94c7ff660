"""Failures that users of other gateways report, where they are about an engine: see docs/failures.md."""

from __future__ import annotations

import asyncio
import socket
import threading
import time
from collections.abc import Iterator

import pytest

from tests.gateway import eventually

from .site import COMPOSE, Serve, Site

SLOW_TO_END = """
services:
  web:
    image: ${{IMAGE}}
    command: ["sh", "-c", "trap 'sleep 1; exit 0' TERM; httpd -f -p 8080 -h /www & wait"]
"""


@pytest.mark.failure(3)
def test_a_request_that_comes_while_the_stack_stops_waits_for_that_and_is_served_by_the_next(
    serve: Serve, versions: list[str]
) -> None:
    site = serve(compose=SLOW_TO_END)
    version = versions[0]
    assert site.running.get(site.host(version)).status == 200
    watch = site.watch()
    assert site.running.admin(f"/api/v1/stacks/app/{version}/stop?wait=0s", "POST").status < 300
    eventually(lambda: site.running.state(version) == "stopping", 5)
    answers = site.running.ask_all([site.host(version)] * 20)
    assert {(answer.status, answer.body) for answer in answers} == {(200, version.encode())}
    eventually(lambda: watch.count("start")["web"] == 1)
    assert watch.when("die", "web") < watch.when("start", "web")


@pytest.mark.failure(14)
def test_a_service_that_comes_back_at_another_address_is_reached_there_and_nobody_else_in_its_place(
    serve: Serve, versions: list[str], busybox: str
) -> None:
    site = serve(compose=COMPOSE)
    version = versions[0]
    site.running.get(site.host(version))
    client = site.containers.engine.client()
    (web,) = (one for one in site.containers.all() if one["Labels"]["grandcentral.service"] == "web")
    ((network, settings),) = web["NetworkSettings"]["Networks"].items()
    client.kill(web["Id"])
    # Somebody else takes its address, and answers there.
    serves = ["sh", "-c", "mkdir /www; echo intruder > /www/index.html; exec httpd -f -p 8080 -h /www"]
    intruders: dict[str, str] = {}
    try:
        while settings["IPAddress"] not in intruders:
            intruder = client.create_container(busybox, serves, host_config=client.create_host_config(network_mode=network))
            client.start(intruder)
            taken = client.inspect_container(intruder)["NetworkSettings"]["Networks"][network]["IPAddress"]
            intruders[taken] = intruder["Id"]
        answers = [site.running.get(site.host(version)) for _ in range(5)]
        assert {(answer.status, answer.body) for answer in answers} == {(200, version.encode())}
    finally:
        for container in intruders.values():
            client.remove_container(container, force=True)


STUCK = """
[apps.stuck]
host = "{{version}}.stuck.localhost"
version = "git-hash"
image = "127.0.0.1:{port}/stuck:{{version}}"
serves = "web:80"
"""


@pytest.fixture
def stalled() -> Iterator[int]:
    """The port of a registry that knows every tag, and never sends what it is asked for."""
    with socket.create_server(("127.0.0.1", 0), backlog=64) as listener:
        kept: list[socket.socket] = []

        def answer() -> None:
            while True:
                try:
                    connection, _ = listener.accept()
                except OSError:
                    return
                kept.append(connection)
                threading.Thread(target=converse, args=(connection,), daemon=True).start()

        threading.Thread(target=answer, daemon=True).start()
        yield int(listener.getsockname()[1])
        for connection in kept:
            connection.close()


def converse(connection: socket.socket) -> None:
    """HEAD of a manifest is answered; GET of anything but /v2/ never is."""
    digest = "sha256:" + 64 * "0"
    while received := _received(connection):
        line = received.split(b"\r\n")[0]
        if line.startswith(b"HEAD") or line.split()[1] == b"/v2/":
            connection.sendall(
                b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nDocker-Distribution-Api-Version: registry/2.0\r\n"
                b"Content-Type: application/vnd.docker.distribution.manifest.v2+json\r\n"
                + f"Docker-Content-Digest: {digest}\r\n\r\n".encode()
            )


def _received(connection: socket.socket) -> bytes:
    try:
        return connection.recv(65536)
    except OSError:  # whoever asked has given up
        return b""


@pytest.mark.failure(17)
def test_a_pull_that_takes_for_ever_keeps_nobody_else_waiting(serve: Serve, versions: list[str], stalled: int) -> None:
    """Many of them at once, more than pulls there may be at a time."""
    site: Site = serve(more=STUCK.format(port=stalled))
    cold: list[float] = []

    async def both() -> None:
        stuck = [asyncio.create_task(site.running.request(f"{n:07x}.stuck.localhost")) for n in range(0xC000001, 0xC000009)]
        await asyncio.sleep(1)  # so that they are under way; they stay so for as long as this lasts
        assert not any(task.done() for task in stuck)
        for version in versions[:3]:
            began = time.monotonic()
            answer = await site.running.request(site.host(version))
            cold.append(time.monotonic() - began)
            assert (answer.status, answer.body) == (200, version.encode())
        assert [task.result() for task in stuck if task.done()] == []
        for task in stuck:
            task.cancel()
        await asyncio.gather(*stuck, return_exceptions=True)

    asyncio.run(both())
    assert max(cold) < 10
    site.running.kill()  # its connections to the engine end, and with them the pulls


def test_a_pull_that_takes_for_ever_keeps_no_gateway_from_ending_and_nothing_is_lost_by_that(
    serve: Serve, versions: list[str], stalled: int
) -> None:
    site: Site = serve(more=STUCK.format(port=stalled))
    host = site.host(versions[0])
    assert site.running.get(host).status == 200
    before = {one["Id"]: one["State"] for one in site.containers.all()}

    async def ended_meanwhile() -> tuple[float, int]:
        stuck = asyncio.create_task(site.running.request("c000001.stuck.localhost"))
        await asyncio.sleep(1)  # so that it is under way
        began = time.monotonic()
        assert await asyncio.to_thread(site.running.stop) == 0
        return time.monotonic() - began, (await stuck).status

    took, status = asyncio.run(ended_meanwhile())
    assert (took < 5, status) == (True, 503), took  # about one second on a quiet machine
    site.running.start()
    assert site.running.get(host).body == versions[0].encode()
    assert {one["Id"]: one["State"] for one in site.containers.all()} == before
