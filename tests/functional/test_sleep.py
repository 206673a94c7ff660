"""How deep stacks sleep on a real engine, and that nothing is lost by it."""

from __future__ import annotations

import asyncio
import json
import random
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.gateway import eventually, gateway
from tests.testbed.client import Engine, Registry

from .rails_example import RailsExample
from .site import Containers, Serve, Site, clean, push_notes

COMPOSE = """
services:
  loader:
    image: {busybox}
    command: ["sh", "-c", "echo x >> /kept/loads"]
    volumes: ["kept:/kept"]
  web:
    image: ${{IMAGE}}
    volumes: ["kept:/kept", "scratch:/scratch"]
    depends_on:
      loader: {{condition: service_completed_successfully}}
volumes:
  kept:
  scratch:
    x-grandcentral: {{disposable: true}}
"""
VERSION = "b0b0b0b"


@pytest.fixture
def notes(serve: Serve, registry: Registry, busybox: str) -> Site:
    """An application that keeps what it is sent, in the container's own layer."""
    push_notes(registry, busybox, VERSION)
    return serve(compose=COMPOSE, app='idle = "never"')


def write(site: Site, text: str) -> None:
    sent = asyncio.run(site.running.request(site.host(VERSION), "/cgi-bin/notes", "POST", text.encode()))
    assert sent.status == 200, sent


def read(site: Site) -> str:
    answer = site.running.get(site.host(VERSION), "/cgi-bin/notes")
    assert answer.status == 200, answer
    return answer.body.decode()


def operate(site: Site, verb: str) -> None:
    answer = site.running.admin(f"/api/v1/stacks/app/{VERSION}/{verb}", "POST")
    assert answer.status < 300, answer


def loads(site: Site) -> int:
    """How often the loader has run, by the lines in the volume that outlives stacks."""
    client = site.containers.engine.client()
    (web,) = (one for one in site.containers.all() if one["Labels"]["grandcentral.service"] == "web")
    command = client.exec_create(web["Id"], ["wc", "-l", "/kept/loads"])["Id"]
    return int(client.exec_start(command).split()[0])


def test_what_was_written_before_a_stop_is_there_after_it_and_the_loader_did_not_run_again(notes: Site) -> None:
    write(notes, "before ")
    watch = notes.watch()
    operate(notes, "stop?wait=30s")
    assert notes.running.state(VERSION) == "stopped"
    assert {container["State"] for container in notes.containers.all()} == {"exited"}
    assert read(notes) == "before "
    assert loads(notes) == 1
    assert watch.count("create") == {}
    assert watch.count("start") == {"web": 1}


def test_a_stopped_stack_is_known_to_the_next_gateway(notes: Site) -> None:
    write(notes, "before ")
    operate(notes, "stop?wait=30s")
    notes.running.kill()
    notes.running.start()
    eventually(lambda: notes.running.state(VERSION) == "stopped")
    assert read(notes) == "before "


def test_after_a_restart_of_the_engine_stacks_go_on_with_their_data(own_engine: Engine, notes: Site) -> None:
    write(notes, "before ")
    own_engine.stop()
    own_engine.start()
    eventually(lambda: notes.running.state(VERSION) in ("stopped", "ready"), 40)
    assert eventually(lambda: read(notes), 40) == "before "
    assert loads(notes) == 1


def test_a_death_loses_no_data(notes: Site) -> None:
    write(notes, "before ")
    (web,) = (one for one in notes.containers.all() if one["Labels"]["grandcentral.service"] == "web")
    notes.containers.engine.client().kill(web["Id"])
    eventually(lambda: notes.running.state(VERSION) != "ready", 1, "notice of the death")
    assert read(notes) == "before "


def test_removal_takes_disposable_volumes_and_leaves_the_others(notes: Site) -> None:
    write(notes, "before ")
    operate(notes, "remove?wait=30s")
    assert notes.containers.all() == []
    assert notes.containers.networks() == []
    assert ["-kept-" in volume for volume in notes.containers.volumes()] == [True]
    assert read(notes) == ""
    assert loads(notes) == 2


def test_a_stack_that_cannot_be_saved_is_not_stopped_and_the_operator_is_told(serve: Serve, versions: list[str]) -> None:
    site = serve(app='before_stop = { web = "echo no room on device; exit 3" }\nidle = {stop = "1s"}')
    site.running.get(site.host(versions[0]))
    eventually(lambda: "could not be saved" in site.running.log)
    eventually(lambda: site.running.state(versions[0]) == "ready")
    refused = site.running.admin(f"/api/v1/stacks/app/{versions[0]}/stop?wait=30s", "POST")
    assert refused.status == 409
    assert refused.problem == "not-saved"
    assert b"no room on device" in refused.body
    assert site.running.admin(f"/api/v1/stacks/app/{versions[0]}/stop?force=1&wait=30s", "POST").status < 300
    assert site.running.state(versions[0]) == "stopped"


class TestRails:
    """A real application's data, dumped by a real mariadb-dump before it stops, are restored by the next start from nothing."""

    @pytest.fixture
    def site(self, tmp_path: Path, engine: Engine, rails_example: RailsExample) -> Iterator[Site]:
        instance = f"rails-{random.randrange(2**32):08x}"
        docker = f'[docker]\nhost = "{engine.url}"\ninstance = "{instance}"\n'
        with gateway(tmp_path, docker + rails_example.configuration) as running:
            site = Site(running, Containers(engine, instance), "quepid")
            yield site
            clean(site)

    def test_what_people_typed_survives_stop_and_removal(self, site: Site, rails_example: RailsExample) -> None:
        version = rails_example.first
        host = site.host(version)
        before = json.loads(site.running.get(host, "/version").body)
        client = site.containers.engine.client()
        (db,) = (one for one in site.containers.all() if one["Labels"]["grandcentral.service"] == "db")
        insert = "INSERT INTO queries (search_case_id, text) SELECT search_case_id, 'typed by a reviewer' FROM queries LIMIT 1"
        command = client.exec_create(db["Id"], ["mariadb", "-h127.0.0.1", "-uquepid", "-pquepid", "quepid", "-e", insert])["Id"]
        said = client.exec_start(command)
        assert client.exec_inspect(command)["ExitCode"] == 0, said
        typed = json.loads(site.running.get(host, "/version").body)
        assert typed["queries"] == before["queries"] + 1

        def operate(verb: str) -> None:
            assert site.running.admin(f"/api/v1/stacks/quepid/{version}/{verb}?wait=60s", "POST").status < 300

        operate("stop")
        assert json.loads(site.running.get(host, "/version").body) == typed  # started again: the loader did not run
        operate("stop")
        operate("remove")
        assert site.containers.all() == []
        restored = json.loads(site.running.get(host, "/version").body)
        assert restored == {**typed, "golden_loads": 2}  # made anew: the loader ran again, on what the dump had
