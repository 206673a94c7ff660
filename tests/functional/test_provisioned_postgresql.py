"""A PostgreSQL server for each user, provisioned by one call, behind one port: examples/postgres on a real engine.

Clients connect by nothing else than what the call answered.
"""

from __future__ import annotations

import json
import random
import socket
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
from attrs import frozen
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from tests.gateway import GatewayProcess, eventually, free_port, gateway
from tests.testbed.client import Engine

from .site import Containers

EXAMPLE = Path(__file__).parents[2] / "examples" / "postgres" / "compose.yaml"
SECRET = "pre-arranged"
ASLEEP = ("stopped", "cold")


@frozen
class Databases:
    """A gateway, and those who call its provisioning listener."""

    running: GatewayProcess
    containers: Containers
    port: int  # of the databases
    callers: int  # the port of that listener

    def call(self, path: str, **fields: str) -> tuple[int, Any]:
        """Status and document of an answer."""
        request = urllib.request.Request(
            f"http://127.0.0.1:{self.callers}{path}",
            json.dumps(fields).encode(),
            {"Content-Type": "application/json", "Authorization": f"Bearer {SECRET}"},
        )
        try:
            with urllib.request.urlopen(request, timeout=60) as answer:
                return answer.status, json.load(answer)
        except urllib.error.HTTPError as error:
            return error.code, json.load(error)

    def provision(self, user: str) -> str:
        """What a new user is to connect to."""
        status, said = self.call("/provision", username=user)
        assert status == 201
        return str(said["connection"])

    def deprovision(self, user: str) -> None:
        status, said = self.call("/deprovision", username=user)
        assert (status, said["existed"]) == (200, True)

    def refusal(self, user: str) -> bytes:
        """What is said to a client that begins with this name, until the port closes."""
        start = b"\0\3\0\0user\0" + user.encode() + b"\0\0"
        with socket.create_connection(("127.0.0.1", self.port), 60) as client, client.makefile("rb") as answer:
            client.sendall((len(start) + 4).to_bytes(4, "big") + start)
            return answer.read()

    def volumes(self, user: str) -> list[str]:
        return [name for name in self.containers.volumes() if f"-{user}-" in name]


@pytest.fixture(scope="module")
def databases(tmp_path_factory: pytest.TempPathFactory, engine: Engine, postgresql: str) -> Iterator[Databases]:
    home = tmp_path_factory.mktemp("databases")
    template = EXAMPLE.read_text()
    assert "image: postgres:17\n" in template
    (home / "compose.yaml").write_text(template.replace("postgres:17", postgresql))
    instance, port, callers = f"test-{random.randrange(2**32):08x}", free_port(), free_port()
    configuration = (
        f'[docker]\nhost = "{engine.url}"\ninstance = "{instance}"\n[limits]\nmin_uptime = "0s"\n'
        f'[provision]\nsecret = "{SECRET}"\nlisten = "tcp:{callers}:interface=127.0.0.1"\n'
        f'[apps.postgres]\nlisten = "postgresql:{port}:interface=127.0.0.1"\nprovisioned = true\n'
        'compose = "compose.yaml"\nserves = "db:5432"\nidle = { stop = "1s" }\n'
    )
    with gateway(home, configuration, workers=1) as running:
        there = Databases(running, Containers(engine, instance), port, callers)
        try:
            yield there
        finally:
            for row in json.loads(running.admin("/api/v1/provisions").body)["provisions"]:
                running.admin(f"/api/v1/provisions/postgres/{row['name']}", "DELETE")
    assert (there.containers.all(), there.containers.networks(), there.containers.volumes()) == ([], [], [])


@pytest.fixture(scope="module")
def bob(databases: Databases) -> str:
    """The connection of one who has a server for as long as the gateway runs."""
    return databases.provision("bob")


def connect(connection: str, **otherwise: str) -> psycopg.Connection[Any]:
    return psycopg.connect(make_conninfo(connection, **otherwise), autocommit=True)


def password(connection: str) -> str:
    return str(conninfo_to_dict(connection)["password"])


@pytest.mark.failure(18)
def test_each_user_has_a_server_that_nobody_else_gets_into(databases: Databases, bob: str) -> None:
    alice = databases.provision("alice")
    assert alice == f"postgresql://alice:{password(alice)}@127.0.0.1:{databases.port}/alice"
    assert databases.containers.all() == [], "nothing is started before somebody comes"

    with connect(alice) as hers, connect(bob) as his:
        for session in (hers, his):
            session.execute("CREATE TABLE owner AS SELECT current_user AS name, current_database() AS database")
        assert hers.execute("SELECT * FROM owner").fetchall() == [("alice", "alice")]
        assert his.execute("SELECT * FROM owner").fetchall() == [("bob", "bob")]
        assert hers.execute("SELECT rolname FROM pg_roles WHERE rolcanlogin").fetchall() == [("alice",)]

        for connection, key in ((alice, password(bob)), (bob, "guess")):
            with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
                connect(connection, password=key)
        for name in ("carol", "ALICE", "alice.", "postgres", "alice.shop"):
            assert b"C28000\0" in databases.refusal(name)
        assert databases.running.stacks().keys() == {"alice", "bob"}
        assert databases.containers.names() == {"alice": 1, "bob": 1}


@pytest.mark.failure(9)
def test_a_server_sleeps_when_nobody_has_a_session_and_wakes_with_all_its_data(databases: Databases, bob: str) -> None:
    with connect(bob) as session:
        session.execute("CREATE TABLE kept AS SELECT 42 AS it")
        started = session.execute("SELECT pg_postmaster_start_time()").fetchone()
    eventually(lambda: databases.running.state("bob") in ASLEEP, what="the sleep of a server that nobody uses")
    with connect(bob) as session:
        assert session.execute("SELECT it FROM kept").fetchall() == [(42,)]
        assert session.execute("SELECT pg_postmaster_start_time()").fetchone() != started


def test_what_is_taken_back_is_gone_and_whoever_has_the_name_next_begins_with_nothing(databases: Databases, bob: str) -> None:
    erin = databases.provision("erin")
    with connect(erin) as hers, connect(bob) as his:
        hers.execute("CREATE TABLE secrets AS SELECT 'hers' AS it")
        assert (len(databases.volumes("erin")), len(databases.volumes("bob"))) == (1, 1)
        databases.deprovision("erin")
        with pytest.raises(psycopg.errors.AdminShutdown):
            hers.execute("SELECT 1")
        assert b"C28000\0" in databases.refusal("erin")
        assert (databases.volumes("erin"), len(databases.volumes("bob"))) == ([], 1)

        again = databases.provision("erin")
        with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
            connect(erin)
        with connect(again) as session:
            assert session.execute("SELECT to_regclass('secrets')").fetchone() == (None,)
        assert his.execute("SELECT current_user").fetchone() == ("bob",)
