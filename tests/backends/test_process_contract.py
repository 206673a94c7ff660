"""The process backend keeps the contract of backends."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from twisted.internet import reactor
from twisted.internet.defer import Deferred
from twisted.internet.task import deferLater

from grandcentral.backends.process import ProcessBackend, launching, proc
from grandcentral.backends.process.home import Home
from grandcentral.core.keys import Key
from grandcentral.core.model import Endpoint, HealthCheck, Service, Version

from ..contracts.backend import BackendContract

LISTEN = """
import os, socket
listening = socket.create_server(("127.0.0.1", int(os.environ["PORT"])))
while True:
    listening.accept()[0].close()
"""


class ProcessHarness:
    port = 0

    def __init__(self, directory: Path) -> None:
        self.repository = directory / "repository"
        self.stacks = directory / "state" / "stacks"
        self.entries = directory / "journal"
        self.parted = directory / "parted"
        self.repository.mkdir()
        (self.repository / "listen.py").write_text(LISTEN)
        self.git("init", "-q")
        self.git("add", "--all")
        self.git("-c", "user.name=x", "-c", "user.email=x@example.com", "commit", "-q", "-m", "all there is")
        self.commit = self.git("rev-parse", "HEAD")

    def git(self, *command: str) -> str:
        done = subprocess.run(["git", "-C", str(self.repository), *command], capture_output=True, text=True, check=True)
        return done.stdout.strip()

    def backend(self) -> ProcessBackend:
        return ProcessBackend(reactor, self.stacks.parent, {"app": str(self.repository)})

    def key(self, name: str) -> Key:
        return Key("app", name)

    def version(self) -> Version:
        return Version(self.commit, commit=self.commit)

    def service(self, name: str, line: str, **more: Any) -> Service:
        started = f"echo {name} started; echo $$ {name} >> {self.entries}; {line}"
        return Service(name, command=("/bin/sh", "-c", started), **more)

    def serving(self, name: str) -> Service:
        return self.service(name, f"exec {sys.executable} -I -S listen.py")

    def running(self, name: str) -> Service:
        return self.service(name, "exec sleep 1000")

    def ending(self, name: str, status: int) -> Service:
        return self.service(name, f"echo {name} ends; exit {status}")

    def checked(self, name: str, healthy: bool) -> Service:
        check = HealthCheck(("true",) if healthy else ("false",), interval=0.1, retries=2)
        return self.service(name, "exec sleep 1000", healthcheck=check)

    def faltering(self, name: str, status: int) -> Service:
        return self.service(name, f"[ -e {name}.ran ] && echo {name} ends && exit {status}; touch {name}.ran; exec sleep 1000")

    def sickening(self, name: str) -> Service:
        check = HealthCheck(("mkdir", f"{name}.passed"), interval=0.1, retries=2)
        return self.service(name, "exec sleep 1000", healthcheck=check)

    def parting(self, name: str) -> Service:
        return self.service(name, f"trap 'echo {name} >> {self.parted}; kill $!; exit' TERM; sleep 600 & wait")

    def farewells(self) -> list[str]:
        return self.parted.read_text().split() if self.parted.exists() else []

    def journal(self) -> list[str]:
        """By process number: two that were started a moment apart may write in any order."""
        lines = self.entries.read_text().splitlines() if self.entries.exists() else []
        return [name for _, name in sorted((int(pid), name) for pid, name in map(str.split, lines))]

    def reachable(self, endpoint: Endpoint) -> bool:
        with socket.socket() as probe:
            return probe.connect_ex((endpoint.host, endpoint.port)) == 0

    def kill(self, key: Key, service: str) -> None:
        record = Home.of(self.stacks, key).read()
        assert record is not None
        pid = record.services[service].pid
        os.kill(pid, signal.SIGKILL)
        while (seen := proc.look(pid)) is not None and seen.alive:
            time.sleep(0.001)

    def leftovers(self) -> list[str]:
        homes = [str(path) for path in self.stacks.iterdir()] if self.stacks.exists() else []
        return homes + [f"process {pid}" for pid in os.listdir("/proc") if pid.isdigit() and self.is_ours(int(pid))]

    def is_ours(self, pid: int) -> bool:
        try:
            return f"{proc.MARK}={self.stacks}".encode() in Path(f"/proc/{pid}/environ").read_bytes()
        except OSError:
            return False

    async def wait(self, deferred: Deferred[Any]) -> Any:
        return await deferred.addTimeout(20, reactor)

    async def eventually(self, holds: Callable[[], object]) -> None:
        deadline = reactor.seconds() + 20
        while not holds():
            assert reactor.seconds() < deadline, "it did not come true in time"
            await deferLater(reactor, 0.005)


@pytest.fixture
def harness(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ProcessHarness:
    monkeypatch.setattr(launching, "LISTENS_WITHIN", 0.05)
    return ProcessHarness(tmp_path)


class TestContract(BackendContract):
    lacks = frozenset({"volumes"})
