"""Provisioned endpoints over real sockets: from POST /provision to a stack that knows whose it is, and back to nothing."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlencode

import pytest

from grandcentral.core.keys import Key
from tests.gateway import TOKEN, GatewayProcess, Response, eventually, free_port, gateway, read_response

from .conftest import Repository
from .test_operator import typed

SECRET = "pre-arranged"
ALICE = {"username": "alice", "emailaddress": "alice@example.com", "appname": "shop"}

# Says whose it is, and remembers each visit where data can stay.
APPLICATION = """
import http.server, json, os, pathlib
visits = pathlib.Path(os.environ["GRANDCENTRAL_DATA"], "visits")
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        visits.write_text(visits.read_text() + "." if visits.exists() else ".")
        known = {name: value for name, value in os.environ.items() if name.startswith(("GRANDCENTRAL", "ADMIN"))}
        body = json.dumps({**known, "pid": os.getpid(), "visits": len(visits.read_text())}).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
http.server.ThreadingHTTPServer(("127.0.0.1", int(os.environ["PORT"])), Handler).serve_forever()
"""


@pytest.fixture(params=[0, 1], ids=["one process", "a worker"])
def hoodies(request: pytest.FixtureRequest, tmp_path: Path, repository: Repository) -> Iterator[Hoodies]:
    repository.commit("hoodie", APPLICATION)
    running = Hoodies(tmp_path, repository.path, free_port(), request.param)
    with gateway(tmp_path, running.configuration, workers=running.workers) as process:
        running.process = process
        yield running
        running.end()


class Hoodies:
    """A gateway whose stacks are provisioned, and who asks for them."""

    process: GatewayProcess

    def __init__(self, home: Path, repository: Path, port: int, workers: int) -> None:
        self.home, self.port, self.workers = home, port, workers
        self.configuration = (
            f'[provision]\nsecret = "{SECRET}"\nlisten = "tcp:{port}:interface=127.0.0.1"\n'
            f'[apps.hoodie]\nhost = "{{app}}.{{user}}.hoodies.localhost"\nprovisioned = true\ngit = "{repository}"\n'
            'command = "exec python3 application.py"\nready = "tcp"\n'
            'environment = { ADMIN = "${USER}:${PASSWORD}", ADMIN_EMAIL = "${EMAIL}" }\n'
        )

    def ask(self, method: str, path: str, body: bytes = b"", port: int = 0, **fields: str) -> Response:
        return asyncio.run(self.asking(method, path, body, port, **fields))

    async def asking(self, method: str, path: str, body: bytes = b"", port: int = 0, **fields: str) -> Response:
        """Of the listener for provisioning, unless another port is named."""
        reader, writer = await asyncio.open_connection("127.0.0.1", port or self.port)
        try:
            lines = {"Host": "provision.test", "Connection": "close", "Content-Length": str(len(body)), **fields}
            head = "".join(f"{name.replace('_', '-')}: {value}\r\n" for name, value in lines.items())
            writer.write(f"{method} {path} HTTP/1.1\r\n{head}\r\n".encode() + body)
            return await read_response(reader)
        finally:
            writer.close()

    def provision(self, query: str = "", secret: str = SECRET, **fields: str) -> Response:
        body = json.dumps({**ALICE, **fields, "secret": secret}).encode()
        return self.ask("POST", f"/provision{query}", body, Content_Type="application/json")

    def visit(self, host: str = "shop.alice") -> Response:
        return self.process.get(f"{host}.hoodies.localhost")

    def rows(self) -> list[str]:
        listed = json.loads(self.process.admin("/api/v1/provisions").body)["provisions"]
        return [f"{row['app']}/{row['name']}" for row in listed]

    def data(self, name: str = "alice.shop") -> Path:
        return self.home / "state/process/data" / f"hoodie@{name}"

    def end(self) -> None:
        for row in self.rows():
            assert self.ask("DELETE", f"/api/v1/provisions/{row}", Authorization=f"Bearer {SECRET}").status == 200


def test_from_nothing_to_a_stack_that_knows_its_user_and_back(hoodies: Hoodies) -> None:
    assert hoodies.visit().problem == "not-provisioned"

    answer = hoodies.provision()
    made = json.loads(answer.body)
    assert (answer.status, answer.fields["location"]) == (201, "/api/v1/provisions/hoodie/alice.shop")
    assert made["url"] == f"http://shop.alice.hoodies.localhost:{hoodies.process.port}"
    assert (made["state"], made["emailaddress"], made["expires"]) == ("cold", "alice@example.com", None)
    assert hoodies.process.stacks() == {}, "nothing is started before somebody comes"

    first = json.loads(hoodies.visit().body)
    assert (first["GRANDCENTRAL_USER"], first["GRANDCENTRAL_APPNAME"]) == ("alice", "shop")
    assert (first["GRANDCENTRAL_EMAIL"], first["GRANDCENTRAL_APP"]) == ("alice@example.com", "hoodie")
    assert first["GRANDCENTRAL_URL"] == made["url"]
    assert (first["ADMIN"], first["ADMIN_EMAIL"]) == (f"alice:{made['password']}", "alice@example.com")

    assert hoodies.process.admin("/api/v1/stacks/hoodie/alice.shop/stop?wait=30s", "POST").status == 200
    again = json.loads(hoodies.visit().body)
    assert (again["visits"], again["pid"] != first["pid"]) == (2, True)
    assert again["GRANDCENTRAL_PASSWORD"] == made["password"]
    hoodies.process.admin("/api/v1/stacks/hoodie/alice.shop/remove?wait=30s", "POST")
    assert json.loads(hoodies.visit().body)["visits"] == 3, "data outlives what it was made with"

    body = urlencode({"username": "alice", "appname": "shop", "secret": SECRET}).encode()
    gone = hoodies.ask("POST", "/deprovision", body, Content_Type="application/x-www-form-urlencoded")
    assert (gone.status, json.loads(gone.body)["existed"]) == (200, True)
    assert hoodies.visit().problem == "not-provisioned"
    assert (hoodies.rows(), hoodies.process.stacks(), hoodies.data().exists()) == ([], {}, False)
    gone = hoodies.ask("POST", "/deprovision", body, Content_Type="application/x-www-form-urlencoded")
    assert (gone.status, json.loads(gone.body)["existed"]) == (200, False)

    anew = json.loads(hoodies.provision().body)
    assert anew["password"] != made["password"]
    assert json.loads(hoodies.visit().body)["visits"] == 1


def test_who_waits_gets_a_stack_that_is_ready(hoodies: Hoodies) -> None:
    answer = hoodies.provision("?wait=30s")
    assert (answer.status, json.loads(answer.body)["state"]) == (201, "ready")
    assert hoodies.visit().status == 200


def test_without_the_secret_nothing_is_told_and_nothing_changes(hoodies: Hoodies) -> None:
    assert hoodies.provision().status == 201
    for secret in ("", "wrong", SECRET[:-1], f"{SECRET} "):
        assert hoodies.provision(secret=secret, username="mallory").problem == "secret-needed"
    body = json.dumps({**ALICE, "secret": "wrong"}).encode()
    assert hoodies.ask("POST", "/deprovision", body, Content_Type="application/json").status == 401
    path = "/api/v1/provisions/hoodie/alice.shop"
    for method in ("GET", "DELETE"):
        assert hoodies.ask(method, path).status == 401
        assert hoodies.ask(method, path, Authorization="Bearer wrong").status == 401
    assert hoodies.rows() == ["hoodie/alice.shop"]


def test_the_listener_for_callers_elsewhere_serves_nothing_else(hoodies: Hoodies) -> None:
    for path in ("/", "/stats", "/metrics", "/api/v1/stacks", "/api/v1/provisions", "/readyz"):
        assert hoodies.ask("GET", path, Authorization=f"Bearer {TOKEN}").status == 404
    assert hoodies.ask("GET", "/healthz").status == 200


def test_names_that_are_more_than_names_are_refused_by_field(hoodies: Hoodies) -> None:
    for field, value in (
        ("username", "alice'; DROP TABLE provisions; --"),
        ("username", "alice.shop"),
        ("username", "../../etc"),
        ("appname", "shop.hoodies.localhost\r\nX-Evil: 1"),
        ("appname", "Shop"),
        ("appname", "${PASSWORD}"),
        ("emailaddress", "alice@example.com\nBcc: everybody"),
        ("emailaddress", "$(reboot)@example.com"),
    ):
        answer = hoodies.provision(**{field: value})
        assert (answer.status, answer.problem) == (422, "invalid-fields")
        assert [error["field"] for error in json.loads(answer.body)["errors"]] == [field]
    assert hoodies.rows() == []


def test_fifty_at_once_make_one(hoodies: Hoodies) -> None:
    body = json.dumps({**ALICE, "secret": SECRET}).encode()

    async def all_of_them() -> list[Response]:
        return await asyncio.gather(*(hoodies.asking("POST", "/provision", body) for _ in range(50)))

    answers = asyncio.run(all_of_them())
    assert sorted(answer.status for answer in answers) == [200] * 49 + [201]
    assert len([answer for answer in answers if json.loads(answer.body)["password"]]) == 1
    assert hoodies.rows() == ["hoodie/alice.shop"]


def test_a_gateway_that_is_killed_forgets_nobody_and_finishes_what_was_begun(hoodies: Hoodies) -> None:
    made = json.loads(hoodies.provision("?wait=30s").body)
    hoodies.provision(username="bob", ttl="1s")
    before = json.loads(hoodies.visit().body)
    hoodies.process.kill()
    hoodies.process.start()
    after = json.loads(hoodies.visit().body)
    assert (after["pid"], after["visits"], after["ADMIN"]) == (before["pid"], 2, f"alice:{made['password']}")
    assert json.loads(hoodies.provision().body)["password"] is None
    eventually(lambda: hoodies.rows() == ["hoodie/alice.shop"], what="the end of what had an end")
    assert hoodies.visit("shop.bob").problem == "not-provisioned"


def test_a_stack_that_does_not_start_is_provisioned_all_the_same(hoodies: Hoodies, repository: Repository) -> None:
    repository.commit("broken", "raise SystemExit('it has no shoes')")
    answer = hoodies.provision("?wait=30s")
    said = json.loads(answer.body)
    assert answer.status == 202
    assert "did not start" in said["failure"]
    assert len(said["password"]) == 32
    eventually(lambda: hoodies.process.state("alice.shop") == "failed", what="the end of the start")
    repository.commit("mended", APPLICATION)
    answer = hoodies.provision("?wait=30s")
    assert (answer.status, json.loads(answer.body)["state"]) == (200, "ready")


def test_by_hand(hoodies: Hoodies) -> None:
    running = hoodies.process
    said = typed(running, "provision", "hoodie", "alice", "shop", "--email", "alice@example.com", "--wait", "30s").splitlines()
    assert said[:2] == ["hoodie/alice.shop: ready", f"url: http://shop.alice.hoodies.localhost:{running.port}"]
    assert said[2].startswith("password: ")
    assert len(typed(running, "provision", "hoodie", "alice", "shop", "--email", "alice@example.com").splitlines()) == 2
    [head, row] = typed(running, "ls").splitlines()
    assert head.split() == ["STACK", "STATE", "OWNER", "CREATED", "EXPIRES", "URL"]
    assert row.split()[:3] == ["hoodie/alice.shop", "ready", "alice@example.com"]
    assert "alice.shop" in typed(running, "ps")
    assert "appname" in typed(running, "provision", "hoodie", "alice", status=1)
    key = str(Key("hoodie", "alice.shop"))
    assert typed(running, "deprovision", key) == f"{key}: removed\n"
    assert typed(running, "deprovision", key) == f"{key}: was not provisioned\n"
    assert len(typed(running, "ls").splitlines()) == 1
