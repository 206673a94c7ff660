"""What every IManifest promises. Subclass ``ManifestContract`` and give it a ``store`` fixture: a function that makes a
manifest, not open yet, on one and the same store.
"""

from __future__ import annotations

import sqlite3
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import pytest
import pytest_twisted

from grandcentral.core.history import Start
from grandcentral.core.keys import Key
from grandcentral.core.model import Version
from grandcentral.interfaces import IManifest

Store = Callable[[], IManifest]

RED, BLUE = Key("app", "red"), Key("app", "blue")


@asynccontextmanager
async def opened(store: Store) -> AsyncIterator[IManifest]:
    manifest = store()
    await manifest.open()
    try:
        yield manifest
    finally:
        await manifest.close()


def image(name: str, digest: str = "sha256:1") -> Version:
    return Version(name, image=f"registry.test/app:{name}", digest=digest)


class ManifestContract:
    @pytest_twisted.ensureDeferred
    async def test_a_new_manifest_knows_nothing(self, store: Store) -> None:
        async with opened(store) as manifest:
            assert await manifest.pins() == frozenset()
            assert await manifest.last_used() == {}
            assert await manifest.known_versions("app", "abcdef1") == ()
            assert await manifest.starts(RED, 10) == ()

    @pytest_twisted.ensureDeferred
    async def test_what_was_written_is_there_after_a_restart(self, store: Store) -> None:
        start = Start(RED, 3, 1000.5, {"pull": 1.25, "ready": 0.5}, "web ended with status 1")
        async with opened(store) as manifest:
            await manifest.pin(RED, True)
            await manifest.touch({RED: 1000.5})
            await manifest.remember_version("app", image("abcdef1"))
            await manifest.record_start(start)
        async with opened(store) as manifest:
            assert await manifest.pins() == {RED}
            assert await manifest.last_used() == {RED: 1000.5}
            assert await manifest.known_versions("app", "abcdef1") == (image("abcdef1"),)
            assert await manifest.starts(RED, 10) == (start,)

    @pytest_twisted.ensureDeferred
    async def test_a_pin_is_set_and_cleared_any_number_of_times(self, store: Store) -> None:
        async with opened(store) as manifest:
            for pinned in (True, True, False, False, True):
                await manifest.pin(RED, pinned)
                assert await manifest.pins() == ({RED} if pinned else set())

    @pytest_twisted.ensureDeferred
    async def test_a_key_without_a_name_is_a_key(self, store: Store) -> None:
        async with opened(store) as manifest:
            await manifest.pin(Key("mail"), True)
            await manifest.touch({Key("mail"): 1.0})
            assert await manifest.pins() == {Key("mail")}
            assert await manifest.last_used() == {Key("mail"): 1.0}

    @pytest_twisted.ensureDeferred
    async def test_the_last_use_written_last_counts(self, store: Store) -> None:
        async with opened(store) as manifest:
            await manifest.touch({RED: 100.0, BLUE: 100.0})
            await manifest.touch({RED: 90.0})
            await manifest.touch({})
            assert await manifest.last_used() == {RED: 90.0, BLUE: 100.0}

    @pytest_twisted.ensureDeferred
    async def test_the_newest_digest_of_a_name_replaces_the_older(self, store: Store) -> None:
        async with opened(store) as manifest:
            await manifest.remember_version("app", image("abcdef1", "sha256:old"))
            await manifest.remember_version("app", image("abcdef1", "sha256:new"))
            assert await manifest.known_versions("app", "abcdef1") == (image("abcdef1", "sha256:new"),)

    @pytest_twisted.ensureDeferred
    async def test_a_commit_is_remembered_as_well_as_an_image(self, store: Store) -> None:
        commit = Version("abcdef1", commit="abcdef1" + "0" * 33)
        async with opened(store) as manifest:
            await manifest.remember_version("app", commit)
            assert await manifest.known_versions("app", "abcdef1") == (commit,)

    @pytest_twisted.ensureDeferred
    async def test_known_versions_are_those_that_begin_or_are_begun_by_a_name_longest_first(self, store: Store) -> None:
        async with opened(store) as manifest:
            for name in ("abcdef1", "abcdef12", "abcdef12ff", "abcdef2", "abcdef11", "zz", "abcdef1é"):
                await manifest.remember_version("app", image(name))
            await manifest.remember_version("other", image("abcdef12"))

            async def known(name: str) -> list[str]:
                return [version.name for version in await manifest.known_versions("app", name)]

            assert await known("abcdef12") == ["abcdef12ff", "abcdef12", "abcdef1"]
            assert await known("abcdef1") == ["abcdef12ff", "abcdef11", "abcdef12", "abcdef1é", "abcdef1"]
            assert await known("abcdef12ffffff") == ["abcdef12ff", "abcdef12", "abcdef1"]
            assert await known("abcdef3") == []

    @pytest_twisted.ensureDeferred
    async def test_the_name_of_an_app_with_one_version_begins_everything(self, store: Store) -> None:
        async with opened(store) as manifest:
            await manifest.remember_version("app", image(""))
            await manifest.remember_version("app", image("abcdef1"))
            assert await manifest.known_versions("app", "") == (image("abcdef1"), image(""))
            assert await manifest.known_versions("app", "zz") == (image(""),)

    @pytest_twisted.ensureDeferred
    async def test_a_name_is_compared_as_text_and_not_as_a_pattern(self, store: Store) -> None:
        async with opened(store) as manifest:
            await manifest.remember_version("app", image("v1_0"))
            assert await manifest.known_versions("app", "v1%") == ()
            assert await manifest.known_versions("app", "V1_0") == ()

    @pytest_twisted.ensureDeferred
    async def test_starts_come_newest_first_whatever_the_clock_said(self, store: Store) -> None:
        async with opened(store) as manifest:
            for generation, began in ((1, 500.0), (2, 100.0), (3, 300.0)):
                await manifest.record_start(Start(RED, generation, began, {"ready": 1.0}))
            await manifest.record_start(Start(BLUE, 9, 1.0, {}))
            assert [start.generation for start in await manifest.starts(RED, 10)] == [3, 2, 1]
            assert [start.generation for start in await manifest.starts(RED, 2)] == [3, 2]
            assert await manifest.starts(BLUE, 10) == (Start(BLUE, 9, 1.0, {}),)

    @pytest_twisted.ensureDeferred
    async def test_the_last_twenty_starts_of_each_key_are_kept(self, store: Store) -> None:
        async with opened(store) as manifest:
            await manifest.record_start(Start(BLUE, 1, 0.0, {}))
            for generation in range(25):
                await manifest.record_start(Start(RED, generation, float(generation), {"pull": 1.0, "ready": 2.0}))
            assert [start.generation for start in await manifest.starts(RED, 100)] == list(range(24, 4, -1))
            assert len(await manifest.starts(BLUE, 100)) == 1

    @pytest_twisted.ensureDeferred
    async def test_writes_keep_their_order_without_being_waited_for(self, store: Store) -> None:
        async with opened(store) as manifest:
            writes = [manifest.pin(RED, number % 2 == 0) for number in range(21)]
            assert await manifest.pins() == {RED}
            assert all(write.called for write in writes)

    @pytest_twisted.ensureDeferred
    async def test_close_finishes_what_is_queued(self, store: Store) -> None:
        manifest = store()
        await manifest.open()
        writes = [manifest.touch({RED: float(number)}) for number in range(20)]
        await manifest.close()
        assert all(write.called for write in writes)
        async with opened(store) as again:
            assert await again.last_used() == {RED: 19.0}

    @pytest_twisted.ensureDeferred
    async def test_a_manifest_that_is_not_open_fails_and_does_not_hang(self, store: Store) -> None:
        manifest = store()
        with pytest.raises(sqlite3.Error):
            await manifest.pins()
        await manifest.open()
        await manifest.close()
        await manifest.close()
        with pytest.raises(sqlite3.Error):
            await manifest.pin(RED, True)
