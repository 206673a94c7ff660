"""The Docker backend on a real engine: the contract of every backend, and what is its own."""

from __future__ import annotations

import time
from collections.abc import Callable, Coroutine, Iterator
from pathlib import Path
from typing import Any

import pytest
import pytest_twisted
from attrs import evolve
from twisted.internet import reactor
from twisted.internet.defer import CancelledError, ensureDeferred
from twisted.internet.protocol import Factory, Protocol
from twisted.internet.task import deferLater
from twisted.internet.threads import deferToThread

from grandcentral.backends.docker import launching, verbs
from grandcentral.backends.docker.labels import unique
from grandcentral.core.model import Condition, Endpoint, FileContent, HealthCheck, Mount, MountKind, Service, Version
from grandcentral.errors import EngineRefused, EngineUnavailable, ImageUnavailable, Mishap, ServiceExited, ServiceUnhealthy
from tests.contracts.backend import BackendContract, needs, printed
from tests.testbed.client import Engine, Registry
from tests.testbed.images import busybox_files

from .docker_gateway import Gateway
from .docker_harness import DockerHarness


@pytest.fixture
def harness(engine: Engine, busybox: str, tmp_path: Path) -> Iterator[DockerHarness]:
    harness = DockerHarness(engine.url, busybox, tmp_path)
    yield harness
    harness.close()


Gateways = Callable[..., Coroutine[Any, Any, Gateway]]


class TestDockerBackendContract(BackendContract):
    pass


@pytest.fixture
def gateways(harness: DockerHarness) -> Iterator[Gateways]:
    """Opens a Gateway; all of them are closed after the test, and nothing may be left of their stacks."""
    opened: list[Gateway] = []

    async def open(harness: DockerHarness = harness, **more: Any) -> Gateway:
        opened.append(await Gateway.open(harness, **more))
        return opened[-1]

    yield open
    for gateway in opened:
        pytest_twisted.blockon(ensureDeferred(gateway.close()))
    for one in {gateway.harness for gateway in opened}:
        assert one.leftovers() == []


@pytest.fixture
def gateway(gateways: Gateways) -> Gateway:
    return pytest_twisted.blockon(ensureDeferred(gateways()))


# -- what a container is like -------------------------------------------------------------------------------------------


@pytest_twisted.ensureDeferred
async def test_containers_carry_labels_that_say_everything_and_that_compose_understands(gateway: Gateway) -> None:
    await gateway.launch(gateway.harness.serving("web"), generation=3)
    labels = gateway.inspect("web")["Config"]["Labels"]
    assert labels["grandcentral.managed"] == "true"
    assert (labels["grandcentral.app"], labels["grandcentral.name"]) == ("contract.app", "a.Feature/1")
    assert (labels["grandcentral.generation"], labels["grandcentral.services"]) == ("3", "web")
    assert labels["com.docker.compose.project"] == unique(gateway.harness.instance, gateway.key)
    assert labels["com.docker.compose.service"] == "web"


@pytest_twisted.ensureDeferred
async def test_the_engine_runs_no_health_checks_and_restarts_nothing(gateway: Gateway) -> None:
    await gateway.launch(gateway.harness.serving("web"))
    container = gateway.inspect("web")
    assert "Health" not in container["State"]
    assert container["HostConfig"]["RestartPolicy"]["Name"] == "no"
    assert container["HostConfig"]["Init"] is True


@pytest_twisted.ensureDeferred
async def test_no_port_is_published_unless_asked_for(gateway: Gateway) -> None:
    where = await gateway.launch(gateway.harness.serving("web"))
    assert not any(gateway.inspect("web")["NetworkSettings"]["Ports"].values())
    assert where.host != "127.0.0.1"


@pytest.mark.parametrize("told", ["while it starts", "when it is asked too early", "when it runs"])
@pytest_twisted.ensureDeferred
async def test_a_service_is_reached_on_the_first_of_its_networks_however_its_address_is_told(
    gateway: Gateway, monkeypatch: pytest.MonkeyPatch, told: str
) -> None:
    if told == "when it is asked too early":
        monkeypatch.setattr(launching, "AFTER_START", 0.0)  # it may or may not have begun to start
    if told == "when it runs":
        monkeypatch.setattr(verbs, "address", lambda client, network, container: None)
    where = await gateway.launch(evolve(gateway.harness.serving("web"), networks={"front": (), "back": ()}))
    networks = gateway.inspect("web")["NetworkSettings"]["Networks"]
    front = networks[unique(gateway.harness.instance, gateway.key, "network front")]
    assert where == Endpoint(front["IPAddress"], gateway.harness.port)
    assert [found.endpoint for found in await gateway.backend.survey()] == [where]


@pytest_twisted.ensureDeferred
async def test_a_published_port_is_on_the_loopback_interface_chosen_by_the_engine(gateways: Gateways) -> None:
    gateway = await gateways(published={"contract.app"})
    where = await gateway.launch(gateway.harness.serving("web"))
    [bound] = gateway.inspect("web")["NetworkSettings"]["Ports"]["3000/tcp"]
    assert (bound["HostIp"], where) == ("127.0.0.1", Endpoint("127.0.0.1", int(bound["HostPort"])))
    assert [found.endpoint for found in await gateway.backend.survey()] == [where]


@pytest_twisted.ensureDeferred
async def test_services_find_each_other_by_name_and_alias_and_stacks_do_not(gateways: Gateways) -> None:
    gateway = await gateways()
    harness = gateway.harness
    db = evolve(harness.running("db"), networks={"back": ("database",)})
    look = "for name in db database; do /bin/busybox nslookup $name >/dev/null 2>&1 && echo $name; done; exit 0"
    web = evolve(harness.serving("web"), networks={"front": (), "back": ()})
    load = evolve(needs(harness.service("load", look), "db"), networks={"back": ()})
    web = needs(web, "load", condition=Condition.COMPLETED)
    await gateway.launch(web, load, db)
    assert printed(await gateway.logs(), "load") == ("load started", "db", "database")
    assert gateway.inspect("web")["NetworkSettings"]["Networks"].keys() == {
        unique(harness.instance, gateway.key, f"network {name}") for name in ("front", "back")
    }
    other = await gateways(name="b")
    alone = needs(harness.serving("web"), "load", condition=Condition.COMPLETED)
    await other.launch(alone, harness.service("load", look))
    assert printed(await other.logs(), "load") == ("load started",)


@pytest_twisted.ensureDeferred
async def test_volumes_are_shared_within_a_stack_and_the_anonymous_ones_go_with_it(gateway: Gateway) -> None:
    harness = gateway.harness
    data, scratch = Mount(MountKind.VOLUME, "/data", "data"), Mount(MountKind.VOLUME, "/scratch")
    load = harness.service("load", "echo golden >/data/dump")
    load = evolve(load, mounts=(*load.mounts, data, scratch))
    web = harness.service("web", f"cat /data/dump; exec /bin/busybox httpd -f -p {harness.port} -h /")
    web = needs(evolve(web, mounts=(*web.mounts, data)), "load", condition=Condition.COMPLETED)
    await gateway.launch(web, load)
    await harness.eventually(lambda: len(gateway.volumes()) == 2)
    await harness.eventually(lambda: b"golden" in harness.client.logs(harness.container(gateway.key, "web")))
    await harness.wait(gateway.backend.halt(gateway.key, False))
    assert gateway.volumes() == {unique(harness.instance, gateway.key, "volume data")}
    await gateway.halt()
    assert gateway.volumes() == set()


@pytest_twisted.ensureDeferred
@pytest.mark.parametrize("read_only", [False, True])
async def test_files_are_there_before_the_service_starts(gateway: Gateway, read_only: bool) -> None:
    harness = gateway.harness
    files = (FileContent("/run/secrets/token", b"s3cret", 0o400), FileContent("/etc/app/deep/conf", b"x=1"))
    show = "cat /run/secrets/token /etc/app/deep/conf; echo; stat -c %a /run/secrets/token"
    script = f"PATH=/bin:/usr/bin; {show}; touch /probe 2>/dev/null && echo writable; exit 0"
    load = harness.service("load", script, files=files, read_only=read_only)
    await gateway.launch(needs(harness.serving("web"), "load", condition=Condition.COMPLETED), load)
    lines = printed(await gateway.logs(), "load")
    assert lines[1:3] == ("s3cretx=1", "400")
    assert ("writable" in lines) is not read_only


@pytest_twisted.ensureDeferred
async def test_a_stack_may_leave_its_port_to_us(gateway: Gateway) -> None:
    harness = gateway.harness
    where = await gateway.launch(harness.service("web", "exec /bin/busybox httpd -f -p $PORT -h /"), port=0)
    await harness.eventually(lambda: harness.reachable(where))


# -- images -------------------------------------------------------------------------------------------------------------


def page(text: str) -> dict[str, bytes]:
    """An image that serves ``text`` on port 3000, made so that the engine must fetch it when it is needed."""
    program = busybox_files()
    program["Dockerfile"] += b'COPY journal /journal\nCMD ["httpd", "-f", "-p", "3000", "-h", "/"]\n'
    return {**program, "journal": text.encode()}


@pytest_twisted.ensureDeferred
async def test_a_moved_tag_does_not_change_what_is_started(gateway: Gateway, registry: Registry) -> None:
    tag = f"{gateway.harness.instance}:moving"
    digest = registry.push(tag, page("web: the first"))
    registry.push(tag, page("web: the second"))
    version = Version("moving", registry.reference(tag), digest)
    where = await gateway.launch(Service("web"), version=version)
    await gateway.harness.eventually(lambda: gateway.harness.reachable(where))
    assert gateway.harness.answer(where).endswith(b"web: the first")
    assert "pull" in {progress.phase for progress in gateway.progress}
    assert gateway.inspect("web")["Config"]["Image"].endswith(f"@{digest}")
    [found] = await gateway.backend.survey()
    assert found.version == version


@pytest_twisted.ensureDeferred
async def test_an_image_that_is_there_needs_no_registry(gateway: Gateway, registry: Registry) -> None:
    tag = f"{gateway.harness.instance}:known"
    digest = registry.push(tag, page("web"))
    version = Version("known", registry.reference(tag), digest)
    await gateway.launch(Service("web"), version=version)
    await gateway.halt()
    registry.stop()
    try:
        await gateway.launch(Service("web"), version=version, generation=2)
    finally:
        registry.start()


@pytest_twisted.ensureDeferred
async def test_an_image_that_is_not_there_fails_in_the_registry_s_words(gateway: Gateway, registry: Registry) -> None:
    with pytest.raises(ImageUnavailable, match=r"app@sha256:0{64} could not be pulled: .*manifest unknown"):
        await gateway.launch(Service("web"), version=Version("x", registry.reference("app:none"), "sha256:" + "0" * 64))
    await gateway.halt()
    with pytest.raises(ImageUnavailable, match=r"could not be pulled: .*none"):
        await gateway.launch(Service("web", image=registry.reference("app:none")))


@pytest_twisted.ensureDeferred
async def test_a_registry_that_is_away_fails_the_launch_with_the_reason(gateway: Gateway) -> None:
    with pytest.raises(ImageUnavailable, match=r"could not be pulled: .*connection refused"):
        await gateway.launch(Service("web", image="127.0.0.1:1/app:x"))


@pytest_twisted.ensureDeferred
async def test_a_pull_that_stalls_is_cancelled_at_once(gateway: Gateway) -> None:
    silent = Factory.forProtocol(Protocol)
    peers: list[Protocol] = []
    silent.buildProtocol = lambda address: peers.append(Protocol()) or peers[-1]
    registry = reactor.listenTCP(0, silent, interface="127.0.0.1")
    try:
        launching = gateway.start(Service("web", image=f"127.0.0.1:{registry.getHost().port}/app:x"))
        await gateway.harness.eventually(lambda: peers)
        launching.cancel()
        with pytest.raises(CancelledError):
            await launching.addTimeout(1, reactor)
    finally:
        await registry.stopListening()
        for peer in peers:
            peer.transport.abortConnection()


@pytest_twisted.ensureDeferred
async def test_a_service_without_an_image_is_refused(gateway: Gateway) -> None:
    with pytest.raises(EngineRefused, match=r"web .* has no image"):
        await gateway.launch(Service("web"), version=Version("x"))


@pytest_twisted.ensureDeferred
async def test_a_command_that_is_not_in_the_image_is_refused_in_the_engine_s_words(gateway: Gateway) -> None:
    """Without an init: docker-init would start, say so in the log, and exit with 127."""
    with pytest.raises(EngineRefused, match="/nowhere"):
        await gateway.launch(evolve(gateway.harness.serving("web"), command=("/nowhere",), init=False))


# -- health -------------------------------------------------------------------------------------------------------------


@pytest_twisted.ensureDeferred
async def test_the_check_of_who_serves_is_waited_for_and_that_of_others_only_if_asked_for(gateway: Gateway) -> None:
    harness = gateway.harness
    never = HealthCheck(("/bin/busybox", "false"), interval=0.1, retries=2)
    await gateway.launch(harness.serving("web"), evolve(harness.running("db"), healthcheck=never))
    await gateway.halt()
    with pytest.raises(ServiceUnhealthy, match=r"web is not healthy after .* exited with status 1"):
        await gateway.launch(evolve(harness.serving("web"), healthcheck=never), generation=2)


@pytest_twisted.ensureDeferred
async def test_a_check_that_fails_at_first_is_asked_again_soon(gateway: Gateway) -> None:
    """The engine would have looked after 30 s for the first time."""
    harness = gateway.harness
    check = HealthCheck(("/bin/sh", "-c", "echo x >>/tries; [ $(/bin/busybox wc -l </tries) -ge 4 ]"))
    await gateway.launch(evolve(harness.serving("web"), healthcheck=check))
    assert harness.output(gateway.key, "web", "/bin/busybox", "wc", "-l", "/tries").split()[0] == b"4"


@pytest.mark.failure(8)
@pytest_twisted.ensureDeferred
async def test_a_check_that_hangs_is_one_that_fails_and_none_is_begun_beside_it(gateway: Gateway) -> None:
    harness = gateway.harness
    check = HealthCheck(("/bin/sh", "-c", "echo x >>/journal; /bin/busybox sleep 600"), timeout=0.1, interval=0.1, retries=3)
    with pytest.raises(ServiceUnhealthy, match=r"took longer than 0.1 s"):
        await gateway.launch(evolve(harness.serving("web"), healthcheck=check))
    assert harness.journal() == ["web", "x"]


@pytest_twisted.ensureDeferred
async def test_to_wait_for_the_health_of_what_has_no_check_is_refused_with_the_remedy(gateway: Gateway) -> None:
    harness = gateway.harness
    with pytest.raises(EngineRefused, match="give db a healthcheck, or wait for service_started"):
        await gateway.launch(needs(harness.serving("web"), "db", condition=Condition.HEALTHY), harness.running("db"))


@pytest_twisted.ensureDeferred
async def test_a_death_ends_the_wait_for_anything_at_once(gateway: Gateway) -> None:
    """The check has minutes of patience; the database does not live that long."""
    harness = gateway.harness
    patient = HealthCheck(("/bin/busybox", "false"), interval=60)
    web = needs(harness.serving("web"), "db", condition=Condition.HEALTHY)
    db = harness.service("db", "/bin/busybox sleep 0.5; echo no space left; exit 28", healthcheck=patient)
    with pytest.raises(ServiceExited) as caught:
        await gateway.launch(web, db)
    assert (caught.value.service, caught.value.status) == ("db", 28)
    assert printed(caught.value.logs, "db") == ("db started", "no space left")


# -- what happens by itself ---------------------------------------------------------------------------------------------


@pytest_twisted.ensureDeferred
async def test_a_death_is_told_within_a_second(gateway: Gateway) -> None:
    await gateway.launch(gateway.harness.serving("web"))
    gateway.harness.kill(gateway.key, "web")
    began = time.monotonic()
    await gateway.harness.eventually(lambda: gateway.vanished)
    assert time.monotonic() - began < 1
    assert gateway.vanished[0][2].status == -9


@pytest_twisted.ensureDeferred
async def test_running_out_of_memory_is_told_as_such(gateway: Gateway) -> None:
    harness = gateway.harness
    hungry = harness.service("db", "/bin/busybox sleep 0.3; /bin/busybox tail /dev/zero", memory=16 << 20)
    await gateway.launch(harness.serving("web"), hungry)
    await harness.eventually(lambda: gateway.vanished)
    assert str(gateway.vanished[0][2]) == "db was killed: it ran out of memory, its limit is 16 MiB."


@pytest_twisted.ensureDeferred
async def test_a_restart_by_somebody_else_counts_as_vanished(gateway: Gateway) -> None:
    await gateway.launch(gateway.harness.serving("web"))
    gateway.harness.client.restart(gateway.harness.container(gateway.key, "web"), timeout=0)
    await gateway.harness.eventually(lambda: gateway.vanished)


@pytest_twisted.ensureDeferred
async def test_gateways_on_one_engine_leave_each_other_alone(gateways: Gateways, tmp_path: Path) -> None:
    gateway = await gateways()
    (tmp_path / "other").mkdir()
    other = await gateways(DockerHarness(gateway.harness.url, gateway.harness.image, tmp_path / "other"))
    mine = await gateway.launch(gateway.harness.serving("web"))
    theirs = await other.launch(other.harness.serving("web"))
    assert [found.endpoint for found in await gateway.backend.survey()] == [mine]
    await gateway.halt()
    assert [found.endpoint for found in await other.backend.survey()] == [theirs]
    assert (gateway.vanished, other.vanished) == ([], [])


@pytest_twisted.ensureDeferred
async def test_halt_disconnects_what_others_have_connected(gateway: Gateway) -> None:
    harness = gateway.harness
    await gateway.launch(harness.serving("web"))
    guest = harness.client.create_container(harness.image, ["/bin/busybox", "sleep", "600"])["Id"]
    try:
        harness.client.start(guest)
        harness.client.connect_container_to_network(guest, unique(harness.instance, gateway.key, "network default"))
        await gateway.halt()
        assert harness.leftovers() == []
        assert harness.client.inspect_container(guest)["State"]["Running"]
    finally:
        harness.client.remove_container(guest, force=True)


@pytest_twisted.ensureDeferred
async def test_a_graceful_halt_lets_services_end_well_and_databases_last(gateway: Gateway) -> None:
    harness = gateway.harness

    def polite(name: str) -> Service:
        return harness.service(name, f"trap 'echo {name} >>/journal; exit 0' TERM; while :; do /bin/busybox sleep 0.05; done")

    await gateway.launch(needs(polite("web"), "db"), polite("db"))
    await harness.eventually(lambda: harness.journal() == ["db", "web"])
    await harness.wait(gateway.backend.halt(gateway.key, True))
    assert harness.journal() == ["db", "web", "web", "db"]


@pytest_twisted.ensureDeferred
@pytest.mark.parametrize("after", [0.0, 0.05, 0.15, 0.3, 0.5, 0.8])
async def test_a_launch_cancelled_at_any_moment_creates_nothing_any_more(gateway: Gateway, after: float) -> None:
    harness = gateway.harness
    launching = gateway.start(needs(harness.serving("web"), "db", "queue"), harness.running("db"), harness.running("queue"))
    await deferLater(reactor, after)
    launching.cancel()
    try:
        await harness.wait(launching)
    except (CancelledError, Mishap):
        pass
    there = sorted(harness.leftovers())
    await deferLater(reactor, 0.3)  # as long as an engine takes to create what it was asked for last
    assert sorted(harness.leftovers()) == there
    await gateway.halt()
    assert harness.leftovers() == []


# -- an engine that goes away -------------------------------------------------------------------------------------------


@pytest_twisted.ensureDeferred
async def test_without_an_engine_it_opens_and_says_so_quickly(tmp_path: Path) -> None:
    harness = DockerHarness(f"unix://{tmp_path}/none.sock", "none", tmp_path)
    gateway = await Gateway.open(harness)
    for call in (gateway.start(Service("web", image="x")), gateway.backend.check(), gateway.backend.survey()):
        with pytest.raises(EngineUnavailable, match="does not answer: No such file or directory"):
            await call.addTimeout(2, reactor)
    with pytest.raises(EngineUnavailable):
        await gateway.backend.halt(gateway.key, False).addTimeout(2, reactor)
    await gateway.backend.close()


@pytest_twisted.ensureDeferred
async def test_an_engine_that_was_restarted_is_used_again_and_what_died_with_it_is_told(
    own_engine: Engine, gateway: Gateway
) -> None:
    harness = gateway.harness
    await gateway.launch(harness.serving("web"), generation=1)
    await deferToThread(own_engine.stop)
    with pytest.raises(EngineUnavailable):
        await gateway.backend.check()
    with pytest.raises(EngineUnavailable):
        await gateway.start(harness.serving("web"), generation=2)
    await deferToThread(own_engine.start)
    await harness.eventually(lambda: gateway.returned)
    await harness.eventually(lambda: gateway.vanished)
    assert [(key, generation) for key, generation, _ in gateway.vanished] == [(gateway.key, 1)]
    await gateway.backend.check()
    await gateway.halt()
    await gateway.launch(harness.serving("web"), generation=2)
    assert len(gateway.returned) == 1


@pytest_twisted.ensureDeferred
async def test_an_engine_that_stops_during_a_launch_fails_it(own_engine: Engine, gateway: Gateway) -> None:
    harness = gateway.harness
    web = needs(harness.serving("web"), "load", condition=Condition.COMPLETED)
    launching = gateway.start(web, harness.service("load", "exec /bin/busybox sleep 600"))
    await harness.eventually(lambda: harness.journal() == ["load"])
    await deferToThread(own_engine.stop)
    await deferToThread(own_engine.start)
    with pytest.raises(Mishap):
        await harness.wait(launching)
    await harness.eventually(lambda: gateway.returned)
    await gateway.halt()
    assert harness.leftovers() == []
