"""One service behind one port, over real sockets, by both event loops' own connections."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from tests.gateway import GatewayProcess, eventually, free_port, gateway

MiB = 1024 * 1024


@pytest.fixture(params=[0, 2], ids=["alone", "workers"])
def workers(request: pytest.FixtureRequest) -> int:
    return int(request.param)


@pytest.fixture
def service() -> int:
    return free_port()


@pytest.fixture
def port() -> int:
    return free_port()


@pytest.fixture
def running(tmp_path: Path, workers: int, service: int, port: int) -> Iterator[GatewayProcess]:
    """A gateway whose ``port`` leads to what listens on ``service``."""
    app = f'[apps.mail]\nlisten = "tcp:{port}:interface=127.0.0.1"\nupstream = "127.0.0.1:{service}"\n'
    with gateway(tmp_path, app + '[limits]\nstart_timeout = "3s"\n', workers=workers) as running:
        yield running


@asynccontextmanager
async def serving(service: int, serve: object) -> AsyncIterator[None]:
    server = await asyncio.start_server(serve, "127.0.0.1", service)  # type: ignore[arg-type]
    try:
        yield
    finally:
        server.close()


async def upper(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Speaks first; answers when its client has said everything."""
    writer.write(b"220 ready\r\n")
    writer.write((await reader.read()).upper())
    await writer.drain()
    writer.close()


@pytest.mark.usefixtures("running")
def test_bytes_go_both_ways_and_who_has_said_everything_is_answered(service: int, port: int) -> None:
    async def talk() -> bytes:
        async with serving(service, upper):
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            greeting = await reader.readline()
            writer.write(b"one ")
            writer.write(b"two")
            writer.write_eof()
            said = greeting + await reader.read()
            writer.close()
            return said

    assert asyncio.run(talk()) == b"220 ready\r\nONE TWO"


@pytest.mark.usefixtures("running")
def test_a_service_that_is_not_there_yet_is_waited_for(service: int, port: int) -> None:
    async def talk() -> bytes:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"early")
        writer.write_eof()
        async with serving(service, upper):
            said = await reader.read()
            writer.close()
            return said

    assert asyncio.run(talk()) == b"220 ready\r\nEARLY"


def test_a_service_that_does_not_come_is_not_waited_for_for_ever(running: GatewayProcess, port: int) -> None:
    with socket.create_connection(("127.0.0.1", port), 30) as client:
        assert client.recv(1) == b""
    eventually(lambda: 'grandcentral_tcp_refusals_total{protocol="tcp",type="upstream-failed"} 1' in metrics(running))


def metrics(running: GatewayProcess) -> str:
    return running.admin("/metrics").body.decode()


def test_connections_are_counted_while_they_are_open(running: GatewayProcess, service: int, port: int) -> None:
    async def talk() -> None:
        async with serving(service, upper):
            _, writer = await asyncio.open_connection("127.0.0.1", port)
            shown = 'grandcentral_tcp_connections{protocol="tcp"} 1\n'
            await asyncio.to_thread(eventually, lambda: shown in metrics(running))
            writer.close()
            await asyncio.to_thread(eventually, lambda: shown not in metrics(running))

    asyncio.run(talk())


@pytest.mark.failure(20)
@pytest.mark.usefixtures("running")
def test_what_a_reader_does_not_take_is_not_taken_from_the_writer(service: int, port: int) -> None:
    written = 0

    async def pour(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal written
        block = bytes(256 * 1024)
        for _ in range(64 * MiB // len(block)):
            writer.write(block)
            await writer.drain()
            written += len(block)
        writer.close()

    async def talk() -> int:
        async with serving(service, pour):
            reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=65536)
            before = -1
            while before != written or not written:
                before = written
                await asyncio.sleep(0.5)
            assert written < 24 * MiB
            received = 0
            while data := await reader.read(MiB):
                received += len(data)
            writer.close()
            return received

    assert asyncio.run(talk()) == 64 * MiB


@pytest.mark.usefixtures("running")
def test_a_client_that_goes_takes_a_silent_service_s_connection_along(service: int, port: int) -> None:
    async def talk() -> None:
        gone = asyncio.Event()

        async def listen(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await reader.read()
            gone.set()
            writer.close()

        async with serving(service, listen):
            _, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(b"hello")
            await writer.drain()
            writer.transport.abort()
            await asyncio.wait_for(gone.wait(), 10)

    asyncio.run(talk())


def test_a_port_that_is_somebody_else_s_is_said_at_once(tmp_path: Path, workers: int, port: int) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", port))
        other.listen()
        app = f'[apps.mail]\nlisten = "tcp:{port}:interface=127.0.0.1"\nupstream = "127.0.0.1:9"\n'
        running = GatewayProcess(tmp_path, app, workers=workers)
        running.start(ready=False)
        assert running.process is not None
        assert running.process.wait(30) != 0
    assert "cannot listen on" in running.log
    assert f"tcp:{port}:interface=127.0.0.1" in running.log
