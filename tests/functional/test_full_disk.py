"""An engine whose disk is small: what no stack needs goes, then stopped stacks, and versions go on being served."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.gateway import eventually, gateway
from tests.testbed.client import Engine, Keeper, Registry
from tests.testbed.errors import Unavailable
from tests.testbed.fixtures import without

from .site import Containers, Site, clean

MIB = 2**20
ROOM, FREE, IMAGE = 110, 60, 12  # MiB: of the disk, that are to stay free on it, and that a version takes
VERSIONS = [f"{n:07x}" for n in range(0xD000001, 0xD000001 + 6)]

COMPOSE = """
services:
  web:
    image: ${IMAGE}
    stop_signal: SIGKILL
"""
CONFIGURATION = """
[docker]
host = "{engine.url}"
instance = "full-disk"
[limits]
max_stacks = 50
min_uptime = "0s"
disk_min_free = "{free}MiB"
[apps.app]
host = "{{version}}.review.localhost"
version = "git-hash"
image = "{registry.url}/full:{{version}}"
compose = "app.compose.yaml"
serves = "web:8080"
idle = {{ stop = "1s", remove = "1h" }}
"""


@pytest.fixture
def small_engine() -> Iterator[Engine]:
    try:
        keeper = Keeper.start(private=True, room=f"{ROOM}m")
    except Unavailable as problem:
        without(problem)
    engine = Engine(str(keeper.facts["engine"]), True, keeper)
    yield engine
    engine.close()
    keeper.close()


def push(registry: Registry, busybox: str, version: str, page: str) -> str:
    """An image of which IMAGE MiB are its own; its digest. It is made by another engine than the one that runs it."""
    serve = '["httpd", "-f", "-p", "8080", "-h", "/www"]'
    dockerfile = f"FROM {busybox}\nADD index.html ballast /www/\nCMD {serve}\n".encode()
    files = {"Dockerfile": dockerfile, "index.html": page.encode(), "ballast": version.encode() * (IMAGE * MIB // len(version))}
    return registry.push(f"full:{version}", files)


@pytest.fixture
def site(tmp_path: Path, small_engine: Engine, registry: Registry) -> Iterator[Site]:
    (tmp_path / "app.compose.yaml").write_text(COMPOSE)
    configuration = CONFIGURATION.format(engine=small_engine, registry=registry, free=FREE)
    with ExitStack() as stack:
        site = Site(stack.enter_context(gateway(tmp_path, configuration)), Containers(small_engine, "full-disk"))
        stack.callback(clean, site)
        yield site


def images(engine: Engine) -> set[str]:
    """The digests of those that it has."""
    return {name.partition("@")[2] for image in engine.client().images() for name in image["RepoDigests"] or ()}


def test_versions_are_served_in_turn_when_their_images_no_longer_fit_side_by_side(
    site: Site, small_engine: Engine, registry: Registry, busybox: str
) -> None:
    disk = Path(small_engine.client().info()["DockerRootDir"])

    def free() -> int:
        found = os.statvfs(disk)
        return found.f_bavail * found.f_frsize // MIB

    def served(version: str, page: str) -> None:
        eventually(lambda: free() >= FREE, 45, "room on the disk")
        answer = site.running.get(site.host(version))
        assert (answer.status, answer.body) == (200, page.encode()), site.running.log

    def ask(version: str, what: str, method: str = "POST") -> None:
        assert site.running.admin(f"/api/v1/stacks/app/{version}/{what}", method).status < 300

    assert free() > FREE + IMAGE * 3, "the disk is not large enough for this"
    pinned, busy, gone, *others = VERSIONS
    digests = {version: push(registry, busybox, version, version) for version in VERSIONS}
    served(pinned, pinned)
    ask(pinned, "pin", "PUT")
    ask(pinned, "stop?wait=10s")
    served(busy, busy)
    ask(busy, "pin", "PUT")
    served(gone, gone)
    ask(gone, "remove?wait=10s")
    assert digests[gone] in images(small_engine), "nothing was short of room"
    for version in others:
        served(version, version)
    eventually(lambda: free() >= FREE, 45, "room on the disk")
    there = images(small_engine)
    assert {digests[pinned], digests[busy]} <= there
    assert digests[gone] not in there
    assert digests[others[0]] not in there
    assert site.running.state(others[0]) == "cold"
    assert (site.running.state(pinned), site.running.state(busy)) == ("stopped", "ready")
    for version, stack in site.running.stacks().items():
        assert digests[version] in there, (version, stack["state"])
    served(pinned, pinned)
    served(others[0], others[0])
    assert "a disk is nearly full" in site.running.log
