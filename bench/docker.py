"""A Docker engine and a registry with versions of a tiny application; and what a start costs without the gateway."""

from __future__ import annotations

import http.client
import random
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import pairwise
from typing import Any

from attrs import define, frozen
from docker import APIClient

from tests.testbed import images
from tests.testbed import packages as testbed
from tests.testbed.client import Engine, Keeper, Registry
from tests.testbed.errors import Unavailable

PORT = 8080


@frozen
class Bare:
    """Seconds of one start by hand: what the engine's calls took, and then the application."""

    network: float
    create: float
    start: float
    listen: float
    answer: float

    @property
    def total(self) -> float:
        return self.network + self.create + self.start + self.listen + self.answer


@define
class Site:
    engine: Engine
    registry: Registry
    versions: list[str]

    def image(self, version: str) -> str:
        return self.registry.reference(f"app:{version}")

    def configuration(self, more: str = "", engine: str = "") -> str:
        """One app of these versions, for a gateway of its own.

        :param engine: where it is talked to, if not at its own socket.
        """
        return (
            f'[docker]\nhost = "{engine or self.engine.url}"\ninstance = "bench-{random.randrange(2**32):08x}"\n'
            "[limits]\nmax_stacks = 100\n"
            f'[apps.app]\nhost = "{{version}}.bench.example.com"\nversion = "git-hash"\n'
            f'image = "{self.registry.url}/app:{{version}}"\nserves = "web:{PORT}"\n{more}'
        )

    def bare(self, version: str, engine: str) -> Bare:
        """Network, create, start, until it answers; then it is all removed.

        :param engine: where it is talked to.
        """
        client = APIClient(base_url=engine, version="auto")
        moments = [time.perf_counter()]
        network = client.create_network(f"bench-{version}", driver="bridge")["Id"]
        container = None
        try:
            moments.append(time.perf_counter())
            settings = client.create_host_config(network_mode=network)
            container = client.create_container(self.image(version), host_config=settings)["Id"]
            moments.append(time.perf_counter())
            client.start(container)
            moments.append(time.perf_counter())
            address = _address(client, container)
            while not _listens(address):
                time.sleep(0.0005)
            moments.append(time.perf_counter())
            _ask(address)
            moments.append(time.perf_counter())
        finally:
            if container is not None:
                client.remove_container(container, force=True, v=True)
            client.remove_network(network)
            client.close()
        return Bare(*(after - before for before, after in pairwise(moments)))

    def started(self, version: str) -> float:
        """Seconds from the start of a container that was stopped, on a network of its own, until it answers."""
        client = self.engine.client()
        network = client.create_network(f"bench-{version}", driver="bridge")["Id"]
        settings = client.create_host_config(network_mode=network)
        container = client.create_container(self.image(version), host_config=settings)["Id"]
        try:
            client.start(container)
            client.stop(container, timeout=0)
            began = time.perf_counter()
            client.start(container)
            address = _address(client, container)
            while not _listens(address):
                time.sleep(0.0005)
            _ask(address)
            return time.perf_counter() - began
        finally:
            client.remove_container(container, force=True, v=True)
            client.remove_network(network)
            client.close()


@contextmanager
def site(count: int) -> Iterator[Site]:
    """Blocks for some seconds; everything is gone afterwards. Each version's image is in the engine: nothing is pulled."""
    try:
        testbed.install()
        keeper = Keeper.start()
    except Unavailable as problem:
        raise SystemExit(f"bench: {problem}") from problem
    try:
        engine = Engine(str(keeper.facts["engine"]), bool(keeper.facts["ours"]), keeper)
        registry = Registry(str(keeper.facts["registry"]), engine, keeper)
        registry.push("busybox:bench", images.busybox_files(), keep=True)
        base = registry.reference("busybox:bench")
        versions = [f"{0xBE00000 + n:07x}" for n in range(count)]
        serve = f'["httpd", "-f", "-p", "{PORT}", "-h", "/www"]'
        for version in versions:
            dockerfile = f"FROM {base}\nADD index.html /www/\nCMD {serve}\n".encode()
            registry.push(f"app:{version}", {"Dockerfile": dockerfile, "index.html": version.encode()}, keep=True)
        yield Site(engine, registry, versions)
        if not engine.ours:
            registry.forget_tags()
        engine.close()
    finally:
        keeper.close()


def _address(client: Any, container: str) -> str:
    networks = client.inspect_container(container)["NetworkSettings"]["Networks"]
    return str(next(iter(networks.values()))["IPAddress"])


def _ask(address: str) -> None:
    asking = http.client.HTTPConnection(address, PORT, timeout=10)
    asking.request("GET", "/", headers={"Connection": "close"})
    asking.getresponse().read()


def _listens(address: str) -> bool:
    try:
        socket.create_connection((address, PORT), 1).close()
    except OSError:
        return False
    return True
