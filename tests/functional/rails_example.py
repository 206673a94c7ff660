"""examples/rails-mysql, built and pushed to the tests' registry."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest
from attrs import frozen

from tests.testbed.client import Engine, Registry
from tests.testbed.errors import Unavailable
from tests.testbed.fixtures import without

EXAMPLE = Path(__file__).parents[2] / "examples" / "rails-mysql"
ITS_REGISTRY = "127.0.0.1:5000"  # what the committed files say


@frozen
class RailsExample:
    """Two versions in the registry, and the example's files with the registry's name in them."""

    first: str  # tag of "Search cases": four cases, ten queries, blue
    second: str  # tag of "Relevance scoreboard": six cases, fourteen queries, red
    directory: Path  # gateway.toml, compose.yaml

    @property
    def configuration(self) -> str:
        """[limits] and [apps.quepid] of its gateway.toml, with an absolute path to the template."""
        everything = (self.directory / "gateway.toml").read_text()
        apps = everything[everything.index("[limits]") :]
        return apps.replace('"compose.yaml"', f'"{self.directory / "compose.yaml"}"')


@pytest.fixture(scope="session")
def rails_example(engine: Engine, registry: Registry, tmp_path_factory: pytest.TempPathFactory) -> RailsExample:
    """Takes a minute and a half on a fresh engine, and seconds on one that has built it before."""
    versions = ("db139cf", "7e04b2a")
    environment = {**os.environ, "DOCKER_HOST": engine.url, "REGISTRY": registry.url, "VERSIONS": " ".join(versions)}
    built = subprocess.run([EXAMPLE / "build"], env=environment, stdin=subprocess.DEVNULL, capture_output=True, text=True)
    if built.returncode:
        without(Unavailable(f"examples/rails-mysql/build failed:\n{built.stdout[-2000:]}{built.stderr[-2000:]}"))
    directory = tmp_path_factory.mktemp("rails-mysql")
    for name in ("gateway.toml", "compose.yaml"):
        (directory / name).write_text((EXAMPLE / name).read_text().replace(ITS_REGISTRY, registry.url))
    return RailsExample(*versions, directory)
