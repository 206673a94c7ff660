"""The operator's commands against a gateway that runs, as they are typed."""

from __future__ import annotations

import json
import subprocess

from tests.gateway import COMMAND, GatewayProcess

from .conftest import Repository, Serve
from .test_gateway import host


def typed(running: GatewayProcess, *words: str, status: int = 0) -> str:
    """What the command prints; its exit status must be that one."""
    done = subprocess.run(
        [COMMAND, words[0], "--config", running.file, *words[1:]], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == status, done.stderr
    return done.stdout + done.stderr


def test_a_stack_by_hand_from_its_start_to_its_removal(repository: Repository, serve: Serve) -> None:
    commit = repository.commit("one")
    stack = f"app/{commit}"
    running = serve(app='before_stop = { web = "test ! -e locked" }\nidle = "never"')
    assert typed(running, "ps").split() == ["STACK", "STATE", "UP", "FOR", "IDLE", "FOR", "REQUESTS", "MEMORY", "URL"]

    assert typed(running, "start", stack) == f"{stack}: ready\n"
    assert running.get(host(commit)).status == 200
    [_, row] = typed(running, "ps").splitlines()
    assert row.split()[:2] == [stack, "ready"]
    assert row.split()[-1] == f"http://{commit}.review.localhost:{running.port}"
    assert typed(running, "logs", stack).startswith("web | ")

    assert typed(running, "pin", stack, "--until", "2d").startswith(f"{stack}: ready, pinned until ")
    assert typed(running, "unpin", stack) == f"{stack}: ready\n"

    assert typed(running, "stop", stack) == f"{stack}: stopped\n"
    assert [one["name"] for one in json.loads(typed(running, "ps", "--json"))["stopped"]] == [commit]
    assert typed(running, "remove", stack) == f"{stack}: cold\n"
    assert len(typed(running, "ps").splitlines()) == 1


def test_a_stack_that_cannot_save_runs_on_unless_it_is_forced(repository: Repository, serve: Serve) -> None:
    commit = repository.commit("one")
    stack = f"app/{commit}"
    running = serve(app='before_stop = { web = "echo no space left >&2; exit 1" }')
    typed(running, "start", stack)
    said = typed(running, "stop", stack, status=1)
    assert said.startswith(f"grandcentral: {stack}: {stack} runs on: ")
    assert said.endswith("| no space left\n")
    assert running.state(commit) == "ready"
    assert typed(running, "stop", "--force", stack) == f"{stack}: stopped\n"


def test_what_cannot_be_is_one_sentence(serve: Serve) -> None:
    running = serve()
    assert typed(running, "start", "nix", status=1) == "grandcentral: nix: The configuration has no app 'nix'.\n"
    assert "is a duration" in typed(running, "pin", "app/0123456", "--until", "tomorrow", status=1)
