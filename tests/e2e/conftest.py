"""A repository of small versions, and a gateway over it: everything here runs without a Docker engine."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.gateway import GatewayProcess, gateway

APPLICATION = (Path(__file__).parent / "application.py").read_text()


class Repository:
    """A Git repository in which every commit is a version of the test application."""

    def __init__(self, path: Path) -> None:
        self.path = path
        path.mkdir()
        self.git("init", "--quiet")

    def git(self, *arguments: str) -> str:
        identity = ("-c", "user.name=T", "-c", "user.email=t@example.com")
        return subprocess.run(
            ["git", *identity, *arguments], cwd=self.path, check=True, capture_output=True, text=True
        ).stdout.strip()

    def commit(self, message: str, application: str = APPLICATION) -> str:
        """The full hash of a version whose pages say ``message``."""
        (self.path / "application.py").write_text(application)
        (self.path / "message").write_text(message)
        self.git("add", "--all")
        self.git("commit", "--quiet", "--message", message)
        return self.git("rev-parse", "HEAD")


@pytest.fixture
def repository(tmp_path: Path) -> Repository:
    return Repository(tmp_path / "repository")


Serve = Callable[..., GatewayProcess]


@pytest.fixture
def serve(tmp_path: Path, repository: Repository) -> Iterator[Serve]:
    """Starts a gateway over the repository, with more configuration if given; everything it started is stopped at the end."""
    with ExitStack() as stack:

        def start(more: str = "", app: str = "", workers: int = 0) -> GatewayProcess:
            home = tmp_path / "gateway"
            home.mkdir(exist_ok=True)
            configuration = (
                f'[apps.app]\nhost = "{{version}}.review.localhost"\nversion = "git-hash"\ngit = "{repository.path}"\n'
                f'command = "exec python3 application.py"\n{app}\n{more}'
            )
            running = stack.enter_context(gateway(home, configuration, workers=workers))
            stack.callback(stop_everything, running)
            return running

        yield start


def stop_everything(running: GatewayProcess) -> None:
    if running.process is None or running.process.poll() is not None:
        running.start()
    for name in running.stacks():
        running.admin(f"/api/v1/stacks/app/{name}/stop?wait=30s", "POST")
