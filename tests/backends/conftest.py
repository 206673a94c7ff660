"""What the tests of the process backend share."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_twisted

from grandcentral.backends.process import launching

from .process_world import Repository, World, mentions


@pytest_twisted.async_yield_fixture
async def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[World]:
    """A backend that is open, and leaves nothing."""
    monkeypatch.setattr(launching, "LISTENS_WITHIN", 0.05)  # most services here listen nowhere, and no start need wait for them
    world = World(Repository(tmp_path / "repository"), tmp_path / "state")
    await world.backend.open()
    yield world
    for found in await world.backend.survey():
        await world.backend.halt(found.key, grace=False)
    await world.backend.close()
    left = [pid for pid in map(int, filter(str.isdigit, os.listdir("/proc"))) if mentions(pid, str(tmp_path))]
    assert left == [], "processes left behind"
