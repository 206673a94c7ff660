"""10,000 idle WebSockets through each proxy for a while, then each echoes; memory of the proxy for each."""

from __future__ import annotations

import asyncio
import base64
import os
import tempfile
from contextlib import ExitStack
from pathlib import Path

from attrs import frozen

from .. import proxies
from ..heads import HOST
from ..measured import Measured, Table
from ..options import Options
from ..origins import python_origin
from ..processes import allow_many_files

WEBSOCKETS = 10_000
HOLD = 60.0  # seconds
AT_ONCE = 250  # handshakes, echoes
FROM_ONE_ADDRESS = 1_000  # client addresses 127.0.0.2, 127.0.0.3, …
SPARE_FILES = 100
WITH = ("grandcentral", "haproxy", "nginx", "chp")  # ReverseProxyResource cannot upgrade


@frozen
class Held:
    bytes_each: float
    echoed: int
    processes: int


class Client(asyncio.Protocol):
    """``answered`` is the future of what comes next."""

    def __init__(self) -> None:
        self.answered: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()
        self.transport: asyncio.Transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport
        key = base64.b64encode(os.urandom(16)).decode()
        transport.write(
            f"GET /cable HTTP/1.1\r\nHost: {HOST}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
            f"Sec-WebSocket-Key: {key}\r\nOrigin: http://{HOST}\r\n\r\n".encode()
        )

    def data_received(self, data: bytes) -> None:
        if not self.answered.done():
            self.answered.set_result(data)

    def connection_lost(self, exc: Exception | None) -> None:
        if not self.answered.done():
            self.answered.set_exception(exc or ConnectionError("closed"))

    async def echo(self, text: bytes) -> bool:
        """Whether a text message of less than 126 bytes comes back."""
        self.answered = asyncio.get_running_loop().create_future()
        mask = os.urandom(4)
        masked = bytes(byte ^ mask[n % 4] for n, byte in enumerate(text))
        self.transport.write(bytes((0x81, 0x80 | len(text))) + mask + masked)
        try:
            return await asyncio.wait_for(self.answered, 30) == bytes((0x81, len(text))) + text
        except (OSError, TimeoutError):
            return False


def run(options: Options) -> Measured:
    count, hold = (500, 1.0) if options.quick else (WEBSOCKETS, HOLD)
    one = (allow_many_files() - SPARE_FILES) // 2  # a process has two descriptors for each
    needed = -(-count // one)
    notes = []
    workers = options.workers
    if needed > 1:
        workers = max(workers, needed) if workers else 0
        notes.append(
            f"A process of this machine may have {allow_many_files():,} descriptors, enough for {one:,} WebSockets: "
            + (f"so {workers} workers." if workers else "without workers there can be no more than these.")
        )
    held = {}
    for name in WITH:
        processes = workers if name == "grandcentral" else needed if name == "nginx" else 1
        fit = min(count, one * max(1, processes))
        held[name] = _through(name, fit, hold if name == "grandcentral" else min(hold, 5.0), processes)
    mine = held["grandcentral"]
    rows = [(proxies.TITLES[name], one.processes, one.echoed, round(one.bytes_each / 1024, 2)) for name, one in held.items()]
    return Measured(
        values={"memory": mine.bytes_each / 1024, "echoed": mine.echoed},
        tables=[
            Table(
                f"Idle WebSockets, {hold:.0f} s (others 5 s)",
                ("proxy", "processes", "echoed afterwards", "RSS for each, KiB"),
                rows,
            )
        ],
        notes=[*notes, "ReverseProxyResource cannot pass on an Upgrade."],
    )


def _through(name: str, count: int, hold: float, processes: int) -> Held:
    with ExitStack() as stack:
        home = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="bench-")))
        origin, _ = python_origin(stack, "websocket_echo", home, None)
        proxy = proxies.start(stack, name, home, origin, processes, core=None)
        return asyncio.run(_hold(proxy, count, hold))


async def _hold(proxy: proxies.Proxy, count: int, hold: float) -> Held:
    for client in await _open(proxy.port, 200):  # whatever is loaded at first use is loaded now
        client.transport.abort()
    await asyncio.sleep(1)
    before = proxy.running.memory()
    clients = await _open(proxy.port, count)
    await asyncio.sleep(hold)
    grown = proxy.running.memory() - before
    echoed = 0
    for n in range(0, count, AT_ONCE):
        batch = clients[n : n + AT_ONCE]
        echoed += sum(await asyncio.gather(*(client.echo(b"hello %d" % n) for n, client in enumerate(batch))))
    for client in clients:
        client.transport.abort()
    return Held(grown / count, echoed, len(proxy.running.pids))


async def _open(port: int, count: int) -> list[Client]:
    """Raises what goes wrong with any of them."""
    clients: list[Client] = []
    for first in range(0, count, AT_ONCE):
        clients += await asyncio.gather(*(_one(port, n) for n in range(first, min(first + AT_ONCE, count))))
    return clients


async def _one(port: int, n: int) -> Client:
    address = f"127.0.0.{2 + n // FROM_ONE_ADDRESS}"
    _, client = await asyncio.get_running_loop().create_connection(Client, "127.0.0.1", port, local_addr=(address, 0))
    answer = await asyncio.wait_for(client.answered, 60)
    if not answer.startswith(b"HTTP/1.1 101 "):
        raise SystemExit(f"bench: the handshake was answered with {answer[:100]!r}")
    return client
