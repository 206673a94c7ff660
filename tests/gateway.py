"""A gateway in a process of its own, as operators run it, and clients that watch it: for tests over real sockets."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from attrs import define, field

COMMAND = Path(sys.executable).with_name("grandcentral")
REACTOR = os.environ.get("TEST_REACTOR", "")  # Twisted's name for one; without it, what operators get
TOKEN = "let me in"


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def eventually(condition: Callable[[], Any], within: float = 30.0, what: str = "it") -> Any:
    """The first true value of ``condition()``, asked every 20 ms; fails after ``within`` seconds."""
    until = time.monotonic() + within
    while True:
        value = condition()
        if value:
            return value
        assert time.monotonic() < until, f"{what} did not come about within {within} s; last: {value!r}"
        time.sleep(0.02)


@define
class Response:
    status: int
    fields: dict[str, str]
    body: bytes

    @property
    def problem(self) -> str:
        """The last part of the type of a problem document."""
        return str(json.loads(self.body)["type"]).rpartition("/")[2]


@define
class GatewayProcess:
    """``configuration`` is TOML without [gateway] and [admin]; everything is kept in ``home``. ``workers`` are processes."""

    home: Path
    configuration: str
    environment: Mapping[str, str] = field(factory=dict)
    port: int = field(factory=free_port)
    admin_port: int = field(factory=free_port)
    workers: int = 0
    process: subprocess.Popen[bytes] | None = None

    @property
    def file(self) -> Path:
        return self.home / "gateway.toml"

    @property
    def log(self) -> str:
        return (self.home / "gateway.log").read_text(errors="replace")

    def start(self, ready: bool = True) -> GatewayProcess:
        self.write()
        with (self.home / "gateway.log").open("ab") as log:
            self.process = subprocess.Popen(
                [COMMAND, "run", "--config", self.file, *([f"--reactor={REACTOR}"] if REACTOR else [])],
                stdout=log,
                stderr=log,
                stdin=subprocess.DEVNULL,
                cwd=self.home,
                env={**os.environ, **self.environment},
                start_new_session=True,
            )
        if ready:
            eventually(self.answers, what="the gateway's health")
        return self

    def write(self) -> None:
        self.file.write_text(
            f'[gateway]\nlisten = ["tcp:{self.port}:interface=127.0.0.1"]\nstate = "{self.home}/state"\n'
            f"workers = {self.workers}\n"
            f'[admin]\nlisten = "tcp:{self.admin_port}:interface=127.0.0.1"\ntoken = "{TOKEN}"\n'
            f'[log]\nlevel = "debug"\n' + self.configuration
        )

    def reload(self, configuration: str) -> None:
        """SIGHUP with another configuration."""
        assert self.process is not None
        self.configuration = configuration
        self.write()
        self.process.send_signal(signal.SIGHUP)

    def answers(self) -> bool:
        assert self.process is not None
        assert self.process.poll() is None, self.log
        try:
            return self.admin("/healthz").status == 200
        except OSError:
            return False

    def kill(self) -> None:
        """kill -9."""
        assert self.process is not None
        self.process.kill()
        self.process.wait()

    def stop(self) -> int:
        """SIGTERM; the exit status."""
        assert self.process is not None
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(60)

    def memory(self) -> int:
        """Resident bytes."""
        assert self.process is not None
        pages = int(Path(f"/proc/{self.process.pid}/statm").read_text().split()[1])
        return pages * os.sysconf("SC_PAGE_SIZE")

    # -- the operator -----------------------------------------------------------------------------------------------------

    def admin(self, path: str, method: str = "GET") -> Response:
        request = urllib.request.Request(
            f"http://127.0.0.1:{self.admin_port}{path}", method=method, headers={"Authorization": f"Bearer {TOKEN}"}
        )
        try:
            with urllib.request.urlopen(request, timeout=60) as answer:
                return Response(answer.status, dict(answer.headers), answer.read())
        except urllib.error.HTTPError as error:
            return Response(error.code, dict(error.headers), error.read())

    def stacks(self) -> dict[str, dict[str, Any]]:
        """Name of the version -> what the admin listener says of its stack."""
        listed = json.loads(self.admin("/api/v1/stacks").body)
        return {stack["name"]: stack for stack in (*listed["stacks"], *listed["stopped"])}

    def crew(self) -> list[dict[str, Any]]:
        """What the admin listener says of the workers."""
        workers: list[dict[str, Any]] = json.loads(self.admin("/stats").body)["workers"]
        return workers

    def state(self, name: str) -> str:
        return str(self.stacks().get(name, {}).get("state", "cold"))

    # -- clients ------------------------------------------------------------------------------------------------------------

    def get(self, host: str, path: str = "/", **fields: str) -> Response:
        return asyncio.run(self.request(host, path, **fields))

    async def request(self, host: str, path: str = "/", method: str = "GET", body: bytes = b"", **fields: str) -> Response:
        """One request on a connection of its own."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        try:
            given = {name.replace("_", "-"): value for name, value in fields.items()}
            lines = {"Host": f"{host}:{self.port}", "Connection": "close", **given}
            if body and "Transfer-Encoding" not in lines:
                lines["Content-Length"] = str(len(body))
            head = f"{method} {path} HTTP/1.1\r\n" + "".join(f"{name}: {value}\r\n" for name, value in lines.items())
            writer.write(head.encode() + b"\r\n" + body)
            return await read_response(reader)
        finally:
            writer.close()

    def ask_all(self, hosts: list[str], path: str = "/") -> list[Response]:
        """All at once."""

        async def all_of_them() -> list[Response]:
            return await asyncio.gather(*(self.request(host, path) for host in hosts))

        return asyncio.run(all_of_them())


async def read_response(reader: asyncio.StreamReader) -> Response:
    head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
    status, *lines = head.rstrip().split("\r\n")
    fields = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
    if "content-length" in fields:
        body = await reader.readexactly(int(fields["content-length"]))
    elif fields.get("transfer-encoding") == "chunked":
        body = b""
        while size := int(await reader.readuntil(b"\r\n"), 16):
            body += await reader.readexactly(size)
            await reader.readexactly(2)
    else:
        body = await reader.read()
    return Response(int(status.split()[1]), fields, body)


@contextmanager
def gateway(
    home: Path, configuration: str, environment: Mapping[str, str] | None = None, workers: int = 0
) -> Iterator[GatewayProcess]:
    """A gateway that runs, and is ended with the block."""
    running = GatewayProcess(home, configuration, environment or {}, workers=workers)
    try:
        yield running.start()
    finally:
        if running.process is not None and running.process.poll() is None:
            running.stop()
