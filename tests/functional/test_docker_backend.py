"""The Docker backend on a real engine: the contract of every backend, and what is its own."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.contracts.backend import BackendContract
from tests.testbed.client import Engine

from .docker_harness import DockerHarness


@pytest.fixture
def harness(engine: Engine, busybox: str, tmp_path: Path) -> Iterator[DockerHarness]:
    harness = DockerHarness(engine.url, busybox, tmp_path)
    yield harness
    harness.close()


class TestDockerBackendContract(BackendContract):
    pass
