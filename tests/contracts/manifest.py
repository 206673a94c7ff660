"""What every IManifest promises. Subclass ``ManifestContract`` and give it a ``store`` fixture: a function that makes a
manifest, not open yet, on one and the same store, with the clock of the ``wall`` fixture and RETENTION.
"""

from __future__ import annotations

import sqlite3
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest
import pytest_twisted
from attrs import define, evolve
from twisted.internet.defer import gatherResults

from grandcentral.core.history import Start
from grandcentral.core.keys import Key
from grandcentral.core.model import Version
from grandcentral.core.provisions import Provision
from grandcentral.interfaces import IManifest
from grandcentral.manifests.retention import DAY, Retention

Store = Callable[[], IManifest]

RED, BLUE = Key("app", "red"), Key("app", "blue")
RETENTION = Retention(unused=90 * DAY, versions=10)
NOW = 2_000_000_000.0


@define
class Wall:
    """The wall clock: it says what a test sets."""

    now: float = NOW

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def wall() -> Wall:
    return Wall()


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


def provision(name: str = "alice.shop", app: str = "app", **more: Any) -> Provision:
    user, _, appname = name.partition(".")
    return Provision(Key(app, name), user, appname, f"{user}@example.com", f"password of {name}", NOW + 0.5, **more)


class ManifestContract:
    @pytest_twisted.ensureDeferred
    async def test_a_new_manifest_knows_nothing(self, store: Store) -> None:
        async with opened(store) as manifest:
            await manifest.check()
            assert await manifest.pins() == {}
            assert await manifest.last_used() == {}
            assert await manifest.known_versions("app", "abcdef1") == ()
            assert await manifest.newest("app", "main") is None
            assert await manifest.starts(RED, 10) == ()

    @pytest_twisted.ensureDeferred
    async def test_what_was_written_is_there_after_a_restart(self, store: Store) -> None:
        start = Start(RED, 3, NOW - 0.5, {"pull": 1.25, "ready": 0.5}, "web ended with status 1", "stopped")
        version = evolve(image("abcdef1"), branch="feature/é", created=NOW - 99.25)
        async with opened(store) as manifest:
            await manifest.pin(RED, True)
            await manifest.pin(BLUE, True, NOW + 0.25)
            await manifest.touch({RED: NOW - 0.5})
            await manifest.remember_version("app", version)
            await manifest.record_start(start)
        async with opened(store) as manifest:
            assert await manifest.pins() == {RED: None, BLUE: NOW + 0.25}
            assert await manifest.last_used() == {RED: NOW - 0.5}
            assert await manifest.known_versions("app", "abcdef1") == (version,)
            assert await manifest.newest("app", "feature/é") == version
            assert await manifest.starts(RED, 10) == (start,)

    @pytest_twisted.ensureDeferred
    async def test_a_pin_is_set_and_cleared_any_number_of_times(self, store: Store) -> None:
        async with opened(store) as manifest:
            for pinned in (True, True, False, False, True):
                await manifest.pin(RED, pinned)
                assert await manifest.pins() == ({RED: None} if pinned else {})

    @pytest_twisted.ensureDeferred
    async def test_of_the_ends_of_a_pin_the_last_one_set_counts(self, store: Store) -> None:
        async with opened(store) as manifest:
            for until in (NOW + 60, NOW + 30, None, NOW + 90):
                await manifest.pin(RED, True, until)
                assert await manifest.pins() == {RED: until}

    @pytest_twisted.ensureDeferred
    async def test_a_key_without_a_name_is_a_key(self, store: Store) -> None:
        async with opened(store) as manifest:
            await manifest.pin(Key("mail"), True)
            await manifest.touch({Key("mail"): NOW})
            assert await manifest.pins() == {Key("mail"): None}
            assert await manifest.last_used() == {Key("mail"): NOW}

    @pytest_twisted.ensureDeferred
    async def test_the_last_use_written_last_counts(self, store: Store) -> None:
        async with opened(store) as manifest:
            await manifest.touch({RED: NOW, BLUE: NOW})
            await manifest.touch({RED: NOW - 10})
            await manifest.touch({})
            assert await manifest.last_used() == {RED: NOW - 10, BLUE: NOW}

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
            assert await manifest.pins() == {RED: None}
            assert all(write.called for write in writes)

    @pytest_twisted.ensureDeferred
    async def test_close_finishes_what_is_queued(self, store: Store) -> None:
        manifest = store()
        await manifest.open()
        writes = [manifest.touch({RED: NOW + number}) for number in range(20)]
        await manifest.close()
        assert all(write.called for write in writes)
        async with opened(store) as again:
            assert await again.last_used() == {RED: NOW + 19.0}

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
        with pytest.raises(sqlite3.Error):
            await manifest.check()

    # -- what a branch has come to

    @pytest_twisted.ensureDeferred
    async def test_the_newest_version_of_a_branch_is_the_one_created_last_whichever_was_seen_last(self, store: Store) -> None:
        async with opened(store) as manifest:
            for name, branch, created in (
                ("aaaaaaa", "main", 100.0),
                ("bbbbbbb", "main", 300.5),
                ("ccccccc", "main", 200.0),
                ("ddddddd", "other", 900.0),
                ("eeeeeee", None, 999.0),
                ("fffffff", "main", None),
            ):
                await manifest.remember_version("app", evolve(image(name), branch=branch, created=created))
            await manifest.remember_version("else", evolve(image("0000000"), branch="main", created=999.0))
            newest = await manifest.newest("app", "main")
            assert newest == evolve(image("bbbbbbb"), branch="main", created=300.5)
            assert await manifest.newest("app", "mai") is None

    @pytest_twisted.ensureDeferred
    async def test_where_no_age_is_known_the_version_remembered_last_is_the_newest(self, store: Store) -> None:
        async with opened(store) as manifest:
            for name in ("aaaaaaa", "ccccccc", "bbbbbbb", "aaaaaaa"):
                await manifest.remember_version("app", evolve(image(name), branch="main"))
            newest = await manifest.newest("app", "main")
            assert newest is not None
            assert newest.name == "aaaaaaa"

    @pytest_twisted.ensureDeferred
    async def test_a_tag_that_was_moved_to_another_branch_leaves_its_branch(self, store: Store) -> None:
        async with opened(store) as manifest:
            await manifest.remember_version("app", evolve(image("latest"), branch="main", created=1.0))
            await manifest.remember_version("app", evolve(image("latest", "sha256:2"), branch="next", created=2.0))
            assert await manifest.newest("app", "main") is None

    # -- what is forgotten

    @pytest_twisted.ensureDeferred
    async def test_a_pin_that_ended_is_forgotten_at_an_opening_but_not_at_once(self, store: Store, wall: Wall) -> None:
        async with opened(store) as manifest:
            await manifest.pin(RED, True, NOW + 60)
            await manifest.pin(BLUE, True)
        wall.now += 2 * DAY
        async with opened(store) as manifest:
            assert await manifest.pins() == {RED: NOW + 60, BLUE: None}
        wall.now += 6 * DAY
        async with opened(store) as manifest:
            assert await manifest.pins() == {BLUE: None}

    @pytest_twisted.ensureDeferred
    async def test_what_was_not_used_for_very_long_is_forgotten_unless_it_is_pinned(self, store: Store, wall: Wall) -> None:
        green = Key("app", "green")
        async with opened(store) as manifest:
            await manifest.touch({RED: NOW, BLUE: NOW, green: NOW + 50 * DAY})
            await manifest.pin(BLUE, True)
            for key in (RED, BLUE, green):
                await manifest.record_start(Start(key, 1, NOW, {"ready": 1.0}))
        wall.now += 91 * DAY
        async with opened(store) as manifest:
            assert await manifest.last_used() == {BLUE: NOW, green: NOW + 50 * DAY}
            assert [len(await manifest.starts(key, 10)) for key in (RED, BLUE, green)] == [0, 1, 1]

    @pytest_twisted.ensureDeferred
    async def test_a_gateway_that_runs_for_years_forgets_as_well(self, store: Store, wall: Wall) -> None:
        async with opened(store) as manifest:
            await manifest.touch({RED: NOW})
            wall.now += 91 * DAY
            await manifest.touch({BLUE: wall.now})
            assert await manifest.last_used() == {BLUE: wall.now}

    @pytest_twisted.ensureDeferred
    async def test_within_a_day_of_the_last_time_nothing_is_looked_for(self, store: Store, wall: Wall) -> None:
        async with opened(store) as manifest:
            wall.now += 0.9 * DAY
            await manifest.touch({RED: NOW - 90 * DAY})
            assert RED in await manifest.last_used()
            wall.now += 0.1 * DAY
            await manifest.touch({})
            assert await manifest.last_used() == {}

    @pytest_twisted.ensureDeferred
    async def test_a_clock_that_is_put_back_does_not_end_the_forgetting(self, store: Store, wall: Wall) -> None:
        wall.now = NOW + 3650 * DAY
        async with opened(store) as manifest:
            wall.now = NOW
            await manifest.touch({RED: NOW - 91 * DAY})
            assert await manifest.last_used() == {}

    @pytest_twisted.ensureDeferred
    async def test_of_each_app_the_versions_remembered_last_are_kept_and_those_in_use(self, store: Store) -> None:
        async with opened(store) as manifest:
            for number in range(15):
                await manifest.remember_version("app", image(f"v{number:02}"))
            await manifest.remember_version("app", image("v00"))
            await manifest.remember_version("other", image("v01"))
            await manifest.pin(Key("app", "v02"), True)
            await manifest.touch({Key("app", "v03"): NOW})
        async with opened(store) as manifest:
            kept = sorted(version.name for version in await manifest.known_versions("app", ""))
            assert kept == ["v00", "v02", "v03", *(f"v{number:02}" for number in range(6, 15))]
            assert await manifest.known_versions("other", "") == (image("v01"),)

    # -- provisions

    @pytest_twisted.ensureDeferred
    async def test_a_provision_is_there_whole_after_a_restart(self, store: Store) -> None:
        odd = provision("é'; --", app="b", request="2")
        rows = (provision("alice.blog"), provision(expires=NOW + 99.25, request="a/1"), odd)
        async with opened(store) as manifest:
            assert await manifest.provisioned(rows[0].key) is None
            assert await manifest.provisions() == ()
            for row in reversed(rows):
                assert await manifest.provision(row) == row
        async with opened(store) as manifest:
            assert await manifest.provisions() == rows
            assert [await manifest.provisioned(row.key) for row in rows] == list(rows)
            assert await manifest.provisioned(Key("app", "alice")) is None
            assert await manifest.provisioned(Key("app", "ALICE.shop")) is None

    @pytest_twisted.ensureDeferred
    async def test_of_all_who_want_one_name_the_first_gets_it(self, store: Store) -> None:
        wanted = [evolve(provision(), password=str(number)) for number in range(50)]
        async with opened(store) as manifest:
            answers = await gatherResults([manifest.provision(one) for one in wanted])
            assert set(answers) == {wanted[0]}
            assert await manifest.provisions() == (wanted[0],)

    @pytest_twisted.ensureDeferred
    async def test_one_request_makes_one_row(self, store: Store) -> None:
        first, other = provision(request="r"), provision("alice.blog", request="r")
        async with opened(store) as manifest:
            await manifest.provision(first)
            assert await manifest.provision(other) == first
            assert await manifest.provisions() == (first,)
            assert await manifest.provision(evolve(other, request="")) == evolve(other, request="")
            assert await manifest.provision(provision("bob.shop")) == provision("bob.shop"), "no request is not a request"

    @pytest_twisted.ensureDeferred
    async def test_those_are_over_that_have_expired_or_are_being_taken_back(self, store: Store) -> None:
        soon, late, ever = provision("a", expires=NOW), provision("b", expires=NOW + 1), provision("c")
        async with opened(store) as manifest:
            for row in (ever, late, soon):
                await manifest.provision(row)
            assert await manifest.provisions_over(NOW - 0.5) == ()
            assert await manifest.provisions_over(NOW) == (soon,)
            await manifest.end_provision(ever.key)
            assert await manifest.provisions_over(NOW) == (soon, evolve(ever, ending=True))
            assert [row.lives(NOW) for row in await manifest.provisions()] == [False, True, False]

    @pytest_twisted.ensureDeferred
    async def test_an_end_can_be_put_off(self, store: Store) -> None:
        async with opened(store) as manifest:
            await manifest.provision(provision(expires=NOW))
            for expires in (NOW + 5, None, NOW + 0.25):
                await manifest.prolong(provision().key, expires)
                assert await manifest.provisions() == (provision(expires=expires),)
            await manifest.prolong(Key("app", "nobody"), NOW)
            assert len(await manifest.provisions()) == 1

    @pytest_twisted.ensureDeferred
    async def test_what_is_over_is_taken_back_unless_its_end_was_put_off_meanwhile(self, store: Store) -> None:
        row = provision(expires=NOW)
        async with opened(store) as manifest:
            await manifest.provision(row)
            await manifest.prolong(row.key, NOW + 5)
            assert not await manifest.end_provision(row.key, over=NOW)
            assert await manifest.provisioned(row.key) == evolve(row, expires=NOW + 5)
            assert await manifest.end_provision(row.key, over=NOW + 5)
            await manifest.prolong(row.key, None)
            assert await manifest.end_provision(row.key, over=NOW), "what has begun goes on"
            assert not await manifest.end_provision(Key("app", "nobody"))

    @pytest_twisted.ensureDeferred
    async def test_only_what_is_being_taken_back_is_forgotten(self, store: Store) -> None:
        row = provision(request="r")
        async with opened(store) as manifest:
            await manifest.provision(row)
            await manifest.provision(provision("alice.blog"))
            await manifest.forget_provision(row.key)
            assert await manifest.provisioned(row.key) == row
            await manifest.end_provision(row.key)
            await manifest.end_provision(Key("app", "nobody"))
            assert await manifest.provision(row) == evolve(row, ending=True), "until it is gone nobody gets the name"
            for _ in range(2):
                await manifest.forget_provision(row.key)
            assert await manifest.provisions() == (provision("alice.blog"),)
            again = evolve(row, password="another")
            assert await manifest.provision(again) == again

    @pytest_twisted.ensureDeferred
    async def test_years_do_not_end_a_provision(self, store: Store, wall: Wall) -> None:
        rows = (provision(expires=NOW), provision("bob.shop"))
        async with opened(store) as manifest:
            for row in rows:
                await manifest.provision(row)
        wall.now += 3650 * DAY
        async with opened(store) as manifest:
            assert await manifest.provisions() == rows
