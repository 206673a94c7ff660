"""examples/provisioned, as its README tells people to use it."""

from __future__ import annotations

import base64
import json
import os
import subprocess
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from tests.gateway import eventually, free_port

RUN = Path(__file__).parents[2] / "examples" / "provisioned" / "run"


def asked(url: str, body: bytes | None = None, **fields: str) -> tuple[int, str]:
    given = {name.replace("_", "-"): value for name, value in fields.items()}
    try:
        with urllib.request.urlopen(urllib.request.Request(url, body, given), timeout=60) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()


@contextmanager
def example(log: Path, environment: Mapping[str, str]) -> Iterator[None]:
    """It runs, until it serves and for as long as the block lasts. ``log`` is what it says on a terminal."""
    with log.open("wb") as file:
        running = subprocess.Popen([RUN], env={**os.environ, **environment}, stdout=file, stderr=file, start_new_session=True)
    try:
        eventually(lambda: f"serves tcp:{environment['PORT']}" in log.read_text(), what="the gateway")
        yield
    finally:
        running.terminate()
        assert running.wait(60) == 0


def test_notes_of_a_user_from_the_first_to_the_last(tmp_path: Path) -> None:
    port, admin, provision = (free_port() for _ in range(3))
    ports = {"PORT": str(port), "ADMIN_PORT": str(admin), "PROVISION_PORT": str(provision), "STATE": str(tmp_path / "state")}
    notes, host = f"http://127.0.0.1:{port}/", f"todo.alice.notes.localhost:{port}"
    with example(tmp_path / "log", ports):
        secret = (tmp_path / "state/secret").read_text()
        whose = {"secret": secret, "username": "alice", "appname": "todo"}
        assert asked(notes, Host=host)[0] == 404
        body = json.dumps({**whose, "emailaddress": "alice@example.com"}).encode()
        status, said = asked(f"http://127.0.0.1:{provision}/provision", body, Content_Type="application/json")
        assert (status, f'"url": "http://{host}"' in said) == (201, True)
        owner = base64.b64encode(f"alice:{json.loads(said)['password']}".encode()).decode()
        assert asked(notes, b"hm", Host=host, Authorization="Basic eDp5")[0] == 401
        assert asked(notes, b"buy a train", Host=host, Authorization=f"Basic {owner}")[0] == 201
    with example(tmp_path / "another log", ports):
        assert (tmp_path / "another log").read_text().startswith("Nobody has anything yet")
        assert asked(notes, Host=host) == (200, "The notes of alice in todo:\n- buy a train\n")
        form = "&".join(f"{name}={value}" for name, value in whose.items()).encode()
        assert asked(f"http://127.0.0.1:{provision}/deprovision", form)[0] == 200
        assert asked(notes, Host=host)[0] == 404
