"""The gateway with worker processes, and what happens when one of all these processes ends."""

from __future__ import annotations

import asyncio
import json
import os
import re
import signal
import socket
import subprocess
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from attrs import define, field

from grandcentral.workers.places import alive
from tests.gateway import COMMAND, GatewayProcess, Response, eventually, read_response

from .conftest import Repository, Serve
from .test_gateway import host, upgrade


@define
class Load:
    """Clients that ask all the time, each on its own connection, which it opens anew when it is told that it ends."""

    running: GatewayProcess
    name: str
    answers: int = 0
    failures: list[tuple[int, str]] = field(factory=list)  # the client's port, and what happened
    over: bool = False

    async def client(self) -> None:
        while not self.over:
            reader, writer = await asyncio.open_connection("127.0.0.1", self.running.port)
            port = writer.get_extra_info("sockname")[1]
            try:
                while not self.over:
                    writer.write(f"GET / HTTP/1.1\r\nHost: {self.name}\r\n\r\n".encode())
                    answer = await asyncio.wait_for(read_response(reader), 30)
                    self.answers += 1
                    if answer.status != 200:
                        self.failures.append((port, f"{answer.status} {answer.body[:200]!r}"))
                    if answer.fields.get("connection") == "close":
                        break
            except (OSError, asyncio.IncompleteReadError, TimeoutError) as error:
                self.failures.append((port, repr(error)))
            finally:
                writer.close()

    async def goes_on(self, answers: int = 300) -> None:
        """Wait until so many more are answered."""
        enough = self.answers + answers
        await until(lambda: self.answers >= enough)


@asynccontextmanager
async def load(running: GatewayProcess, name: str, clients: int = 20) -> AsyncIterator[Load]:
    it = Load(running, name)
    tasks = [asyncio.create_task(it.client()) for _ in range(clients)]
    try:
        await it.goes_on()
        yield it
        await it.goes_on()
    finally:
        it.over = True
        await asyncio.gather(*tasks)


async def until(condition, within: float = 30) -> None:
    deadline = asyncio.get_running_loop().time() + within
    while not condition():
        assert asyncio.get_running_loop().time() < deadline, "it did not come about"
        await asyncio.sleep(0.01)


async def soon(condition, what: str = "it"):
    """As ``eventually``, while the clients go on."""
    return await asyncio.to_thread(eventually, condition, 30, what)


def pids(running: GatewayProcess) -> list[int]:
    return [worker["pid"] for worker in running.crew() if worker["state"] == "serving"]


def two_without(running: GatewayProcess, gone: set[int]) -> bool:
    """Whether there are two workers, and none of these among them. One look: between two of them one may die."""
    serving = pids(running)
    return len(serving) == 2 and not gone & set(serving)


def clients_of(pid: int, port: int) -> set[int]:
    """The ports of the clients that are connected to this process at ``port`` (proc(5): /proc/net/tcp)."""
    inodes = set()
    for descriptor in Path(f"/proc/{pid}/fd").iterdir():
        found = re.fullmatch(r"socket:\[(\d+)\]", os.readlink(descriptor))
        if found:
            inodes.add(found[1])
    ports = set()
    for line in Path("/proc/net/tcp").read_text().splitlines()[1:]:
        columns = line.split()
        if columns[9] in inodes and int(columns[1].split(":")[1], 16) == port:
            ports.add(int(columns[2].split(":")[1], 16))
    return ports


def test_cold_and_warm_requests_go_through_both_workers_to_one_stack(repository: Repository, serve: Serve) -> None:
    commit = repository.commit("one")
    running = serve(workers=2)
    answers = running.ask_all([host(commit), host(commit, 12)] * 30)
    assert {answer.status for answer in answers} == {200}
    assert len({re.search(rb"pid=\d+", answer.body)[0] for answer in answers}) == 1  # type: ignore[index]
    eventually(lambda: sum(worker["requests"] for worker in running.crew()) == 60)
    assert all(worker["requests"] for worker in running.crew())
    stack = running.stacks()[commit]
    assert (stack["requests"], stack["in_flight"]) == (60, 0)


@pytest.mark.failure(1)
def test_five_hundred_requests_on_a_cold_key_make_one_start(repository: Repository, serve: Serve) -> None:
    commit = repository.commit("one")
    running = serve(workers=2)
    answers = running.ask_all([host(commit)] * 500)
    assert {answer.status for answer in answers} == {200}
    assert len(json.loads(running.admin(f"/api/v1/stacks/app/{commit}/starts").body)["starts"]) == 1


def test_a_refusal_is_told_through_a_worker_with_all_its_facts(repository: Repository, serve: Serve) -> None:
    commit = repository.commit("broken")
    running = serve(workers=2)
    answer = running.get(host(commit))
    assert (answer.status, answer.problem) == (502, "start-failed")
    assert b"cannot find its shoes" in answer.body
    assert running.get("0123456789.review.localhost").problem == "unknown-version"


def test_a_worker_that_is_killed_takes_its_own_connections_with_it_and_nothing_else(
    repository: Repository, serve: Serve
) -> None:
    commit = repository.commit("one")
    running = serve(workers=2)
    before = pids(running)

    async def scenario() -> None:
        async with load(running, host(commit)) as under_load:
            theirs = clients_of(before[0], running.port)
            assert theirs
            os.kill(before[0], signal.SIGSTOP)  # so that it takes no more while we look
            theirs = clients_of(before[0], running.port)
            os.kill(before[0], signal.SIGKILL)
            await soon(lambda: two_without(running, {before[0]}), "another worker")
        assert {port for port, _ in under_load.failures} <= theirs, under_load.failures

    asyncio.run(scenario())
    assert before[1] in pids(running)
    eventually(lambda: running.stacks()[commit]["in_flight"] == 0)


def test_newcomers_do_not_wait_for_the_replacement_of_a_worker_that_was_killed(repository: Repository, serve: Serve) -> None:
    commit = repository.commit("one")
    running = serve(workers=2)
    running.get(host(commit))
    waits: list[float] = []
    failures: list[tuple[int, str]] = []

    async def newcomer() -> None:
        began = time.monotonic()
        reader, writer = await asyncio.open_connection("127.0.0.1", running.port)
        port = writer.get_extra_info("sockname")[1]
        try:
            writer.write(f"GET / HTTP/1.1\r\nHost: {host(commit)}\r\nConnection: close\r\n\r\n".encode())
            assert (await asyncio.wait_for(read_response(reader), 30)).status == 200
            waits.append(time.monotonic() - began)
        except (OSError, asyncio.IncompleteReadError, TimeoutError, AssertionError) as error:
            failures.append((port, repr(error)))
        finally:
            writer.close()

    async def newcomers(tasks: list[asyncio.Task[None]]) -> None:
        while True:
            tasks.append(asyncio.create_task(newcomer()))
            await asyncio.sleep(0.01)

    async def scenario() -> set[int]:
        theirs: set[int] = set()
        tasks: list[asyncio.Task[None]] = []
        coming = asyncio.create_task(newcomers(tasks))
        for _ in range(3):
            for pid in pids(running):
                os.kill(pid, signal.SIGSTOP)  # so that it takes no more while we look
                theirs |= clients_of(pid, running.port)
                os.kill(pid, signal.SIGKILL)
                await soon(lambda pid=pid: two_without(running, {pid}), "another worker")
        coming.cancel()
        await asyncio.gather(*tasks)
        return theirs

    theirs = asyncio.run(scenario())
    assert {port for port, _ in failures} <= theirs, failures
    assert len(waits) > 200
    assert max(waits) < 0.5, sorted(waits)[-20:]


def test_without_the_gateway_workers_serve_what_is_warm_and_hold_what_is_cold_until_the_next_one_adopts_them(
    repository: Repository, serve: Serve
) -> None:
    warm, cold = repository.commit("warm"), repository.commit("cold")
    running = serve(workers=2)
    before = pids(running)

    async def scenario() -> Response:
        async with load(running, host(warm)) as under_load:
            running.kill()
            held = asyncio.create_task(running.request(host(cold)))
            await under_load.goes_on(1000)
            assert not held.done()
            await asyncio.to_thread(running.start)
            answer = await asyncio.wait_for(held, 30)
        assert under_load.failures == []
        return answer

    assert asyncio.run(scenario()).body.startswith(b"cold")
    assert pids(running) == before
    assert running.state(warm) == "ready"


def test_what_a_worker_of_an_earlier_gateway_has_in_flight_keeps_its_stack(repository: Repository, serve: Serve) -> None:
    commit = repository.commit("one")
    running = serve(app='idle = "1s"', workers=2)

    async def scenario() -> None:
        reader, writer = await upgrade(running, host(commit))
        running.kill()
        await asyncio.to_thread(running.start)
        assert running.stacks()[commit]["streams"] == 1
        await soon(lambda: running.stacks()[commit]["idle_seconds"] == 0)
        writer.write(b"still there?")
        assert await reader.readexactly(12) == b"still there?"
        writer.close()

    asyncio.run(scenario())
    eventually(lambda: running.state(commit) == "stopped", 30, "sleep")


def test_sighup_brings_a_new_app_and_new_workers_and_drops_nothing(repository: Repository, serve: Serve) -> None:
    commit = repository.commit("one")
    running = serve(workers=2)
    before = pids(running)

    async def scenario() -> None:
        async with load(running, host(commit)) as under_load:
            reader, writer = await upgrade(running, host(commit))
            running.reload(running.configuration + '[apps.docs]\nhost = "docs.localhost"\nupstream = "127.0.0.1:1"\n')
            await soon(lambda: two_without(running, set(before)), "new workers")
            assert (await running.request("docs.localhost")).problem == "upstream-failed"
            writer.write(b"still there?")
            assert await reader.readexactly(12) == b"still there?"
            writer.close()
            await soon(lambda: not any(map(alive, before)), "the end of the old workers")
        assert under_load.failures == []

    asyncio.run(scenario())


def test_sighup_with_a_wrong_configuration_changes_nothing_and_says_what_is_wrong(repository: Repository, serve: Serve) -> None:
    commit = repository.commit("one")
    running = serve(workers=1)
    before = pids(running)
    running.reload(running.configuration + "[limits]\nmax_stacks = 0\n[nonsense]\n")
    eventually(lambda: "limits.max_stacks" in running.log and "nonsense" in running.log)
    assert running.get(host(commit)).status == 200
    assert pids(running) == before


def test_sighup_without_workers_swaps_routes_in_place_and_stops_what_belongs_to_no_app(
    repository: Repository, serve: Serve
) -> None:
    commit = repository.commit("one")
    running = serve()
    assert running.get(host(commit)).status == 200
    pid = int(re.search(rb"pid=(\d+)", running.get(host(commit)).body)[1])  # type: ignore[index]
    before = running.configuration
    running.reload('[apps.docs]\nhost = "docs.localhost"\nupstream = "127.0.0.1:1"\n')
    eventually(lambda: running.get("docs.localhost").problem == "upstream-failed")
    assert running.get(host(commit)).problem == "unknown-host"
    eventually(lambda: not alive(pid), what="the end of the stack")
    running.reload(before)
    eventually(lambda: running.get(host(commit)).status == 200)


@pytest.mark.parametrize("workers", [0, 2])
def test_sighup_begins_and_changes_the_access_log(repository: Repository, serve: Serve, tmp_path: Path, workers: int) -> None:
    commit = repository.commit("one")
    running = serve(workers=workers)
    assert running.process is not None

    async def scenario() -> None:
        async with load(running, host(commit)) as under_load:
            for name in ("combined", "json"):
                file = tmp_path / name
                running.write()
                settings = f'[log]\naccess = "{file}"\naccess_format = "{name}"\n'
                running.file.write_text(running.file.read_text().replace("[log]\n", settings))
                running.process.send_signal(signal.SIGHUP)
                await soon(lambda file=file: file.exists() and file.stat().st_size > 0, f"lines in {file}")
        assert under_load.failures == []

    asyncio.run(scenario())
    running.stop()
    assert b'" 200 ' in (tmp_path / "combined").read_bytes()
    assert {json.loads(line)["status"] for line in (tmp_path / "json").read_text().splitlines()} == {200}


def test_sigterm_ends_the_workers_too_lets_requests_finish_and_leaves_stacks(repository: Repository, serve: Serve) -> None:
    commit = repository.commit("one")
    running = serve(workers=2)
    first = running.get(host(commit))
    before = pids(running)

    async def scenario() -> Response:
        slow = asyncio.create_task(running.request(host(commit), "/slow"))
        await soon(lambda: running.stacks()[commit]["in_flight"] == 1)
        assert await asyncio.to_thread(running.stop) == 0
        return await slow

    assert asyncio.run(scenario()).body == b"tick" * 40
    assert not any(map(alive, before))
    running.start()
    assert running.get(host(commit)).body == first.body


def test_a_worker_whose_gateway_stays_away_can_be_ended(repository: Repository, serve: Serve) -> None:
    running = serve(workers=1)
    (pid,) = pids(running)
    running.kill()
    os.kill(pid, signal.SIGTERM)
    eventually(lambda: not alive(pid))
    running.start()
    assert len(pids(running)) == 1


@pytest.mark.failure(9)
def test_a_stack_with_a_stream_on_a_worker_stays_and_sleeps_when_it_is_over(repository: Repository, serve: Serve) -> None:
    idle, streaming = repository.commit("idle"), repository.commit("streaming")
    running = serve(app='idle = "1s"', workers=2)

    async def scenario() -> None:
        await running.request(host(idle))
        reader, writer = await upgrade(running, host(streaming))
        await soon(lambda: running.state(idle) == "stopped")
        assert running.state(streaming) == "ready"
        writer.write(b"still there?")
        assert await reader.readexactly(12) == b"still there?"
        writer.close()

    asyncio.run(scenario())
    eventually(lambda: running.state(streaming) == "stopped", 30, "sleep")


def test_a_socket_of_systemd_is_shared_by_the_workers_and_systemd_is_told_how_we_are(tmp_path: Path) -> None:
    listening, notices = socket.create_server(("127.0.0.1", 0)), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    notices.bind(str(tmp_path / "notify"))
    notices.settimeout(30)
    running = GatewayProcess(tmp_path, "", port=listening.getsockname()[1], workers=2)
    running.write()
    endpoint = f"tcp:{running.port}:interface=127.0.0.1"
    running.file.write_text(running.file.read_text().replace(endpoint, "systemd:domain=INET:name=http"))
    script = 'exec 3<&"$1"; export LISTEN_PID=$$ LISTEN_FDS=1 LISTEN_FDNAMES=http; exec "$2" run --config "$3"'
    with (tmp_path / "gateway.log").open("wb") as log:
        running.process = subprocess.Popen(
            ["bash", "-c", script, "bash", str(listening.fileno()), COMMAND, running.file],
            env={**os.environ, "NOTIFY_SOCKET": notices.getsockname(), "WATCHDOG_USEC": "200000"},
            pass_fds=[listening.fileno()],
            stdout=log,
            stderr=log,
        )
    try:
        assert notices.recv(1000).startswith(b"READY=1\n"), running.log
        assert notices.recv(1000) == b"WATCHDOG=1"
        assert {answer.status for answer in running.ask_all(["nowhere.localhost"] * 20)} == {404}
        running.process.send_signal(signal.SIGHUP)
        eventually(lambda: notices.recv(1000).startswith(b"RELOADING=1\nMONOTONIC_USEC="))
        eventually(lambda: notices.recv(1000).startswith(b"READY=1\n"))
    finally:
        assert running.stop() == 0, running.log
    eventually(lambda: notices.recv(1000).startswith(b"STOPPING=1\n"))
