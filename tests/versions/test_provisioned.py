"""Names that were provisioned: there exactly as long as their row is, and running what all of the app run."""

from __future__ import annotations

import sqlite3

import pytest
import pytest_twisted
from attrs import evolve
from twisted.internet.defer import Deferred
from zope.interface.verify import verifyObject

from grandcentral.core.keys import Key
from grandcentral.core.model import Version
from grandcentral.errors import ManifestUnavailable, NotProvisioned, RegistryUnavailable, UnknownVersion
from grandcentral.interfaces import IVersions
from grandcentral.manifests.memory import MemoryManifest
from grandcentral.problems import problem
from grandcentral.versions.memory import MemoryVersions
from grandcentral.versions.provisioned import ProvisionedVersions

from ..contracts.manifest import NOW, Wall, provision, wall

__all__ = ["wall"]  # a fixture


@pytest.fixture
def manifest() -> MemoryManifest:
    manifest = MemoryManifest()
    manifest.open()
    return manifest


@pytest.fixture
def versions(manifest: MemoryManifest, wall: Wall) -> ProvisionedVersions:
    return ProvisionedVersions("app", manifest, wall)


def test_they_are_versions(versions: ProvisionedVersions) -> None:
    verifyObject(IVersions, versions)


@pytest_twisted.ensureDeferred
async def test_a_name_is_there_from_the_moment_its_row_is(manifest: MemoryManifest, versions: ProvisionedVersions) -> None:
    with pytest.raises(UnknownVersion):
        await versions.resolve("alice.shop")
    await manifest.provision(provision())
    assert await versions.resolve("alice.shop") == await versions.head("alice.shop") == Version("alice.shop")
    await manifest.end_provision(provision().key)
    with pytest.raises(NotProvisioned) as caught:
        await versions.resolve("alice.shop")
    assert problem(caught.value)["status"] == 404
    assert problem(caught.value)["key"] == "app/alice.shop"


@pytest_twisted.ensureDeferred
@pytest.mark.parametrize("name", ["alice", "alice.shop2", "alice.sho", "shop.alice", "ALICE.shop", "a' OR 1=1", "%", "", "*"])
async def test_no_other_spelling_leads_to_it(manifest: MemoryManifest, versions: ProvisionedVersions, name: str) -> None:
    await manifest.provision(provision())
    await manifest.provision(provision(app="other", name="bob.shop"))
    with pytest.raises(NotProvisioned) as caught:
        await versions.resolve(name)
    assert caught.value.key == Key("app", name)


@pytest_twisted.ensureDeferred
async def test_it_ends_when_its_row_does(manifest: MemoryManifest, versions: ProvisionedVersions, wall: Wall) -> None:
    await manifest.provision(provision(expires=NOW + 10))
    wall.now = NOW + 9.9
    assert (await versions.resolve("alice.shop")).name == "alice.shop"
    wall.now = NOW + 10
    with pytest.raises(NotProvisioned):
        await versions.resolve("alice.shop")


@pytest_twisted.ensureDeferred
async def test_where_nobody_can_look_it_is_unavailable_and_not_unknown(
    manifest: MemoryManifest, versions: ProvisionedVersions
) -> None:
    await manifest.provision(provision())
    manifest.broken = sqlite3.OperationalError("disk I/O error")
    with pytest.raises(ManifestUnavailable, match="disk I/O error") as caught:
        await versions.resolve("alice.shop")
    assert (caught.value.status, caught.value.retry_after) == (503, 5)


@pytest_twisted.ensureDeferred
async def test_all_of_them_run_what_the_app_runs_under_names_of_their_own(manifest: MemoryManifest, wall: Wall) -> None:
    image = Version("", image="r.test/hoodie:1", digest="sha256:1")
    others = MemoryVersions({"": image})
    versions = ProvisionedVersions("app", manifest, wall, lambda: others.resolve(""), others)
    for row in (provision("alice.shop"), provision("bob.shop")):
        await manifest.provision(row)
        assert await versions.resolve(row.key.name) == evolve(image, name=row.key.name)
    versions.pushed("alice.shop")
    assert others.told == [""]


@pytest_twisted.ensureDeferred
async def test_no_registry_is_asked_about_a_name_that_nobody_has(manifest: MemoryManifest, wall: Wall) -> None:
    asked: list[str] = []

    def newest() -> Deferred[Version]:
        asked.append("")
        raise RegistryUnavailable("it is away.")

    versions = ProvisionedVersions("app", manifest, wall, newest)
    with pytest.raises(NotProvisioned):
        await versions.resolve("mallory.shop")
    assert asked == []
    await manifest.provision(provision())
    with pytest.raises(RegistryUnavailable):
        await versions.resolve("alice.shop")
