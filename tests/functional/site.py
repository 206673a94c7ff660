"""A gateway on a real engine and a real registry, and what it makes there: for tests of the whole."""

from __future__ import annotations

import random
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from attrs import define, field

from tests.gateway import GatewayProcess, eventually, gateway
from tests.testbed.client import Engine, Registry

COMPOSE = """
services:
  db:
    image: {busybox}
    command: ["sh", "-c", "echo ready > /state; exec sleep 1000"]
    healthcheck:
      test: ["CMD", "grep", "ready", "/state"]
  loader:
    image: {busybox}
    command: ["sh", "-c", "echo loading ${{VERSION}}; exit ${{LOADER_STATUS}}"]
    depends_on:
      db: {{condition: service_healthy}}
  web:
    image: ${{IMAGE}}
    depends_on:
      loader: {{condition: service_completed_successfully}}
"""
VERSIONS = [f"{n:07x}" for n in range(0xA000001, 0xA000001 + 20)]


@pytest.fixture(scope="session")
def versions(registry: Registry, busybox: str) -> list[str]:
    """Twenty tags, each an image whose page is its own tag; and "badc0de", whose application exits."""
    for tag in VERSIONS:
        push(registry, busybox, tag, tag)
    command = '["sh", "-c", "echo no shoes; exit 1"]'
    registry.push("review:badc0de", {"Dockerfile": f"FROM {busybox}\nCMD {command}\n".encode()})
    return VERSIONS


def push(registry: Registry, busybox: str, tag: str, page: str) -> str:
    serve = '["httpd", "-f", "-p", "8080", "-h", "/www"]'
    files = {"Dockerfile": f"FROM {busybox}\nADD index.html /www/\nCMD {serve}\n".encode(), "index.html": page.encode()}
    return registry.push(f"review:{tag}", files)


NOTES = """#!/bin/sh
if [ "$REQUEST_METHOD" = POST ]; then cat >> /notes; fi
printf 'Content-Type: text/plain\\r\\n\\r\\n'
cat /notes
"""
TALKS = """#!/bin/sh
printf 'Content-Type: text/plain\\r\\n\\r\\n'
while sleep 0.2; do echo still here; done
"""


def push_notes(registry: Registry, busybox: str, tag: str) -> None:
    """An application that keeps what it is sent in its container's own layer (/cgi-bin/notes), and one that never ends to
    answer (/cgi-bin/talks)."""
    dockerfile = f'FROM {busybox}\nADD notes talks /www/cgi-bin/\nCMD ["httpd", "-f", "-p", "8080", "-h", "/www"]\n'
    registry.push(f"review:{tag}", {"Dockerfile": dockerfile.encode(), "notes": NOTES.encode(), "talks": TALKS.encode()})


@define
class Containers:
    """What the engine has of one gateway's stacks."""

    engine: Engine
    instance: str

    @property
    def filters(self) -> dict[str, list[str]]:
        return {"label": [f"grandcentral.gateway={self.instance}"]}

    def all(self) -> list[dict[str, Any]]:
        return list(self.engine.client().containers(all=True, filters=self.filters))

    def networks(self) -> list[dict[str, Any]]:
        return list(self.engine.client().networks(filters=self.filters))

    def volumes(self) -> list[str]:
        """Their names."""
        return [volume["Name"] for volume in self.engine.client().volumes(filters=self.filters)["Volumes"] or ()]

    def names(self) -> Counter[str]:
        """Version -> how many containers, of those that exist."""
        return Counter(container["Labels"]["grandcentral.name"] for container in self.all())


@define
class Watch:
    """The engine's own account of what happened, while it is watched."""

    events: list[dict[str, Any]] = field(factory=list)

    def count(self, action: str) -> Counter[str]:
        return Counter(
            event["Actor"]["Attributes"]["grandcentral.service"] for event in self.events if event["Action"] == action
        )

    def when(self, action: str, service: str) -> float:
        return next(
            event["timeNano"] / 1e9
            for event in self.events
            if event["Action"] == action and event["Actor"]["Attributes"]["grandcentral.service"] == service
        )


@define
class Site:
    """A gateway on the engine, and what it makes there."""

    running: GatewayProcess
    containers: Containers
    app: str = "app"

    def host(self, version: str) -> str:
        return f"{version}.review.localhost"

    def watch(self) -> Watch:
        """Begins to listen to the engine; what is noted is there for as long as the site is."""
        watch, client = Watch(), self.containers.engine.client()
        stream = client.events(decode=True, filters={**self.containers.filters, "type": ["container"]})

        def listen() -> None:
            for event in stream:
                watch.events.append(event)

        threading.Thread(target=listen, daemon=True).start()
        return watch


Serve = Callable[..., Site]


@pytest.fixture
def serve(tmp_path: Path, engine: Engine, registry: Registry, busybox: str, versions: list[str]) -> Iterator[Serve]:
    with ExitStack() as stack:

        def start(more: str = "", app: str = "", compose: str = COMPOSE, loader_status: int = 0) -> Site:
            (tmp_path / "app.compose.yaml").write_text(compose.format(busybox=busybox))
            instance = f"test-{random.randrange(2**32):08x}"
            configuration = (
                f'[docker]\nhost = "{engine.url}"\ninstance = "{instance}"\n'
                '[apps.app]\nhost = "{version}.review.localhost"\nversion = "git-hash"\n'
                f'image = "{registry.url}/review:{{version}}"\ncompose = "app.compose.yaml"\nserves = "web:8080"\n'
                f'environment = {{LOADER_STATUS = "{loader_status}"}}\n{app}\n{more}'
            )
            site = Site(stack.enter_context(gateway(tmp_path, configuration)), Containers(engine, instance))
            stack.callback(clean, site)
            return site

        yield start


def clean(site: Site) -> None:
    if site.running.process is None or site.running.process.poll() is not None:
        site.running.start()
    for name in site.running.stacks():
        site.running.admin(f"/api/v1/stacks/{site.app}/{name}/remove?volumes=1&wait=60s", "POST")
    containers = site.containers
    eventually(lambda: not (containers.all() or containers.networks() or containers.volumes()), 60, "an empty engine")
