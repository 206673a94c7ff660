"""A database for each user behind one port, provisioned over HTTP: with real Redis servers and Redis' own client."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.conftest import Repository
from tests.e2e.test_operator import typed
from tests.gateway import GatewayProcess, free_port, gateway
from tests.testbed.packages import find

SERVER = """\
exec %s --bind 127.0.0.1 --port "$PORT" --dir "$GRANDCENTRAL_DATA" --appendonly yes --save "" \\
    --user default off --user "$GRANDCENTRAL_USER" on ">$GRANDCENTRAL_PASSWORD" "~*" "&*" "+@all"
"""


@pytest.fixture(params=[0, 1], ids=["one process", "a worker"])
def running(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[GatewayProcess]:
    repository = Repository(tmp_path / "repository")
    repository.commit("redis", SERVER % find("redis-server"))
    configuration = (
        f'[apps.redis]\nlisten = "redis:{free_port()}:interface=127.0.0.1"\nprovisioned = true\ngit = "{repository.path}"\n'
        'command = "exec sh application.py"\nready = "tcp"\n'
    )
    with gateway(tmp_path, configuration, workers=request.param) as running:
        yield running
        for name in running.stacks():
            typed(running, "deprovision", f"redis/{name}")


def redis(connection: str, *command: str) -> str:
    asked = [find("redis-cli"), "--no-auth-warning", "-u", connection, *command]
    done = subprocess.run(asked, capture_output=True, text=True, timeout=60, check=False)
    return (done.stdout + done.stderr).strip()


def test_each_user_has_a_server_that_the_answer_leads_to(running: GatewayProcess) -> None:
    said = {user: dict(line.split(": ") for line in typed(running, "provision", "redis", user).splitlines()) for user in "ab"}
    assert [said[user][f"redis/{user}"] for user in "ab"] == ["cold", "cold"]
    assert {user: redis(said[user]["connection"], "SET", "mine", user) for user in "ab"} == {"a": "OK", "b": "OK"}

    typed(running, "stop", "redis/a")
    typed(running, "remove", "redis/b")
    assert {user: redis(said[user]["connection"], "GET", "mine") for user in "ab"} == {"a": "a", "b": "b"}

    stranger = said["a"]["connection"].replace("//a:", "//c:")
    assert "WRONGPASS" in redis(stranger, "GET", "mine")
    assert "WRONGPASS" in redis(said["b"]["connection"].replace("//b:", "//a:"), "GET", "mine"), "whose password is another's"
    assert running.stacks().keys() == {"a", "b"}

    typed(running, "deprovision", "redis/a")
    assert "WRONGPASS" in redis(said["a"]["connection"], "GET", "mine")
    again = json.loads(running.admin("/api/v1/provisions").body)["provisions"]
    assert [row["connection"] for row in again] == [said["b"]["connection"].replace(f":{said['b']['password']}@", "@")]
