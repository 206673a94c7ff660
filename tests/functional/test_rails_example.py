"""The images of examples/rails-mysql by themselves, started by plain engine calls: no gateway."""

from __future__ import annotations

import json
import urllib.request
from collections.abc import Iterator

import pytest
from attrs import define, field

from tests.gateway import eventually
from tests.testbed.client import Engine, Registry

from .rails_example import RailsExample

DATABASE = {"MARIADB_DATABASE": "quepid", "MARIADB_USER": "quepid", "MARIADB_PASSWORD": "quepid"}


@define
class Stack:
    """What compose.yaml describes, by hand."""

    engine: Engine
    registry: Registry
    version: str
    network: str = ""
    containers: list[str] = field(factory=list)

    def run(self, image: str, environment: dict[str, str], alias: str) -> str:
        """Start a container on the stack's network; its id."""
        client = self.engine.client()
        container = client.create_container(
            self.registry.reference(image),
            environment=environment,
            host_config=client.create_host_config(network_mode=self.network),
            networking_config={"EndpointsConfig": {self.network: client.create_endpoint_config(aliases=[alias])}},
        )["Id"]
        self.containers.append(container)
        client.start(container)
        return container

    def load(self) -> str:
        """Run the loader; what it said."""
        client = self.engine.client()
        loader = self.run(f"quepid-loader:{self.version}", {**DATABASE, "DATABASE_HOST": "db"}, "loader")
        status = client.wait(loader)["StatusCode"]
        said = client.logs(loader).decode()
        assert status == 0, said
        return said

    def healthy(self, database: str) -> bool:
        """The health check of compose.yaml."""
        client = self.engine.client()
        check = ["sh", "-c", "mariadb --host=127.0.0.1 -uquepid -pquepid --execute='SELECT 1' quepid"]
        command = client.exec_create(database, check)["Id"]
        client.exec_start(command)
        return client.exec_inspect(command)["ExitCode"] == 0

    def get(self, web: str, path: str, host: str) -> str:
        """The body of the application's answer; "" while it does not answer. Raises HTTPError for a bad status."""
        (network,) = self.engine.client().inspect_container(web)["NetworkSettings"]["Networks"].values()
        request = urllib.request.Request(f"http://{network['IPAddress']}:3000{path}", headers={"Host": host})
        try:
            with urllib.request.urlopen(request, timeout=10) as answer:
                return answer.read().decode()
        except ConnectionError:
            return ""
        except urllib.error.URLError as error:
            if isinstance(error.reason, ConnectionError):
                return ""
            raise


@pytest.fixture
def stack(engine: Engine, registry: Registry, rails_example: RailsExample) -> Iterator[Stack]:
    client = engine.client()
    stack = Stack(engine, registry, rails_example.second)
    stack.network = client.create_network("rails-example")["Id"]
    yield stack
    for container in stack.containers:
        client.remove_container(container, force=True, v=True)
    client.remove_network(stack.network)


def test_the_stack_by_hand(stack: Stack) -> None:
    """Database, loader, application; and a loader that ran twice is seen, but has changed nothing."""
    database = stack.run("quepid-database:10.11", DATABASE, "db")
    eventually(lambda: stack.healthy(database), what="the database's health")
    assert "restored: 6 cases" in stack.load()
    environment = {"DATABASE_URL": "mysql2://quepid:quepid@db/quepid", "REVIEW_HOST": f"{stack.version}.review.localhost"}
    web = stack.run(f"quepid:{stack.version}", environment, "web")
    host = f"{stack.version}.review.localhost:8080"
    eventually(lambda: stack.get(web, "/up", host), what="the application")

    page = stack.get(web, "/", host)
    assert "Relevance scoreboard" in page
    assert "Help centre" in page
    assert "golden dump loaded once" in page
    facts = json.loads(stack.get(web, "/version", host))
    assert facts == {"version": stack.version, "host": host, "cases": 6, "queries": 14, "golden_loads": 1}

    assert "restored before" in stack.load()
    assert json.loads(stack.get(web, "/version", host)) == {**facts, "golden_loads": 2}

    longer = f"{stack.version}0123.review.localhost"
    assert json.loads(stack.get(web, "/version", longer))["host"] == longer
    with pytest.raises(urllib.error.HTTPError, match="403"):
        stack.get(web, "/", "evil.example.com")
