"""A gateway whose stacks are started and put to sleep, and a client that notes when the first byte of an answer came."""

from __future__ import annotations

import asyncio
import json
import socket
import sys
import time
import urllib.request
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from attrs import define, frozen

from .processes import Running, free_port, launch, serves

ROOT = Path(__file__).parents[1]
TOKEN = "bench"


@define
class Gateway:
    port: int
    admin_port: int
    home: Path
    running: Running

    def ask(self, path: str, method: str = "GET") -> Any:
        """The admin listener's answer."""
        request = urllib.request.Request(
            f"http://127.0.0.1:{self.admin_port}{path}", method=method, headers={"Authorization": f"Bearer {TOKEN}"}
        )
        with urllib.request.urlopen(request, timeout=120) as answer:
            return json.load(answer)

    def states(self) -> dict[str, str]:
        """Name of a version to its state."""
        listed = self.ask("/api/v1/stacks")
        return {stack["name"]: stack["state"] for stack in (*listed["stacks"], *listed["stopped"])}

    def workers(self) -> dict[int, int]:
        """Slot -> process id, of those that serve."""
        return {one["slot"]: one["pid"] for one in self.ask("/stats")["workers"] if one["state"] == "serving"}

    def stop_stack(self, app: str, name: str) -> None:
        """Returns when nothing of it runs; its data are kept."""
        self.ask(f"/api/v1/stacks/{app}/{name}/stop?wait=60s", "POST")

    def remove_stack(self, app: str, name: str) -> None:
        """Returns when nothing is left of it."""
        self.ask(f"/api/v1/stacks/{app}/{name}/remove?volumes=1&wait=60s", "POST")


def start(stack: ExitStack, home: Path, configuration: str, workers: int) -> Gateway:
    """``configuration`` is TOML without [gateway] and [admin]."""
    port, admin = free_port(), free_port()
    file = home / "gateway.toml"
    file.write_text(
        f'[gateway]\nlisten = ["tcp:{port}:interface=127.0.0.1:backlog=4096"]\nstate = "{home}/state"\nworkers = {workers}\n'
        f'[admin]\nlisten = "tcp:{admin}:interface=127.0.0.1"\ntoken = "{TOKEN}"\n{configuration}'
    )
    return Gateway(port, admin, home, _launch(stack, home, admin))


def start_again(stack: ExitStack, killed: Gateway) -> None:
    """With the same configuration and state."""
    killed.running = _launch(stack, killed.home, killed.admin_port)


def _launch(stack: ExitStack, home: Path, admin: int) -> Running:
    command: list[str | Path] = [Path(sys.executable).with_name("grandcentral"), "run", "--config", home / "gateway.toml"]
    healthy = serves(admin, b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
    return launch(stack, "gateway", command, home, None, healthy, {"PYTHONPATH": str(ROOT)})


def first_byte(address: tuple[str, int], host: str, path: str = "/") -> float:
    """Seconds from connecting to the first byte of an answer with status 200, whose rest is read as well."""
    began = time.perf_counter()
    with socket.create_connection(address, 120) as connection:
        connection.sendall(_request(host, path))
        data = connection.recv(65536)
        took = time.perf_counter() - began
        if data[9:12] != b"200":
            raise SystemExit(f"bench: {host} was answered with {data[:1000].decode(errors='replace')}")
        while connection.recv(65536):
            pass
    return took


@frozen
class Answered:
    status: int
    at: float  # seconds on the monotonic clock, when its last byte came


async def all_at_once(address: tuple[str, int], host: str, count: int) -> list[Answered]:
    """Connections are opened first; then every request is sent in one go."""
    loop = asyncio.get_running_loop()
    clients = []
    for _ in range(count):
        _, client = await loop.create_connection(_Client, *address)
        clients.append(client)
    for client in clients:
        client.transport.write(_request(host))
    return list(await asyncio.gather(*(client.answered for client in clients)))


class _Client(asyncio.Protocol):
    def __init__(self) -> None:
        self.answered: asyncio.Future[Answered] = asyncio.get_running_loop().create_future()
        self.transport: asyncio.Transport
        self._data = b""
        self._at = 0.0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        self._data += data
        self._at = time.monotonic()

    def connection_lost(self, exc: Exception | None) -> None:
        status = self._data[9:12]
        self.answered.set_result(Answered(int(status) if status.isdigit() else 0, self._at))


def _request(host: str, path: str = "/") -> bytes:
    return f"GET {path} HTTP/1.1\r\nHost: {host}\r\nUser-Agent: bench\r\nAccept: */*\r\nConnection: close\r\n\r\n".encode()
