"""One side fast and the other slow: what is under way fills a buffer, and then the fast one waits. Memory stays flat."""

from __future__ import annotations

import asyncio
import socket
import time
from collections.abc import Awaitable, Callable

import pytest

from tests.gateway import GatewayProcess

from .conftest import Repository, Serve
from .test_gateway import host

MiB = 1024 * 1024
SIZE = 96 * MiB
SLOWLY = 8 * MiB  # of it goes at PACE, the rest as fast as may be
PACE = 4 * MiB  # bytes a second
BLOCK = 256 * 1024

# Sends SIZE bytes as fast as they are taken, or takes as many, slowly at first.
STREAMS = f"SIZE, SLOWLY, PACE, BLOCK = {SIZE}, {SLOWLY}, {PACE}, {BLOCK}\n" + """
import asyncio, os

async def serve(reader, writer):
    head = await reader.readuntil(b"\\r\\n\\r\\n")
    if head.startswith(b"GET /much"):
        framed = b"\\r\\nTransfer-Encoding: chunked" in head or b"chunked" in head.split(b" ")[1]
        coding = b"Transfer-Encoding: chunked" if framed else b"Content-Length: %d" % SIZE
        writer.write(b"HTTP/1.1 200 OK\\r\\n%b\\r\\n\\r\\n" % coding)
        block = bytes(BLOCK)
        for _ in range(SIZE // BLOCK):
            writer.write(b"%x\\r\\n%b\\r\\n" % (BLOCK, block) if framed else block)
            await writer.drain()
        if framed:
            writer.write(b"0\\r\\n\\r\\n")
    elif head.startswith(b"POST"):
        taken = 0
        while taken < SIZE:
            taken += len(await reader.read(BLOCK))
            if taken < SLOWLY:
                await asyncio.sleep(BLOCK / PACE / 4)
        writer.write(b"HTTP/1.1 200 OK\\r\\nContent-Length: 2\\r\\n\\r\\nok")
    else:
        writer.write(b"HTTP/1.1 200 OK\\r\\nContent-Length: 0\\r\\n\\r\\n")
    await writer.drain()
    writer.close()

async def main():
    server = await asyncio.start_server(serve, "127.0.0.1", int(os.environ["PORT"]), limit=65536)
    await server.serve_forever()

asyncio.run(main())
"""


def growth(running: GatewayProcess, scenario: Callable[[], Awaitable[None]]) -> int:
    """By how many bytes the gateway grew at most while this went on."""
    before = running.memory()
    most = before

    async def watched() -> None:
        nonlocal most
        going = asyncio.ensure_future(scenario())
        while not going.done():
            most = max(most, running.memory())
            await asyncio.wait([going], timeout=0.02)
        await going

    asyncio.run(watched())
    return most - before


async def connect(running: GatewayProcess) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    client = socket.create_connection(("127.0.0.1", running.port))
    client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, BLOCK)
    return await asyncio.open_connection(sock=client, limit=BLOCK)


@pytest.mark.failure(20)
def test_a_slow_reader_of_a_fast_application(repository: Repository, serve: Serve) -> None:
    commit = repository.commit("one", STREAMS)
    running = serve()
    running.get(host(commit))

    for path in ("/much", "/much-chunked"):

        async def read_slowly(path: str = path) -> None:
            reader, writer = await connect(running)
            writer.write(f"GET {path} HTTP/1.1\r\nHost: {host(commit)}\r\nConnection: close\r\n\r\n".encode())
            await reader.readuntil(b"\r\n\r\n")
            got, begun = 0, time.monotonic()
            while data := await reader.read(BLOCK):
                got += len(data)
                if got < SLOWLY:
                    await asyncio.sleep(max(0.0, got / PACE - (time.monotonic() - begun)))
            assert got >= SIZE
            writer.close()

        assert growth(running, read_slowly) < 8 * MiB


@pytest.mark.failure(20)
def test_a_fast_sender_to_a_slow_application(repository: Repository, serve: Serve) -> None:
    commit = repository.commit("one", STREAMS)
    running = serve()
    running.get(host(commit))

    async def send_fast() -> None:
        reader, writer = await connect(running)
        writer.write(f"POST / HTTP/1.1\r\nHost: {host(commit)}\r\nContent-Length: {SIZE}\r\n\r\n".encode())
        for _ in range(SIZE // BLOCK):
            writer.write(bytes(BLOCK))
            await writer.drain()
        assert b" 200 OK" in await reader.readuntil(b"\r\n\r\n")
        writer.close()

    assert growth(running, send_fast) < 8 * MiB
