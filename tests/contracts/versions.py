"""What every IVersions promises. Subclass ``VersionsContract`` in a test module and give it a ``harness`` fixture."""

from __future__ import annotations

from typing import Protocol

import pytest
import pytest_twisted
from twisted.internet.defer import CancelledError, gatherResults

from grandcentral.core.keys import Key
from grandcentral.errors import AmbiguousVersion, RegistryUnavailable, UnknownVersion
from grandcentral.interfaces import IVersions


class Harness(Protocol):
    """How the suite makes versions come and go behind one IVersions of the app "app", whose versions are git hashes."""

    versions: IVersions

    async def publish(self) -> str:
        """Make a new version; its full name, 40 hex digits."""

    async def twins(self) -> tuple[str, str]:
        """Make two versions whose full names share their first 7 digits, and perhaps more."""

    async def branch(self, branch: str) -> str:
        """Make a new version on that branch; its full name."""

    async def away(self, away: bool) -> None:
        """Make the registry or repository impossible to ask, or possible again."""

    def forget(self) -> None:
        """Let so much time pass that no cached answer is fresh."""


ABSENT = "0123456789abcdef0123456789abcdef01234567"


class VersionsContract:
    @pytest_twisted.ensureDeferred
    async def test_a_version_resolves_to_a_name_that_resolves_to_itself(self, harness: Harness) -> None:
        name = await harness.publish()
        version = await harness.versions.resolve(name)
        again = await harness.versions.resolve(version.name)
        assert name.startswith(version.name)
        assert again == version

    @pytest_twisted.ensureDeferred
    async def test_a_version_says_what_to_start(self, harness: Harness) -> None:
        version = await harness.versions.resolve(await harness.publish())
        assert version.digest or version.commit

    @pytest_twisted.ensureDeferred
    async def test_short_and_long_forms_of_one_commit_are_one_version(self, harness: Harness) -> None:
        name = await harness.publish()
        await harness.publish()
        found = [await harness.versions.resolve(spelling) for spelling in (name[:7], name, name[:12], name[:39])]
        assert len(set(found)) == 1

    @pytest_twisted.ensureDeferred
    async def test_a_version_that_is_not_there_is_unknown_and_the_error_says_which(self, harness: Harness) -> None:
        await harness.publish()
        with pytest.raises(UnknownVersion) as caught:
            await harness.versions.resolve(ABSENT)
        assert caught.value.key == Key("app", ABSENT)

    @pytest_twisted.ensureDeferred
    async def test_digits_that_begin_two_versions_are_ambiguous_and_the_error_names_both(self, harness: Harness) -> None:
        one, other = await harness.twins()
        with pytest.raises(AmbiguousVersion) as caught:
            await harness.versions.resolve(one[:7])
        assert caught.value.label == one[:7]
        assert sorted(caught.value.candidates) == sorted((one, other))

    @pytest_twisted.ensureDeferred
    async def test_enough_digits_tell_twins_apart(self, harness: Harness) -> None:
        one, other = await harness.twins()
        assert (await harness.versions.resolve(one)).name != (await harness.versions.resolve(other)).name

    @pytest_twisted.ensureDeferred
    async def test_a_version_resolved_once_still_resolves_while_nobody_can_be_asked(self, harness: Harness) -> None:
        name = await harness.publish()
        version = await harness.versions.resolve(name)
        await harness.away(True)
        harness.forget()
        assert await harness.versions.resolve(name) == version

    @pytest_twisted.ensureDeferred
    async def test_what_cannot_be_asked_about_is_unavailable_and_not_unknown(self, harness: Harness) -> None:
        name = await harness.publish()
        await harness.away(True)
        for spelling in (name, ABSENT):
            with pytest.raises(RegistryUnavailable):
                await harness.versions.resolve(spelling)

    @pytest_twisted.ensureDeferred
    async def test_an_absence_of_the_registry_is_not_remembered(self, harness: Harness) -> None:
        name = await harness.publish()
        await harness.away(True)
        with pytest.raises(RegistryUnavailable):
            await harness.versions.resolve(name)
        await harness.away(False)
        assert name.startswith((await harness.versions.resolve(name)).name)

    @pytest_twisted.ensureDeferred
    async def test_the_head_of_a_branch_is_its_newest_version(self, harness: Harness) -> None:
        for branch in ("main", "feature/x", "main"):
            name = await harness.branch(branch)
            assert (await harness.versions.head(branch)).name == name

    @pytest_twisted.ensureDeferred
    async def test_a_branch_that_is_not_there_is_unknown_and_the_error_says_which(self, harness: Harness) -> None:
        await harness.branch("feature/x")
        for name in ("feature", "feature/*", "*", "--all"):
            with pytest.raises(UnknownVersion) as caught:
                await harness.versions.head(name)
            assert caught.value.key == Key("app", name)

    @pytest_twisted.ensureDeferred
    async def test_all_who_ask_at_once_get_the_same_answer(self, harness: Harness) -> None:
        name = await harness.publish()
        found = await gatherResults([harness.versions.resolve(name) for _ in range(20)])
        assert len(set(found)) == 1

    @pytest_twisted.ensureDeferred
    async def test_one_who_gives_up_takes_nothing_from_the_others(self, harness: Harness) -> None:
        name = await harness.publish()
        leaver, stayer = harness.versions.resolve(name), harness.versions.resolve(name)
        leaver.addErrback(lambda failure: failure.trap(CancelledError))
        leaver.cancel()
        assert name.startswith((await stayer).name)
