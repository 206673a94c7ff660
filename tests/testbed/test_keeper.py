"""The testbed itself: a private engine beside whatever runs here, and nothing left of it afterwards."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import docker
import pytest

from . import images
from .client import ROOT, Engine, Keeper, Registry
from .errors import Unavailable
from .fixtures import without

pytestmark = pytest.mark.engine


@pytest.fixture(scope="module")
def private() -> Iterator[Keeper]:
    """A keeper with an engine of its own, whatever engine is here already."""
    try:
        keeper = Keeper.start(private=True)
    except Unavailable as problem:
        without(problem)
    yield keeper
    keeper.close()


@pytest.fixture(scope="module")
def engine(private: Keeper) -> Iterator[Engine]:
    engine = Engine(str(private.facts["engine"]), True, private)
    yield engine
    engine.close()


@pytest.fixture(scope="module")
def registry(private: Keeper, engine: Engine) -> Registry:
    return Registry(str(private.facts["registry"]), engine, private)


@pytest.fixture(scope="module")
def busybox(registry: Registry) -> str:
    registry.push("busybox:test", images.busybox_files(), keep=True)
    return registry.reference("busybox:test")


def run(engine: Engine, image: str, *command: str, network: str | None = None) -> str:
    """Start a container; its id."""
    client = engine.client()
    options = client.create_host_config(network_mode=network or "default", init=True)
    container = client.create_container(image, list(command), host_config=options)["Id"]
    client.start(container)
    return container


def wait_until(true: Callable[[], bool], seconds: float = 30.0) -> None:
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline, "it did not come true"
        time.sleep(0.05)


def test_what_was_pushed_is_pulled_by_its_digest(engine: Engine, registry: Registry, busybox: str) -> None:
    digest = registry.push("app:db139cf", {"Dockerfile": f"FROM {busybox}\nCOPY hello /\n".encode(), "hello": b"hello\n"})
    client = engine.client()
    assert not client.images(registry.reference("app:db139cf"))
    client.pull(registry.reference("app"), digest)
    container = run(engine, f"{registry.reference('app')}@{digest}", "cat", "/hello")
    assert client.wait(container)["StatusCode"] == 0
    assert client.logs(container) == b"hello\n"


def test_containers_of_one_network_meet_and_of_two_do_not(engine: Engine, busybox: str) -> None:
    client = engine.client()
    for network in ("one", "two"):
        client.create_network(network)
    server = run(engine, busybox, "httpd", "-f", "-h", "/etc", network="one")
    address = client.inspect_container(server)["NetworkSettings"]["Networks"]["one"]["IPAddress"]
    get = f"printf 'GET /passwd HTTP/1.0\\r\\n\\r\\n' | nc -w 1 {address} 80 | grep root"
    script = f"for i in 1 2 3 4 5; do {get} && exit 0; sleep 0.1; done; exit 1"
    assert client.wait(run(engine, busybox, "sh", "-c", script, network="one"))["StatusCode"] == 0
    assert client.wait(run(engine, busybox, "sh", "-c", script, network="two"))["StatusCode"] == 1


def test_the_engine_starts_again_with_what_it_had_and_takes_nothing_of_others(engine: Engine, busybox: str) -> None:
    docker0 = Path("/sys/class/net/docker0").exists()  # another engine's, if it is there
    running = run(engine, busybox, "sleep", "1000")
    engine.stop()
    with pytest.raises(docker.errors.DockerException):
        engine.client()
    engine.start()
    assert engine.client().inspect_image(busybox)
    assert not engine.client().inspect_container(running)["State"]["Running"]
    assert Path("/sys/class/net/docker0").exists() == docker0


def test_the_registry_starts_again_with_what_it_had(engine: Engine, registry: Registry, busybox: str) -> None:
    registry.stop()
    with pytest.raises(Unavailable, match="connection refused"):
        images.push(engine.client(), busybox)
    registry.start()
    assert engine.client().inspect_distribution(busybox)["Descriptor"]["digest"].startswith("sha256:")


def test_nothing_is_left_when_the_tests_are_killed() -> None:
    """The session that owns a keeper dies by SIGKILL with a container running: process, mount, bridge and rule all go."""
    session = subprocess.Popen([sys.executable, "-c", SESSION], cwd=ROOT, stdout=subprocess.PIPE, text=True)
    assert session.stdout is not None
    facts = json.loads(session.stdout.readline())
    if "error" in facts:
        session.wait()
        without(Unavailable(facts["error"]))
    place, bridge = facts["place"], facts["bridge"]
    assert traces(place, bridge)
    session.kill()
    session.communicate()
    wait_until(lambda: not traces(place, bridge))
    assert not Path(f"/proc/{facts['container']}").exists()


SESSION = """
import json, time
from tests.testbed import client, errors, images
try:
    keeper = client.Keeper.start(private=True)
except errors.Unavailable as problem:
    print(json.dumps({"error": str(problem)}), flush=True)
    raise SystemExit
engine = client.Engine(keeper.facts["engine"], True, keeper)
engine.build_image(images.busybox_files(), "busybox")
docker = engine.client()
docker.create_network("one")
container = docker.create_container("busybox", ["sleep", "1000"], host_config=docker.create_host_config(network_mode="one"))
docker.start(container)
process = docker.inspect_container(container)["State"]["Pid"]
bridge = docker.inspect_network("bridge")["Options"]["com.docker.network.bridge.name"]
print(json.dumps({"place": keeper.facts["place"], "bridge": bridge, "container": process}), flush=True)
time.sleep(1000)
"""


def traces(place: str, bridge: str) -> list[str]:
    """What there is on this machine of the testbed at that place."""
    found = [line for line in Path("/proc/self/mounts").read_text().splitlines() if place in line]
    for process in Path("/proc").glob("[0-9]*"):
        try:
            words = (process / "cmdline").read_text(errors="replace")
        except OSError:
            continue  # it has ended meanwhile
        if place in words:
            found.append(words)
    for command in (["iptables", "--wait", "-S"], ["iptables", "--wait", "-t", "nat", "-S"], ["ip", "link"]):
        said = subprocess.run(command, capture_output=True, text=True, check=True).stdout
        found += [line for line in said.splitlines() if bridge in line]
    return found + [place] * os.path.exists(place)
