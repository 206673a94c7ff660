"""The fake keeps what IVersions promises."""

from __future__ import annotations

from hashlib import sha1

import pytest

from grandcentral.core.model import Version
from grandcentral.errors import RegistryUnavailable
from grandcentral.versions.memory import MemoryVersions

from ..contracts.versions import VersionsContract


class MemoryHarness:
    def __init__(self) -> None:
        self.versions = MemoryVersions()

    async def publish(self) -> str:
        return self._add(sha1(str(len(self.versions.versions)).encode()).hexdigest())

    async def branch(self, branch: str) -> str:
        self.versions.branches[branch] = await self.publish()
        return self.versions.branches[branch]

    async def twins(self) -> tuple[str, str]:
        return self._add("abcdef1" + "0" * 33), self._add("abcdef1" + "1" * 33)

    async def away(self, away: bool) -> None:
        self.versions.away = RegistryUnavailable("registry.test does not answer.") if away else None

    def forget(self) -> None:
        pass

    def _add(self, name: str) -> str:
        self.versions.versions[name] = Version(name, image=f"registry.test/app:{name}", digest=f"sha256:{name}")
        return name


@pytest.fixture
def harness() -> MemoryHarness:
    return MemoryHarness()


class TestMemoryVersions(VersionsContract):
    pass


def test_a_failure_can_be_scripted_for_one_name(harness: MemoryHarness) -> None:
    broken = RegistryUnavailable("registry.test answers nonsense.", bad_gateway=True)
    harness.versions.versions["deadbee"] = broken
    assert harness.versions.resolve("deadbee").addErrback(lambda failure: failure.value).result is broken
    assert harness.versions.asked == ["deadbee"]
