"""How stacks sleep on a real engine: what the contract of every backend does not ask, for it is about Docker."""

from __future__ import annotations

import time
from collections.abc import Callable, Coroutine, Iterator
from pathlib import Path
from typing import Any

import pytest
import pytest_twisted
from attrs import evolve
from twisted.internet.defer import CancelledError, ensureDeferred
from twisted.internet.threads import deferToThread

from grandcentral.backends.docker.labels import unique
from grandcentral.core.model import Condition, HealthCheck, Hook, Mount, MountKind, Service, Version
from grandcentral.errors import EngineUnavailable, HookFailed, ImageUnavailable, Mishap, NothingKept
from tests.contracts.backend import needs, printed
from tests.testbed.client import Engine, Registry
from tests.testbed.images import busybox_files

from .docker_gateway import Gateway
from .docker_harness import DockerHarness

MIB = 1 << 20


@pytest.fixture
def harness(engine: Engine, busybox: str, tmp_path: Path) -> Iterator[DockerHarness]:
    harness = DockerHarness(engine.url, busybox, tmp_path)
    yield harness
    harness.close()


Opened = Callable[..., Coroutine[Any, Any, Gateway]]


@pytest.fixture
def opened(harness: DockerHarness) -> Iterator[Opened]:
    """Opens a Gateway; it is closed after the test, and nothing may be left of its stack."""
    gateways: list[Gateway] = []

    async def open(**more: Any) -> Gateway:
        gateways.append(await Gateway.open(harness, **more))
        return gateways[-1]

    yield open
    for gateway in gateways:
        pytest_twisted.blockon(ensureDeferred(gateway.close()))
    assert harness.leftovers() == []


@pytest.fixture
def gateway(opened: Opened) -> Gateway:
    return pytest_twisted.blockon(ensureDeferred(opened()))


# -- stop and restart ---------------------------------------------------------------------------------------------------


@pytest_twisted.ensureDeferred
async def test_a_stack_that_is_started_again_is_reached_at_its_new_address(gateway: Gateway) -> None:
    harness = gateway.harness
    web = harness.serving("web")
    before = await gateway.launch(web)
    await gateway.stop()
    network = unique(harness.instance, gateway.key, "network default")
    settings = harness.client.create_host_config(network_mode=network)
    squatter = harness.client.create_container(harness.image, ["/bin/busybox", "sleep", "600"], host_config=settings)["Id"]
    try:
        harness.client.start(squatter)
        where = await gateway.restart(web)
        assert where != before
        await harness.eventually(lambda: harness.reachable(where))
        assert (await gateway.found()).endpoint == where
    finally:
        harness.client.remove_container(squatter, force=True)


@pytest_twisted.ensureDeferred
async def test_a_published_port_is_another_one_after_a_restart(opened: Opened) -> None:
    gateway = await opened(published={"contract.app"})
    web = gateway.harness.serving("web")
    await gateway.launch(web)
    await gateway.stop()
    where = await gateway.restart(web)
    [bound] = gateway.inspect("web")["NetworkSettings"]["Ports"]["3000/tcp"]
    assert (where.host, where.port) == ("127.0.0.1", int(bound["HostPort"]))
    await gateway.harness.eventually(lambda: gateway.harness.reachable(where))


@pytest_twisted.ensureDeferred
async def test_ends_of_the_last_run_that_are_told_late_are_not_those_of_the_next(gateway: Gateway) -> None:
    web, db = needs(gateway.harness.serving("web"), "db"), gateway.harness.running("db")
    await gateway.launch(web, db)
    for _ in range(6):
        await gateway.stop()
        await gateway.restart(web, db)
    assert gateway.vanished == []
    gateway.harness.kill(gateway.key, "db")
    await gateway.harness.eventually(lambda: gateway.vanished)
    assert [mishap.service for _, _, mishap in gateway.vanished] == ["db"]


@pytest_twisted.ensureDeferred
async def test_a_paused_stack_is_stopped_in_good_order_and_with_its_grace(gateway: Gateway) -> None:
    harness = gateway.harness
    await gateway.launch(harness.serving("web"), needs(harness.parting("queue"), "db"), harness.parting("db"))
    await harness.eventually(lambda: len(harness.journal()) == 3)
    await harness.wait(gateway.backend.pause(gateway.key))
    await gateway.stop()
    assert harness.farewells() == ["queue", "db"]
    assert gateway.inspect("db")["State"]["ExitCode"] == 0


@pytest_twisted.ensureDeferred
async def test_what_does_not_end_when_it_is_asked_to_is_killed_after_its_grace(gateway: Gateway) -> None:
    deaf = gateway.harness.service("db", "trap '' TERM; while :; do /bin/busybox sleep 0.05; done")
    await gateway.launch(gateway.harness.serving("web"), evolve(deaf, stop_grace_period=1))
    began = time.monotonic()
    await gateway.stop()
    assert 1 <= time.monotonic() - began < 5
    assert gateway.inspect("db")["State"]["ExitCode"] == 137
    assert ((await gateway.found()).kept, (await gateway.found()).running) == (True, False)


@pytest_twisted.ensureDeferred
async def test_anonymous_volumes_and_files_are_there_after_a_stop(gateway: Gateway) -> None:
    web = gateway.harness.serving("web")
    web = evolve(web, mounts=(*web.mounts, Mount(MountKind.VOLUME, "/scratch")))
    await gateway.launch(web)
    await gateway.execute("echo kept >/scratch/note")
    await gateway.stop()
    await gateway.restart(web)
    await gateway.execute("grep kept /scratch/note")
    assert len(gateway.volumes()) == 1


@pytest_twisted.ensureDeferred
@pytest.mark.parametrize("missing", ["network", "its networks", "container"])
async def test_a_stack_of_which_a_part_was_taken_away_is_not_started_in_part(gateway: Gateway, missing: str) -> None:
    harness = gateway.harness
    services = needs(harness.serving("web"), "db"), harness.running("db")
    await gateway.launch(*services)
    await gateway.stop()
    if missing == "network":
        name = unique(harness.instance, gateway.key, "network default")
        harness.client.remove_network(name)
    elif missing == "its networks":
        name = unique(harness.instance, gateway.key, "network default")
        harness.client.disconnect_container_from_network(harness.container(gateway.key, "db"), name, force=True)
    else:
        harness.client.remove_container(harness.container(gateway.key, "db"))
    with pytest.raises(NothingKept):
        await gateway.restart(*services)
    assert harness.journal() == ["db", "web"]
    await gateway.halt()
    await gateway.launch(*services, generation=2)


@pytest_twisted.ensureDeferred
async def test_what_the_template_no_longer_has_is_started_as_it_was_made_and_not_waited_for(gateway: Gateway) -> None:
    harness = gateway.harness
    sick = HealthCheck(("/bin/busybox", "false"), interval=0.1, retries=2)
    db = harness.checked("db", healthy=True)
    web = needs(harness.serving("web"), "db", condition=Condition.HEALTHY)
    await gateway.launch(web, db)
    await gateway.stop()
    with pytest.raises(Mishap, match="db is not healthy"):
        await gateway.restart(web, evolve(db, healthcheck=sick))
    await gateway.stop()
    where = await gateway.restart(harness.serving("web"))
    await harness.eventually(lambda: harness.reachable(where))
    assert harness.journal() == ["db", "web", "db", "db", "web"]


@pytest_twisted.ensureDeferred
async def test_an_engine_that_was_restarted_has_kept_what_was_stopped(own_engine: Engine, gateway: Gateway) -> None:
    web = gateway.harness.serving("web")
    await gateway.launch(web, generation=3)
    await gateway.execute("echo kept >/note")
    await gateway.stop()
    await deferToThread(own_engine.stop)
    await deferToThread(own_engine.start)
    await gateway.harness.eventually(lambda: gateway.returned)
    found = await gateway.found()
    assert (found.generation, found.kept, found.running, found.whole) == (3, True, False, False)
    where = await gateway.restart(web, generation=3)
    await gateway.harness.eventually(lambda: gateway.harness.reachable(where))
    await gateway.execute("grep kept /note")
    assert gateway.vanished == []


@pytest_twisted.ensureDeferred
@pytest.mark.parametrize("paused", [False, True])
async def test_what_ran_or_was_paused_when_the_engine_ended_is_told_and_kept(
    own_engine: Engine, gateway: Gateway, paused: bool
) -> None:
    web = gateway.harness.serving("web")
    await gateway.launch(web)
    await gateway.execute("echo kept >/note")
    if paused:
        await gateway.harness.wait(gateway.backend.pause(gateway.key))
    await deferToThread(own_engine.stop)
    for call in (gateway.backend.pause, gateway.backend.resume, gateway.backend.stop):
        with pytest.raises(EngineUnavailable):
            await gateway.harness.wait(call(gateway.key))
    await deferToThread(own_engine.start)
    await gateway.harness.eventually(lambda: gateway.returned)
    found = await gateway.found()
    assert (found.kept, found.running, found.paused) == (True, False, False)
    with pytest.raises(Mishap, match="not whole"):
        await gateway.harness.wait(gateway.backend.resume(gateway.key))
    await gateway.restart(web)
    await gateway.execute("grep kept /note")


# -- freezing -----------------------------------------------------------------------------------------------------------


@pytest_twisted.ensureDeferred
async def test_what_somebody_else_has_thawed_or_frozen_is_seen_by_looking(gateway: Gateway) -> None:
    harness = gateway.harness
    where = await gateway.launch(harness.serving("web"), harness.running("db"))
    harness.client.pause(harness.container(gateway.key, "db"))
    assert await harness.wait(gateway.backend.resume(gateway.key)) == where
    assert gateway.inspect("db")["State"]["Status"] == "running"
    harness.client.pause(harness.container(gateway.key, "web"))
    await harness.wait(gateway.backend.pause(gateway.key))
    assert (await gateway.found()).paused


@pytest_twisted.ensureDeferred
async def test_a_stack_that_lost_a_service_while_it_was_paused_cannot_be_resumed(gateway: Gateway) -> None:
    harness = gateway.harness
    await gateway.launch(harness.serving("web"), harness.running("db"))
    await harness.wait(gateway.backend.pause(gateway.key))
    harness.client.unpause(harness.container(gateway.key, "db"))
    harness.kill(gateway.key, "db")
    with pytest.raises(Mishap):
        await harness.wait(gateway.backend.resume(gateway.key))
    with pytest.raises(Mishap):
        await harness.wait(gateway.backend.pause(gateway.key))


# -- hooks --------------------------------------------------------------------------------------------------------------


def processes(gateway: Gateway, service: str) -> bytes:
    return gateway.harness.output(gateway.key, service, "/bin/busybox", "ps")


@pytest_twisted.ensureDeferred
async def test_a_hook_that_takes_too_long_is_killed_with_what_it_has_started(gateway: Gateway) -> None:
    await gateway.launch(gateway.harness.serving("web"))
    with pytest.raises(HookFailed, match=r"in web took longer than 0\.5 s") as caught:
        await gateway.execute("echo dumping; sleep 1001 & sleep 1002", within=0.5)
    assert printed(caught.value.logs, "web") == ("dumping",)
    await gateway.harness.eventually(lambda: b"sleep 100" not in processes(gateway, "web"))


@pytest_twisted.ensureDeferred
async def test_a_hook_that_is_given_up_is_killed(gateway: Gateway) -> None:
    await gateway.launch(gateway.harness.serving("web"))
    executing = gateway.backend.execute(gateway.key, Hook("web", "sleep 1001"), 600)
    await gateway.harness.eventually(lambda: b"sleep 1001" in processes(gateway, "web"))
    executing.cancel()
    with pytest.raises(CancelledError):
        await gateway.harness.wait(executing)
    await gateway.harness.eventually(lambda: b"sleep 1001" not in processes(gateway, "web"))


@pytest_twisted.ensureDeferred
async def test_a_failed_hook_shows_what_it_printed_on_both_streams(gateway: Gateway) -> None:
    await gateway.launch(gateway.harness.serving("web"))
    with pytest.raises(HookFailed, match="exited with status 3") as caught:
        await gateway.execute("seq 3; echo no room >&2; exit 3")
    assert sorted(printed(caught.value.logs, "web")) == ["1", "2", "3", "no room"]  # the streams come by two ways


@pytest_twisted.ensureDeferred
async def test_of_much_that_a_failed_hook_printed_the_last_lines_are_shown(gateway: Gateway) -> None:
    await gateway.launch(gateway.harness.serving("web"))
    with pytest.raises(HookFailed) as caught:
        await gateway.execute("seq 1000; exit 3")
    lines = printed(caught.value.logs, "web")
    assert (len(lines), lines[-1]) == (50, "1000")


@pytest_twisted.ensureDeferred
async def test_a_hook_whose_container_ends_under_it_fails(gateway: Gateway) -> None:
    await gateway.launch(gateway.harness.serving("web"))
    executing = gateway.backend.execute(gateway.key, Hook("web", "sleep 1001"), 600)
    await gateway.harness.eventually(lambda: b"sleep 1001" in processes(gateway, "web"))
    gateway.harness.kill(gateway.key, "web")
    with pytest.raises(HookFailed):
        await gateway.harness.wait(executing)


@pytest_twisted.ensureDeferred
async def test_a_hook_in_a_paused_service_fails_in_the_engine_s_words(gateway: Gateway) -> None:
    await gateway.launch(gateway.harness.serving("web"))
    await gateway.harness.wait(gateway.backend.pause(gateway.key))
    with pytest.raises(HookFailed, match=r"could not be run: .*paused"):
        await gateway.execute("true")


@pytest_twisted.ensureDeferred
async def test_closing_gives_hooks_up(gateway: Gateway) -> None:
    first = await Gateway.open(gateway.harness)
    await first.launch(gateway.harness.serving("web"))
    executing = first.backend.execute(first.key, Hook("web", "sleep 1001"), 600)
    await gateway.harness.eventually(lambda: b"sleep 1001" in processes(gateway, "web"))
    closed = first.backend.close()
    with pytest.raises((CancelledError, Mishap)):
        await gateway.harness.wait(executing)
    await gateway.harness.wait(closed)
    await gateway.harness.eventually(lambda: b"sleep 1001" not in processes(gateway, "web"))


# -- accounts -----------------------------------------------------------------------------------------------------------


@pytest_twisted.ensureDeferred
async def test_usage_is_what_processes_hold_paused_or_not_and_not_the_files_that_they_have_read(gateway: Gateway) -> None:
    harness = gateway.harness
    await gateway.launch(harness.serving("web"))
    empty = await gateway.memory()
    assert 0 < empty < 16 * MIB
    await gateway.execute(f"(x=$(head -c {48 * MIB} /dev/zero | tr '\\0' x); touch /held; sleep 600; true) >/dev/null 2>&1 &")
    await harness.eventually(lambda: b"held" in harness.output(gateway.key, "web", "ls", "/"))
    held = await gateway.memory()
    assert held - empty >= 48 * MIB
    await gateway.execute(f"head -c {256 * MIB} /dev/zero >/file; cat /file >/dev/null; sync")
    assert await gateway.memory() - held < 64 * MIB
    await harness.wait(gateway.backend.pause(gateway.key))
    assert await gateway.memory() - empty >= 48 * MIB
    await gateway.stop()
    assert await gateway.memory() == 0


# -- images -------------------------------------------------------------------------------------------------------------


def page(text: str) -> dict[str, bytes]:
    """An image that serves ``text`` on port 3000, and no other has a layer of that size."""
    program = busybox_files()
    program["Dockerfile"] += b'COPY journal /journal\nCMD ["httpd", "-f", "-p", "3000", "-h", "/"]\n'
    return {**program, "journal": text.encode() * 10_000}


class Versions:
    """Versions of one application in the registry, of a repository of its own."""

    def __init__(self, harness: DockerHarness, registry: Registry) -> None:
        self.client, self.registry = harness.client, registry
        self.name = harness.instance
        self.repository = registry.reference(self.name)

    def push(self, tag: str) -> Version:
        name = f"{self.name}:{tag}"
        version = Version(tag, self.registry.reference(name), self.registry.push(name, page(f"web {tag} "), keep=True))
        self.client.remove_image(version.image)  # with what the builder has made on the way to it, which has the same layers
        return version

    def there(self, version: Version) -> bool:
        return self.client.images(f"{self.repository}@{version.digest}") != []


@pytest.fixture
def versions(harness: DockerHarness, registry: Registry) -> Versions:
    return Versions(harness, registry)


@pytest_twisted.ensureDeferred
async def test_what_was_fetched_is_launched_without_the_registry(
    gateway: Gateway, versions: Versions, registry: Registry
) -> None:
    version = versions.push("fetched")
    assert not versions.there(version)
    await gateway.fetch(Service("web"), version=version)
    assert {progress.phase for progress in gateway.progress} == {"pull"}
    assert versions.there(version)
    registry.stop()
    try:
        await gateway.fetch(Service("web"), version=version)
        where = await gateway.launch(Service("web"), version=version)
        await gateway.harness.eventually(lambda: gateway.harness.reachable(where))
        with pytest.raises(ImageUnavailable):
            await gateway.fetch(Service("web"), version=evolve(version, digest="sha256:" + "0" * 64))
    finally:
        registry.start()


@pytest_twisted.ensureDeferred
async def test_reclaim_removes_what_nobody_needs_and_says_what_that_was(opened: Opened, versions: Versions) -> None:
    repositories: list[str] = []
    gateway = await opened(repositories=repositories)
    running, wanted, old = (versions.push(tag) for tag in ("running", "wanted", "old"))
    for version in (running, wanted, old):
        await gateway.fetch(Service("web"), version=version)
    await gateway.launch(Service("web"), version=running)
    await gateway.stop()
    assert await gateway.harness.wait(gateway.backend.reclaim([])) == 0, "they are of no app of ours"
    repositories.append(versions.repository)
    freed = await gateway.harness.wait(gateway.backend.reclaim([wanted]))
    assert [versions.there(version) for version in (running, wanted, old)] == [True, True, False]
    assert 40_000 <= freed < MIB, "its own layer, and not the one that it shared with the others"
    assert await gateway.harness.wait(gateway.backend.reclaim([wanted])) == 0
    await gateway.restart(Service("web"), version=running)
    await gateway.halt()
    assert await gateway.harness.wait(gateway.backend.reclaim([])) > 0
    assert not any(map(versions.there, (running, wanted, old)))


@pytest_twisted.ensureDeferred
async def test_what_was_reclaimed_is_fetched_again_by_the_launch_that_needs_it(opened: Opened, versions: Versions) -> None:
    gateway = await opened(repositories=[versions.repository])
    version = versions.push("again")
    await gateway.fetch(Service("web"), version=version)
    await gateway.harness.wait(gateway.backend.reclaim([]))
    assert not versions.there(version)
    where = await gateway.launch(Service("web"), version=version)
    await gateway.harness.eventually(lambda: gateway.harness.reachable(where))
