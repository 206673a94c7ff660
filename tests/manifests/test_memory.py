"""The fake keeps what IManifest promises."""

from __future__ import annotations

import sqlite3

import pytest

from grandcentral.core.keys import Key
from grandcentral.manifests.memory import MemoryManifest

from ..contracts.manifest import RETENTION, ManifestContract, Store, Wall, wall

__all__ = ["wall"]  # a fixture


@pytest.fixture
def store(wall: Wall) -> Store:
    manifest = MemoryManifest(wall=wall, retention=RETENTION)
    return lambda: manifest


class TestMemoryManifest(ManifestContract):
    pass


def test_a_broken_manifest_fails_and_takes_nothing() -> None:
    manifest = MemoryManifest()
    manifest.open()
    manifest.broken = sqlite3.OperationalError("disk I/O error")
    assert manifest.pin(Key("app"), True).addErrback(lambda failure: failure.value).result is manifest.broken
    manifest.broken = None
    assert manifest.pins().result == {}
