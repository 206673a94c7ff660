"""The seed document's own system: Rails, MariaDB and a loader, booted by a request for a tag that was never seen before."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.browser.client import Browser
from tests.gateway import GatewayProcess, gateway
from tests.testbed.client import Engine

from .rails_example import RailsExample
from .site import Containers, Site, clean


@pytest.fixture
def site(tmp_path: Path, engine: Engine, rails_example: RailsExample) -> Iterator[Site]:
    instance = f"rails-{random.randrange(2**32):08x}"
    docker = f'[docker]\nhost = "{engine.url}"\ninstance = "{instance}"\n'
    with gateway(tmp_path, docker + rails_example.configuration) as running:
        site = Site(running, Containers(engine, instance), "quepid")
        yield site
        clean(site)


def facts(running: GatewayProcess, host: str) -> dict[str, object]:
    return dict(json.loads(running.get(host, "/version").body))


def test_the_first_request_to_a_tag_returns_the_rails_page_with_rows_of_the_golden_dump(
    site: Site, rails_example: RailsExample
) -> None:
    watch = site.watch()
    first, second = site.host(rails_example.first), site.host(rails_example.second)
    pages = [answer.body.decode() for answer in site.running.ask_all([first, second])]
    assert "Search cases" in pages[0]
    assert "Relevance scoreboard" in pages[1]
    assert facts(site.running, first) | {"host": ""} == {
        "version": rails_example.first, "host": "", "cases": 4, "queries": 10, "golden_loads": 1
    }
    assert facts(site.running, second) | {"host": ""} == {
        "version": rails_example.second, "host": "", "cases": 6, "queries": 14, "golden_loads": 1
    }
    assert watch.count("start") == {"db": 2, "loader": 2, "web": 2}

    networks = {
        container["Labels"]["grandcentral.name"]: set(container["NetworkSettings"]["Networks"])
        for container in site.containers.all()
    }
    assert networks[rails_example.first].isdisjoint(networks[rails_example.second])

    starts = json.loads(site.running.admin(f"/api/v1/stacks/quepid/{rails_example.first}/starts").body)["starts"]
    assert {"registry", "create", "health", "loader", "ready"} <= set(starts[0]["phases_ms"])


def test_a_browser_opens_it(site: Site, rails_example: RailsExample, browser: Browser, tmp_path: Path) -> None:
    port = site.running.port
    url = f"http://{rails_example.first}.review.localhost:{port}/"
    (page,) = browser.open(url, screenshot=tmp_path / "page.png", wait_for="text=Search cases")
    assert page.status == 200
    assert "Search cases" in page.text
    assert (tmp_path / "page.png").stat().st_size > 10_000
