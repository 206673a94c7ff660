"""The whole gateway on a real engine and a real registry."""

from __future__ import annotations

import asyncio
import json
import random
import threading
import time
from collections import Counter
from typing import Any

import pytest

from tests.gateway import eventually
from tests.testbed.client import Engine, Registry

from .site import COMPOSE, Serve, Site, Watch, push

AT_REST = ("ready", "stopped", "cold")


@pytest.mark.failure(1)
def test_500_requests_on_one_cold_key_make_one_create_per_service_and_500_correct_answers(
    serve: Serve, versions: list[str]
) -> None:
    site = serve()
    watch = site.watch()
    answers = site.running.ask_all([site.host(versions[0])] * 500)
    assert Counter((answer.status, answer.body) for answer in answers) == {(200, versions[0].encode()): 500}
    eventually(lambda: watch.count("start")["web"] == 1)
    assert watch.count("create") == watch.count("start") == {"db": 1, "loader": 1, "web": 1}


def test_two_versions_are_two_isolated_networks_and_no_port_is_published(serve: Serve, versions: list[str]) -> None:
    site = serve()
    site.running.ask_all([site.host(version) for version in versions[:2]])
    networks = [set(container["NetworkSettings"]["Networks"]) for container in site.containers.all()]
    assert len(site.containers.networks()) == 2
    assert len({next(iter(names)) for names in networks}) == 2
    assert all(len(names) == 1 for names in networks)
    assert not any(port.get("PublicPort") for container in site.containers.all() for port in container["Ports"])


def test_a_published_address_is_on_the_loopback_interface_only(serve: Serve, versions: list[str]) -> None:
    site = serve(app='address = "published"')
    assert site.running.get(site.host(versions[0])).body == versions[0].encode()
    published = [port for container in site.containers.all() for port in container["Ports"] if port.get("PublicPort")]
    assert [port["IP"] for port in published] == ["127.0.0.1"]


@pytest.mark.failure(4)
def test_an_unknown_tag_is_404_and_a_registry_that_is_down_is_not_while_known_versions_still_start(
    serve: Serve, registry: Registry, versions: list[str]
) -> None:
    site = serve()
    missing = site.running.get(site.host("abcdef0"))
    assert (missing.status, missing.problem) == (404, "unknown-version")
    site.running.get(site.host(versions[0]))
    site.running.admin(f"/api/v1/stacks/app/{versions[0]}/stop?wait=30s", "POST")
    registry.stop()
    try:
        down = site.running.get(site.host(versions[1]))
        assert (down.status, down.problem) == (503, "registry-unavailable")
        page = site.running.get(site.host(versions[1]), Accept="text/html")
        assert page.status == 503
        assert page.fields["content-type"].startswith("text/html")
        site.running.kill()  # nor is it only remembered in memory
        site.running.start()
        assert site.running.get(site.host(versions[0])).body == versions[0].encode()
    finally:
        registry.start()
    eventually(lambda: site.running.get(site.host(versions[1])).status == 200, 15)


def test_a_moved_tag_does_not_change_a_running_stack_but_the_next_start(
    serve: Serve, registry: Registry, busybox: str, versions: list[str]
) -> None:
    push(registry, busybox, "fade0ff", "before")
    site = serve()
    assert site.running.get(site.host("fade0ff")).body == b"before"
    push(registry, busybox, "fade0ff", "after")
    assert site.running.get(site.host("fade0ff")).body == b"before"
    site.running.admin("/api/v1/stacks/app/fade0ff/stop?wait=30s", "POST")
    site.running.stop()  # the look-up is cached for a minute
    site.running.start()
    assert site.running.get(site.host("fade0ff")).body == b"after"


@pytest.mark.failure(5)
class TestFailures:
    """All who wait are answered within a second of the fact, with the cause and the last words; and there is no crash loop."""

    def fail(self, site: Site, version: str, service: str) -> tuple[str, Watch]:
        watch = site.watch()

        async def ask() -> list[tuple[float, Any]]:
            async def one() -> tuple[float, Any]:
                answer = await site.running.request(site.host(version))
                return time.time(), answer

            return await asyncio.gather(*(one() for _ in range(20)))

        answers = asyncio.run(ask())
        assert {(answer.status, answer.problem) for _, answer in answers} == {(502, "start-failed")}
        eventually(lambda: service in watch.count("die"))
        assert max(when for when, _ in answers) - watch.when("die", service) < 1.0
        again = site.running.get(site.host(version))
        assert again.problem == "start-failed"
        assert int(again.fields["retry-after"]) >= 1
        assert watch.count("create")["db"] == 1
        eventually(lambda: not site.containers.all())
        return answers[0][1].body.decode(), watch

    def test_a_loader_that_exits_1(self, serve: Serve, versions: list[str]) -> None:
        site = serve(loader_status=1)
        said, watch = self.fail(site, versions[0], "loader")
        assert f"loading {versions[0]}" in said
        assert "web" not in watch.count("start")

    def test_an_application_that_exits_1(self, serve: Serve, versions: list[str]) -> None:
        said, _ = self.fail(serve(), "badc0de", "web")
        assert "no shoes" in said

    def test_an_image_that_cannot_be_pulled(self, serve: Serve, registry: Registry, versions: list[str]) -> None:
        site = serve(compose=COMPOSE.replace("image: {busybox}", f"image: {registry.url}/nothing:here", 1))
        began = time.monotonic()
        answer = site.running.get(site.host(versions[0]))
        assert (answer.status, answer.problem) == (502, "start-failed")
        assert "nothing:here" in answer.body.decode()
        assert time.monotonic() - began < 5
        assert site.running.get(site.host(versions[0])).problem == "start-failed"


@pytest.mark.failure(6)
def test_the_loader_runs_once_however_often_the_stack_is_asked_for(serve: Serve, versions: list[str]) -> None:
    site = serve()
    watch = site.watch()
    for _ in range(5):
        site.running.get(site.host(versions[0]))
    assert watch.count("start")["loader"] == 1


@pytest.mark.failure(15)
def test_never_more_than_max_stacks_run_and_twenty_clients_are_answered_while_pinned_and_busy_ones_survive(
    serve: Serve, versions: list[str]
) -> None:
    site = serve('[limits]\nmax_stacks = 3\nmin_uptime = "0s"\nqueue_timeout = "120s"\nstart_timeout = "180s"')
    pinned, *others = versions
    site.running.get(site.host(pinned))
    assert site.running.admin(f"/api/v1/stacks/app/{pinned}/pin", "PUT").status < 300
    sampled: list[set[str]] = []
    done = threading.Event()

    def sample() -> None:
        client = site.containers.engine.client()
        while not done.is_set():
            up = client.containers(filters=site.containers.filters)
            sampled.append({container["Labels"]["grandcentral.name"] for container in up})

    sampler = threading.Thread(target=sample)
    sampler.start()
    answers = site.running.ask_all([site.host(version) for version in others])
    done.set()
    sampler.join()
    assert [answer.body.decode() for answer in answers if answer.status == 200]
    assert {answer.status for answer in answers} <= {200, 503}
    for version, answer in zip(others, answers, strict=True):
        assert answer.body.decode() == version if answer.status == 200 else answer.problem == "at-capacity"
    assert max(map(len, sampled)) <= 3
    assert len(sampled) > 20
    assert site.running.state(pinned) == "ready"


def test_idle_stacks_go_and_leave_nothing(serve: Serve, versions: list[str]) -> None:
    site = serve(app='idle = {stop = "1s", remove = "2s"}')
    site.running.get(site.host(versions[0]))
    eventually(lambda: site.running.state(versions[0]) == "cold", 30)
    assert site.containers.all() == []
    assert site.containers.networks() == []


def test_a_container_that_dies_behind_our_back_is_noticed_and_the_next_request_boots_the_stack(
    serve: Serve, versions: list[str]
) -> None:
    site = serve()
    site.running.get(site.host(versions[0]))
    (web,) = (c for c in site.containers.all() if c["Labels"]["grandcentral.service"] == "web")
    site.containers.engine.client().kill(web["Id"])
    eventually(lambda: site.running.state(versions[0]) != "ready", 2, "notice of the death")
    assert site.running.get(site.host(versions[0])).body == versions[0].encode()


@pytest.mark.failure(16)
def test_killed_at_ten_moments_of_starts_the_gateway_leaves_no_orphan_and_adopts_what_is_ready(
    serve: Serve, versions: list[str]
) -> None:
    site = serve("[limits]\nmax_stacks = 30")
    ready = versions[0]
    site.running.get(site.host(ready))

    def started() -> dict[str, str]:
        client = site.containers.engine.client()
        mine = [c for c in site.containers.all() if c["Labels"]["grandcentral.name"] == ready]
        return {c["Id"]: client.inspect_container(c["Id"])["State"]["StartedAt"] for c in mine}

    before = started()
    chance = random.Random(16)
    for n in range(10):
        moment = chance.uniform(0.05, 2.0)
        pair = versions[1 + n % 9], versions[10 + n % 9]

        async def cut(pair: tuple[str, str] = pair, moment: float = moment) -> None:
            asking = [asyncio.create_task(site.running.request(site.host(version))) for version in pair]
            await asyncio.sleep(moment)  # not to let things settle, but to hit them at any moment
            site.running.kill()
            await asyncio.gather(*asking, return_exceptions=True)

        asyncio.run(cut())
        site.running.start()
        eventually(lambda: json.loads(site.running.admin("/readyz").body), 30)

        def settled() -> bool:
            shown = site.running.stacks()
            there = site.containers.names()
            whole = {name for name, stack in shown.items() if stack["state"] != "cold"}
            return all(stack["state"] in AT_REST for stack in shown.values()) and there == dict.fromkeys(whole, 3)

        eventually(settled, 40, f"order after a kill {moment:.2f} s into the start of {pair}")
        assert len(site.containers.networks()) == len(site.containers.names())
        assert started() == before
    assert site.running.get(site.host(ready)).body == ready.encode()
    for version in versions[1:]:
        assert site.running.get(site.host(version)).status == 200


@pytest.mark.failure(21)
def test_the_engine_may_go_and_come_back_under_a_running_gateway(
    own_engine: Engine, serve: Serve, versions: list[str]
) -> None:
    site = serve()
    site.running.get(site.host(versions[0]))
    own_engine.stop()
    for version in versions[:2]:
        answer = eventually(lambda version=version: refused(site.running.get(site.host(version))), 20)
        assert answer.status == 503
    assert site.running.admin("/readyz").status == 503
    own_engine.start()
    for version in versions[:2]:
        eventually(lambda version=version: site.running.get(site.host(version)).body == version.encode(), 40)
    assert site.running.admin("/readyz").status == 200


def refused(answer: Any) -> Any:
    return answer if answer.status == 503 and answer.problem == "engine-unavailable" else None
