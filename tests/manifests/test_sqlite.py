"""The manifest in SQLite: the contract, and what becomes of files that are old, new, damaged or somebody else's."""

from __future__ import annotations

import os
import re
import sqlite3
import stat
import threading
from contextlib import closing
from pathlib import Path

import pytest
import pytest_twisted
from twisted.internet import reactor

from grandcentral.core.history import Start
from grandcentral.core.keys import Key
from grandcentral.core.model import Version
from grandcentral.manifests.schemas import Unusable, open_database, scripts
from grandcentral.manifests.sqlite import SqliteManifest

from ..contracts.manifest import NOW, RED, RETENTION, ManifestContract, Store, Wall, opened, provision, wall

__all__ = ["wall"]  # a fixture

NEWEST = len(scripts())
MORE = "ALTER TABLE pins ADD COLUMN reason TEXT;"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "manifest.db"


@pytest.fixture
def store(path: Path, wall: Wall) -> Store:
    return lambda: SqliteManifest(reactor, path, wall=wall, retention=RETENTION)


class TestSqliteManifest(ManifestContract):
    pass


def query(path: Path, statement: str) -> list[tuple]:
    with closing(sqlite3.connect(path)) as connection, connection:
        return connection.execute(statement).fetchall()


def test_every_column_says_what_it_is() -> None:
    columns = [line.strip() for script in scripts() for line in script.splitlines() if re.search(" (TEXT|REAL|INTEGER)", line)]
    assert columns
    assert [line for line in columns if "--" not in line and not line.startswith(("app ", "name "))] == []


@pytest_twisted.ensureDeferred
async def test_the_journal_is_a_wal_and_a_fired_write_is_on_disk(store: Store, path: Path) -> None:
    async with opened(store) as manifest:
        settings = await manifest._run(lambda db: [db.execute(f"PRAGMA {name}").fetchone()[0] for name in (
            "journal_mode", "synchronous", "foreign_keys", "busy_timeout")])  # fmt: skip
        assert settings == ["wal", 2, 1, 5000]
        await manifest.pin(RED, True)
        assert query(path, "SELECT name FROM pins") == [("red",)]


@pytest_twisted.ensureDeferred
async def test_a_write_that_fails_leaves_nothing_of_itself(store: Store, path: Path) -> None:
    async with opened(store) as manifest:
        with pytest.raises(sqlite3.IntegrityError):
            await manifest.record_start(Start(RED, 1, 0.0, {"pull": None}))  # type: ignore[dict-item]
        assert await manifest.starts(RED, 10) == ()


@pytest_twisted.ensureDeferred
async def test_phases_of_forgotten_starts_are_forgotten(store: Store, path: Path) -> None:
    async with opened(store) as manifest:
        for generation in range(30):
            await manifest.record_start(Start(RED, generation, 0.0, {"pull": 1.0}))
    assert query(path, "SELECT count(*) FROM start_phases") == [(20,)]


@pytest_twisted.ensureDeferred
async def test_known_versions_are_found_by_the_index(store: Store) -> None:
    async with opened(store) as manifest:
        plan: list[str] = []

        def traced(db: sqlite3.Connection) -> None:
            db.set_trace_callback(plan.append)

        await manifest._run(traced)
        await manifest.known_versions("app", "abcdef1")
        (select,) = [line for line in plan if line.startswith("SELECT")]
        rows = await manifest._run(lambda db: db.execute("EXPLAIN QUERY PLAN " + select).fetchall())
        assert not [row for row in rows if row[3].startswith("SCAN versions")]


@pytest_twisted.ensureDeferred
async def test_a_closed_manifest_leaves_no_thread(store: Store) -> None:
    before = threading.active_count()
    async with opened(store):
        assert threading.active_count() == before + 1
    assert threading.active_count() == before


# -- a new file ---------------------------------------------------------------------------------------------------------


@pytest_twisted.ensureDeferred
async def test_a_half_made_file_of_a_crash_is_made_again(store: Store, path: Path) -> None:
    path.with_name("manifest.db.new").write_bytes(b"SQLite format 3\0 and then the power went")
    path.write_bytes(b"")
    async with opened(store) as manifest:
        assert await manifest.pins() == {}
    assert not path.with_name("manifest.db.new").exists()


@pytest_twisted.ensureDeferred
async def test_the_log_of_a_deleted_file_is_not_replayed_into_a_new_one(store: Store, path: Path) -> None:
    async with opened(store) as manifest:
        await manifest.pin(RED, True)
        left = path.with_name("manifest.db-wal").read_bytes()
    path.unlink()
    path.with_name("manifest.db-wal").write_bytes(left)
    async with opened(store) as manifest:
        assert await manifest.pins() == {}


@pytest_twisted.ensureDeferred
async def test_a_directory_that_is_not_there_is_named(tmp_path: Path) -> None:
    manifest = SqliteManifest(reactor, tmp_path / "absent" / "manifest.db")
    with pytest.raises(Unusable, match=r"absent/manifest\.db cannot be opened.*directory exists"):
        await manifest.open()


# -- an older, a newer, a strange one -----------------------------------------------------------------------------------


@pytest_twisted.ensureDeferred
async def test_an_older_file_is_migrated_after_a_backup(store: Store, path: Path) -> None:
    async with opened(store) as manifest:
        await manifest.pin(RED, True)
    async with opened(lambda: SqliteManifest(reactor, path, (*scripts(), MORE))) as manifest:
        assert await manifest.pins() == {RED: None}
    assert query(path, "SELECT name, reason FROM pins") == [("red", None)]
    backup = path.with_name(f"manifest.db.bak-v{NEWEST}")
    assert query(backup, "SELECT app, name FROM pins") == [("app", "red")]
    assert query(backup, "PRAGMA user_version") == [(NEWEST,)]
    assert not path.with_name(f"{backup.name}.new").exists()


@pytest_twisted.ensureDeferred
async def test_what_the_first_release_wrote_is_read_by_this_one(store: Store, path: Path) -> None:
    open_database(path, scripts()[:1], lambda db: None).close()
    query(path, "INSERT INTO pins VALUES ('app', 'red')")
    query(path, "INSERT INTO versions VALUES ('app', 'v1', 'registry.test/app:v1', 'sha256:1', NULL)")
    query(path, f"INSERT INTO last_uses VALUES ('app', 'red', {NOW})")
    async with opened(store) as manifest:
        assert await manifest.pins() == {RED: None}
        assert await manifest.known_versions("app", "v1") == (Version("v1", "registry.test/app:v1", "sha256:1"),)
        assert await manifest.last_used() == {RED: NOW}


@pytest_twisted.ensureDeferred
async def test_a_migration_that_fails_changes_nothing_and_says_where_the_copy_is(store: Store, path: Path) -> None:
    async with opened(store) as manifest:
        await manifest.pin(RED, True)
    broken = SqliteManifest(reactor, path, (*scripts(), "ALTER TABLE pins ADD COLUMN reason TEXT; DROP TABLE absent;"))
    with pytest.raises(Unusable, match=rf"no such table: absent.*manifest\.db\.bak-v{NEWEST}"):
        await broken.open()
    async with opened(store) as manifest:
        assert await manifest.pins() == {RED: None}
    assert query(path, "SELECT * FROM pins") == [("app", "red", None)]


@pytest_twisted.ensureDeferred
async def test_a_file_of_a_newer_release_is_refused_and_left_alone(store: Store, path: Path) -> None:
    async with opened(lambda: SqliteManifest(reactor, path, (*scripts(), MORE))):
        pass
    before = path.read_bytes()
    with pytest.raises(Unusable, match=rf"newer Grand Central \(its schema is version {NEWEST + 1}, this one knows {NEWEST}\)"):
        await store().open()
    assert path.read_bytes() == before


@pytest_twisted.ensureDeferred
async def test_a_database_of_another_program_is_refused(store: Store, path: Path) -> None:
    query(path, "CREATE TABLE bookmarks (url TEXT)")
    with pytest.raises(Unusable, match="a database of another program"):
        await store().open()


@pytest_twisted.ensureDeferred
async def test_a_file_that_is_no_database_is_refused_with_a_remedy(store: Store, path: Path) -> None:
    path.write_text("[gateway]\nlisten = ['tcp:80']\n" * 40)
    with pytest.raises(Unusable, match=r"no intact SQLite database .*Move it"):
        await store().open()


@pytest_twisted.ensureDeferred
async def test_a_damaged_file_is_refused_with_a_remedy(store: Store, path: Path) -> None:
    async with opened(store) as manifest:
        await manifest.touch({Key("app", f"{number:07x}"): 1.0 for number in range(2000)})
    whole = path.read_bytes()
    path.write_bytes(whole[:20000] + b"\xff" * 8192 + whole[28192:])
    with pytest.raises(Unusable, match=r"no intact SQLite database .*Move it"):
        await store().open()


@pytest_twisted.ensureDeferred
async def test_a_manifest_that_could_not_be_opened_leaves_no_thread(store: Store, path: Path) -> None:
    path.write_text("not a database" * 100)
    before = threading.active_count()
    with pytest.raises(Unusable):
        await store().open()
    assert threading.active_count() == before


# -- who may read it ----------------------------------------------------------------------------------------------------


@pytest_twisted.ensureDeferred
async def test_nobody_else_can_read_it_nor_what_lies_beside_it(store: Store, path: Path) -> None:
    before = os.umask(0o022)
    try:
        async with opened(store) as manifest:
            await manifest.provision(provision())
            modes = {beside.name: stat.S_IMODE(beside.stat().st_mode) for beside in path.parent.iterdir()}
            assert modes.keys() >= {path.name, f"{path.name}-wal"}
            assert set(modes.values()) == {0o600}
        path.chmod(0o644)  # as an earlier release left it
        async with opened(lambda: SqliteManifest(reactor, path, (*scripts(), MORE))):
            assert {stat.S_IMODE(beside.stat().st_mode) for beside in path.parent.iterdir()} == {0o600}
    finally:
        os.umask(before)


@pytest_twisted.ensureDeferred
async def test_what_is_over_is_found_by_indexes(store: Store) -> None:
    async with opened(store) as manifest:
        plan: list[str] = []
        await manifest._run(lambda db: db.set_trace_callback(plan.append))
        await manifest.provisions_over(NOW)
        [select] = [line for line in plan if line.startswith("SELECT")]
        rows = await manifest._run(lambda db: db.execute("EXPLAIN QUERY PLAN " + select).fetchall())
        assert not [row for row in rows if row[3].startswith("SCAN provisions")]
