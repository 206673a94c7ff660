"""The contract suite's hands on a Docker engine."""

from __future__ import annotations

import itertools
import os
import socket
import time
from collections.abc import Callable
from functools import cached_property
from pathlib import Path
from typing import Any

import docker
from docker.errors import APIError, NotFound
from twisted.internet import reactor
from twisted.internet.defer import Deferred
from twisted.internet.task import deferLater

from grandcentral.backends.docker import DockerBackend
from grandcentral.backends.docker.labels import GATEWAY, unique
from grandcentral.core.keys import Key
from grandcentral.core.model import Endpoint, HealthCheck, Mount, MountKind, Service, Version

PATIENCE = 20.0  # seconds; the machine may be busy with other things
_numbers = itertools.count()


class DockerHarness:
    """``services`` are busybox; their journal and their farewells are files that are bound into each."""

    port = 3000

    def __init__(self, url: str, image: str, directory: Path) -> None:
        self.url, self.image = url, image
        self.instance = f"test-{os.getpid()}-{next(_numbers)}"
        self._journal = directory / "journal"
        self._journal.touch()
        self._farewells = directory / "farewells"
        self._farewells.touch()

    @cached_property
    def client(self) -> docker.APIClient:
        return docker.APIClient(self.url, version="auto")

    def backend(self, **more: Any) -> DockerBackend:
        return DockerBackend(reactor, self.url, self.instance, **more)

    def key(self, name: str) -> Key:
        return Key("contract.app", f"{name}.Feature/1")  # neither part is a valid name of a container

    def version(self) -> Version:
        return Version("db139cf", image="registry.example.com/app:db139cf", commit="db139cf" + "0" * 33)

    # -- services -------------------------------------------------------------------------------------------------------

    def service(self, name: str, then: str, **more: Any) -> Service:
        """It runs ``then`` after telling that it has started."""
        script = f"echo {name} >>/journal; echo {name} started; {then}"
        mounts = (
            Mount(MountKind.BIND, "/journal", str(self._journal)),
            Mount(MountKind.BIND, "/farewells", str(self._farewells)),
        )
        return Service(name, image=self.image, command=("/bin/sh", "-c", script), mounts=mounts, stop_grace_period=2, **more)

    def serving(self, name: str) -> Service:
        return self.service(name, f"exec /bin/busybox httpd -f -p {self.port} -h /")

    def running(self, name: str) -> Service:
        return self.service(name, "exec /bin/busybox sleep 3600")

    def ending(self, name: str, status: int) -> Service:
        return self.service(name, f"echo {name} ends; exit {status}")

    def checked(self, name: str, healthy: bool) -> Service:
        check = HealthCheck(("/bin/busybox", "true" if healthy else "false"), interval=0.1, retries=2)
        return self.service(name, "exec /bin/busybox sleep 3600", healthcheck=check)

    def faltering(self, name: str, status: int) -> Service:
        return self.service(
            name, f"[ -e /ran ] && echo {name} falters && exit {status}; touch /ran; exec /bin/busybox sleep 3600"
        )

    def sickening(self, name: str) -> Service:
        check = HealthCheck(("/bin/sh", "-c", "[ -e /well ]"), interval=0.1, retries=5)
        then = "[ -e /ran ] || touch /ran /well; trap 'rm /well; exit 0' TERM; while :; do /bin/busybox sleep 0.05; done"
        return self.service(name, then, healthcheck=check)

    def parting(self, name: str) -> Service:
        return self.service(
            name, f"trap 'echo {name} >>/farewells; exit 0' TERM; while :; do /bin/busybox sleep 0.05; done"
        )

    def farewells(self) -> list[str]:
        return self._farewells.read_text().split()

    def journal(self) -> list[str]:
        return self._journal.read_text().split()

    # -- behind its back ------------------------------------------------------------------------------------------------

    def container(self, key: Key, service: str) -> str:
        return unique(self.instance, key, service)

    def reachable(self, endpoint: Endpoint) -> bool:
        try:
            return b"web" in self.answer(endpoint)  # there are networks on which something else answers for everybody
        except OSError:
            return False

    def answer(self, endpoint: Endpoint) -> bytes:
        """What it serves as /journal, with the head. Raises OSError."""
        with socket.create_connection((endpoint.host, endpoint.port), timeout=0.5) as connection:
            connection.sendall(b"GET /journal HTTP/1.0\r\n\r\n")
            with connection.makefile("rb") as answer:
                return answer.read()

    def output(self, key: Key, service: str, *command: str) -> bytes:
        """What a command prints when it is run in the container of a service."""
        made = self.client.exec_create(self.container(key, service), list(command))
        return self.client.exec_start(made["Id"])

    def kill(self, key: Key, service: str) -> None:
        self.client.kill(self.container(key, service))
        self.client.wait(self.container(key, service))

    def leftovers(self) -> list[str]:
        ours = {"label": f"{GATEWAY}={self.instance}"}
        return [
            *(one["Names"][0] for one in self.client.containers(all=True, filters=ours)),
            *(one["Name"] for one in self.client.networks(filters=ours)),
            *(one["Name"] for one in self.client.volumes(filters=ours)["Volumes"] or ()),
        ]

    # -- time -----------------------------------------------------------------------------------------------------------

    async def wait(self, deferred: Deferred[Any]) -> Any:
        return await deferred.addTimeout(PATIENCE, reactor)

    async def eventually(self, holds: Callable[[], object]) -> None:
        deadline = time.monotonic() + PATIENCE
        while not holds():
            assert time.monotonic() < deadline, "it did not come to hold"
            await deferLater(reactor, 0.01)

    def close(self) -> None:
        """Take away what a failed test has left."""
        ours = {"label": f"{GATEWAY}={self.instance}"}
        for one in self.client.containers(all=True, filters=ours):
            self.client.remove_container(one["Id"], v=True, force=True)
        for one in self.client.networks(filters=ours):
            try:
                self.client.remove_network(one["Id"])
            except (NotFound, APIError):
                continue
        for one in self.client.volumes(filters=ours)["Volumes"] or ():
            self.client.remove_volume(one["Name"], force=True)
        self.client.close()
