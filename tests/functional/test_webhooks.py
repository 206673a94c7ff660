"""A real registry tells the gateway what was pushed to it, and a real engine has it before anybody asks."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from attrs import define

from tests.gateway import GatewayProcess, eventually
from tests.testbed import images
from tests.testbed.client import Engine
from tests.testbed.errors import Unavailable
from tests.testbed.fixtures import without

from .registries import OwnRegistry
from .site import Containers, Site, clean

SECRET = "open sesame"
ONE, TWO = "db139cf", "a27cd43"


@define
class Pipeline:
    """A registry that tells a gateway, and what builds images for it."""

    engine: Engine
    busybox: str
    registry: OwnRegistry
    site: Site

    def push(self, tag: str, page: str, **labels: str) -> str:
        """The digest of a new image. The engine, on which it is built, has forgotten it when the tag is pushed."""
        serve = '["httpd", "-f", "-p", "8080", "-h", "/www"]'
        dockerfile = f"FROM {self.busybox}\nADD index.html /www/\nCMD {serve}\n"
        built = f"{self.registry.host}/review:build-of-{page}"
        self.engine.build_image({"Dockerfile": dockerfile.encode(), "index.html": page.encode()}, built, labels)
        client = self.engine.client()
        digest = images.push(client, built)
        client.remove_image(built, noprune=True)
        assert not self.has(digest)
        self.registry.tag("review", digest, tag)
        return digest

    def has(self, digest: str) -> bool:
        name = f"{self.registry.host}/review@{digest}"
        return any(name in (image.get("RepoDigests") or ()) for image in self.engine.client().images())

    def state(self, name: str) -> str:
        return self.site.running.state(name)

    def page(self, name: str) -> bytes:
        return self.site.running.get(self.site.host(name)).body


@pytest.fixture
def pipeline(request: pytest.FixtureRequest, tmp_path: Path, engine: Engine, busybox: str) -> Iterator[Pipeline]:
    """``request.param`` is what the app says of pushes."""
    gateway = GatewayProcess(tmp_path, "")
    (tmp_path / "registry").mkdir()
    endpoint = {
        "name": "gateway",
        "url": f"http://127.0.0.1:{gateway.admin_port}/webhooks/distribution",
        "headers": {"Authorization": [f"Bearer {SECRET}"]},
        "timeout": "5s",
        "threshold": 100,
        "backoff": "100ms",
    }
    try:
        registry = OwnRegistry.make(tmp_path / "registry", tells=endpoint)
    except Unavailable as problem:
        without(problem)
    instance = f"test-{random.randrange(2**32):08x}"
    gateway.configuration = (
        f'[docker]\nhost = "{engine.url}"\ninstance = "{instance}"\n[webhooks]\nsecret = "{SECRET}"\n'
        f'[apps.app]\nhost = "{{version}}.review.localhost"\nimage = "{registry.host}/review:{{version}}"\n'
        f'serves = "web:8080"\n{request.param}\n'
    )
    with ExitStack() as stack:
        stack.callback(registry.daemon.stop)
        site = Site(gateway, Containers(engine, instance))
        stack.callback(lambda: gateway.process is not None and gateway.stop())
        gateway.start()
        stack.callback(clean, site)
        yield Pipeline(engine, busybox, registry, site)


@pytest.mark.parametrize("pipeline", ['version = "git-hash"\nprewarm = "pull"'], indirect=True)
def test_a_push_makes_the_engine_have_the_image_and_starts_nothing(pipeline: Pipeline) -> None:
    digest = pipeline.push(ONE, "one")
    eventually(lambda: pipeline.has(digest), what="the image")
    assert pipeline.state(ONE) == "cold"
    assert pipeline.site.containers.all() == []
    assert pipeline.page(ONE) == b"one"


@pytest.mark.parametrize("pipeline", ['version = "git-hash"\nprewarm = "start"'], indirect=True)
def test_a_push_starts_the_stack_and_nobodys_look_does(pipeline: Pipeline) -> None:
    pipeline.push(ONE, "one")
    eventually(lambda: pipeline.state(ONE) == "ready", what="the first stack")
    assert pipeline.page(ONE) == b"one"
    clean(pipeline.site)
    pipeline.registry.look("review", ONE)
    pipeline.push(TWO, "two")
    eventually(lambda: pipeline.state(TWO) == "ready", what="the second stack")
    assert pipeline.state(ONE) == "cold"  # though the registry told of the look before it told of the push
    assert set(pipeline.site.containers.names()) == {TWO}


@pytest.mark.parametrize("pipeline", ['version = "name"\nwarm = ["main"]'], indirect=True)
def test_a_tag_that_is_kept_warm_is_started_paused_and_replaced_when_it_moves(pipeline: Pipeline) -> None:
    first = pipeline.push("main", "first")
    eventually(lambda: pipeline.state("main") == "paused", what="the first image, paused")
    second = pipeline.push("main", "second")

    def digest() -> object:
        stack = pipeline.site.running.stacks().get("main", {})
        return stack["version"]["digest"] if stack.get("state") == "paused" else None

    eventually(lambda: digest() == second, what="the second image, paused")
    assert first != second
    assert pipeline.page("main") == b"second"


@pytest.mark.parametrize("pipeline", ['version = "git-hash"\nwarm = ["main"]'], indirect=True)
def test_the_newest_commit_of_a_branch_is_kept_warm_as_its_image_says(pipeline: Pipeline) -> None:
    pipeline.push(ONE, "one", **{"grandcentral.branch": "main"})
    eventually(lambda: pipeline.state(ONE) == "paused", what="the first commit, paused")
    pipeline.push("0ddba11", "other", **{"grandcentral.branch": "feature/x"})
    pipeline.push(TWO, "two", **{"grandcentral.branch": "main"})
    eventually(lambda: pipeline.state(TWO) == "paused", what="the second commit, paused")
    assert pipeline.state("0ddba11") == "cold"
    assert pipeline.page(TWO) == b"two"


@pytest.mark.parametrize("pipeline", ['version = "git-hash"\nprewarm = "start"'], indirect=True)
def test_who_does_not_know_the_secret_starts_nothing(pipeline: Pipeline) -> None:
    answer = pipeline.site.running.admin("/webhooks/distribution", "POST")  # with the admin token
    assert (answer.status, answer.problem) == (401, "secret-needed")
    assert json.loads(answer.body)["detail"].startswith("This does not show the secret")
