"""Versions out of real registries: open ones, with passwords, with tokens; there and not there."""

from __future__ import annotations

import json
from base64 import b64encode
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
import pytest_twisted
from attrs import evolve
from twisted.internet import reactor
from twisted.internet.defer import Deferred, gatherResults

from grandcentral.core.model import Version
from grandcentral.errors import RegistryUnavailable, UnknownVersion
from grandcentral.manifests.memory import MemoryManifest
from grandcentral.manifests.sqlite import SqliteManifest
from grandcentral.versions.credentials import Credentials, DockerConfig, Login, login, nobody
from grandcentral.versions.registry import RegistryVersions
from tests.testbed.client import Registry
from tests.testbed.errors import Unavailable
from tests.testbed.fixtures import without

from ..contracts.versions import VersionsContract
from .registries import HTPASSWD, Ahead, OwnRegistry, TokenServer

LONG = "db139cf0123456789abcdef0123456789abcdef0"


@pytest.fixture(scope="module")
def open_registry(tmp_path_factory: pytest.TempPathFactory) -> Iterator[OwnRegistry]:
    yield from running(tmp_path_factory.mktemp("open"))


def running(place: Path, *auth: object, **options: object) -> Iterator[OwnRegistry]:
    try:
        registry = OwnRegistry.make(place, *auth, **options)  # type: ignore[arg-type]
    except Unavailable as problem:
        without(problem)
    yield registry
    registry.daemon.stop()


class Real:
    """A RegistryVersions over one new repository of a registry; also the harness of the contract."""

    def __init__(self, registry: OwnRegistry, credentials: Credentials = nobody) -> None:
        self.registry = registry
        self.repository = registry.repository()
        self.clock = Ahead()
        self.manifest = MemoryManifest()
        self.manifest.open()
        image = f"{registry.host}/{self.repository}:sha-{{version}}"
        self.told: Deferred[Version] = Deferred()
        self.versions = RegistryVersions(
            self.clock, "app", image, self.manifest, credentials=credentials, learned=self.told.callback
        )
        self._published = 0

    def push(self, name: str, content: str = "") -> str:
        return self.registry.push(self.repository, f"sha-{name}", content=content)

    async def publish(self) -> str:
        self._published += 1
        name = f"{self._published:x}{LONG[1:]}"
        self.push(name)
        return name

    async def branch(self, branch: str) -> str:
        """A version that was asked for, and said that it is of that branch."""
        version = await self.versions.resolve(await self.publish())
        await self.manifest.remember_version("app", evolve(version, branch=branch))
        return version.name

    async def twins(self) -> tuple[str, str]:
        one, other = "abcdef1" + "0" * 33, "abcdef1" + "1" * 33
        self.push(one)
        self.push(other)
        return one, other

    async def away(self, away: bool) -> None:
        if away:
            self.registry.daemon.stop()
        else:
            self.registry.daemon.start()

    def forget(self) -> None:
        self.clock.by += 3600


@pytest_twisted.async_yield_fixture
async def harness(open_registry: OwnRegistry) -> AsyncIterator[Real]:
    real = Real(open_registry)
    yield real
    await real.versions.close()
    open_registry.daemon.start()


class TestRealRegistry(VersionsContract):
    pass


@pytest_twisted.ensureDeferred
async def test_the_digest_is_the_one_that_was_pushed(harness: Real) -> None:
    digest = harness.push(LONG)
    version = await harness.versions.resolve(LONG)
    assert version.digest == digest
    assert version.image == f"{harness.registry.host}/{harness.repository}:sha-{LONG}"


@pytest_twisted.ensureDeferred
async def test_the_digest_of_an_image_for_many_platforms_is_that_of_its_index(harness: Real) -> None:
    digest = harness.registry.push_index(harness.repository, f"sha-{LONG}")
    assert (await harness.versions.resolve(LONG)).digest == digest


@pytest.mark.parametrize("indexed", [False, True])
@pytest_twisted.ensureDeferred
async def test_what_an_image_says_of_its_branch_is_known_soon_after_it_was_resolved(harness: Real, indexed: bool) -> None:
    said = {"created": "2026-11-20T13:04:05Z", "config": {"Labels": {"grandcentral.branch": "main"}}}
    push = harness.registry.push_index if indexed else harness.registry.push
    push(harness.repository, f"sha-{LONG}", **said)
    assert (await harness.versions.resolve(LONG)).branch is None
    told = await harness.told.addTimeout(10, reactor)
    version = await harness.versions.resolve(LONG)
    assert (version.branch, version.created) == ("main", 1795179845.0)
    assert await harness.manifest.newest("app", "main") == version
    assert told == version


@pytest_twisted.ensureDeferred
async def test_a_repository_that_is_not_there_has_no_versions(harness: Real) -> None:
    with pytest.raises(UnknownVersion):
        await harness.versions.resolve(LONG)


@pytest_twisted.ensureDeferred
async def test_a_moved_tag_gives_its_new_digest_later(harness: Real) -> None:
    old = harness.push(LONG, "old")
    assert (await harness.versions.resolve(LONG)).digest == old
    new = harness.push(LONG, "new")
    assert (await harness.versions.resolve(LONG)).digest == old
    harness.forget()
    assert (await harness.versions.resolve(LONG)).digest == new


@pytest_twisted.ensureDeferred
async def test_a_gateway_that_restarts_during_an_outage_starts_what_it_knew(open_registry: OwnRegistry, tmp_path: Path) -> None:
    repository = open_registry.repository()
    digest = open_registry.push(repository, LONG)

    async def ask(name: str) -> str | None:
        manifest = SqliteManifest(reactor, tmp_path / "manifest.db")
        await manifest.open()
        versions = RegistryVersions(reactor, "app", f"{open_registry.host}/{repository}:{{version}}", manifest)
        try:
            return (await versions.resolve(name)).digest
        finally:
            await versions.close()
            await manifest.close()

    assert await ask(LONG) == digest
    open_registry.daemon.stop()
    try:
        assert await ask(LONG[:9]) == digest
        with pytest.raises(RegistryUnavailable, match=f"{open_registry.host} cannot be reached") as caught:
            await ask("fffffff")
        assert caught.value.status == 503
    finally:
        open_registry.daemon.start()


@pytest_twisted.ensureDeferred
async def test_an_image_that_an_engine_pushed_has_the_digest_that_the_engine_says(registry: Registry, busybox: str) -> None:
    digest = registry.push(f"resolved:{LONG}", {"Dockerfile": f"FROM {busybox}\nCMD true\n".encode()})
    manifest = MemoryManifest()
    manifest.open()
    versions = RegistryVersions(reactor, "app", f"{registry.url}/resolved:{{version}}", manifest)
    try:
        assert (await versions.resolve(LONG[:7])).digest == digest
    finally:
        await versions.close()


# -- with a password ----------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def basic_registry(tmp_path_factory: pytest.TempPathFactory) -> Iterator[OwnRegistry]:
    place = tmp_path_factory.mktemp("basic")
    (place / "htpasswd").write_text(HTPASSWD)
    auth = {"htpasswd": {"realm": "ours", "path": str(place / "htpasswd")}}
    yield from running(place, auth, authorization=lambda repository: Login("me", "secret").basic)


@pytest_twisted.ensureDeferred
async def test_basic_credentials_open_a_registry(basic_registry: OwnRegistry) -> None:
    real = Real(basic_registry, login("me", "secret"))
    digest = real.push(LONG)
    assert (await real.versions.resolve(LONG[:7])).digest == digest
    await real.versions.close()


@pytest_twisted.ensureDeferred
async def test_credentials_of_the_docker_configuration_open_it(basic_registry: OwnRegistry, tmp_path: Path) -> None:
    entry = {"auth": b64encode(b"me:secret").decode()}
    (tmp_path / "config.json").write_text(json.dumps({"auths": {basic_registry.host: entry}}))
    real = Real(basic_registry, DockerConfig(reactor, tmp_path / "config.json"))
    digest = real.push(LONG)
    assert (await real.versions.resolve(LONG)).digest == digest
    await real.versions.close()


@pytest.mark.failure(4)
@pytest.mark.parametrize("credentials", [nobody, login("me", "wrong")], ids=["none", "wrong"])
@pytest_twisted.ensureDeferred
async def test_a_registry_that_does_not_let_us_in_is_502(basic_registry: OwnRegistry, credentials: Credentials) -> None:
    real = Real(basic_registry, credentials)
    real.push(LONG)
    for name in (LONG, "fffffff"):
        with pytest.raises(RegistryUnavailable, match=basic_registry.host) as caught:
            await real.versions.resolve(name)
        assert caught.value.status == 502
    await real.versions.close()


# -- with tokens --------------------------------------------------------------------------------------------------------


@pytest_twisted.async_yield_fixture
async def tokens(tmp_path: Path) -> AsyncIterator[TokenServer]:
    server = TokenServer(tmp_path)
    yield server
    await server.stop()


@pytest.fixture
def token_registry(tokens: TokenServer, tmp_path: Path) -> Iterator[OwnRegistry]:
    auth = tokens.start()
    yield from running(tmp_path, auth, authorization=lambda repository: f"Bearer {tokens.token(repository, 'pull', 'push')}")


@pytest_twisted.ensureDeferred
async def test_one_token_opens_a_registry_for_many_questions(token_registry: OwnRegistry, tokens: TokenServer) -> None:
    real = Real(token_registry, login("me", "secret"))
    names = [f"{number:x}{LONG[1:]}" for number in range(5)]
    pushed = [real.push(name) for name in names]
    found = await gatherResults([real.versions.resolve(name) for name in names])
    assert [version.digest for version in found] == pushed
    assert (await real.versions.resolve(names[0][:7])).digest == pushed[0]
    with pytest.raises(UnknownVersion):
        await real.versions.resolve("fffffff")
    assert tokens.asked == ["GET"]
    real.forget()
    await real.versions.resolve(names[0])
    assert tokens.asked == ["GET", "GET"]
    await real.versions.close()


@pytest_twisted.ensureDeferred
async def test_an_identity_token_is_exchanged(token_registry: OwnRegistry, tokens: TokenServer, tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text(json.dumps({"auths": {token_registry.host: {"identitytoken": "identity"}}}))
    real = Real(token_registry, DockerConfig(reactor, tmp_path / "config.json"))
    digest = real.push(LONG)
    assert (await real.versions.resolve(LONG)).digest == digest
    assert tokens.asked == ["POST"]
    await real.versions.close()


@pytest.mark.parametrize("credentials", [nobody, login("me", "wrong")], ids=["none", "wrong"])
@pytest_twisted.ensureDeferred
async def test_a_token_server_that_does_not_let_us_in_is_502(
    token_registry: OwnRegistry, tokens: TokenServer, credentials: Credentials
) -> None:
    real = Real(token_registry, credentials)
    with pytest.raises(RegistryUnavailable, match=rf"127\.0\.0\.1:{tokens.port} refuses our credentials") as caught:
        await real.versions.resolve(LONG)
    assert caught.value.status == 502
    await real.versions.close()
