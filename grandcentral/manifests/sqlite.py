"""The manifest in SQLite: one connection in a thread of its own. Writes keep their order, and the reactor never waits."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TypeVar

from attrs import astuple
from twisted.internet.defer import Deferred, fail
from twisted.internet.interfaces import IReactorFromThreads
from twisted.internet.threads import deferToThreadPool
from twisted.python.threadpool import ThreadPool
from zope.interface import implementer

from ..core.history import Start
from ..core.keys import Key
from ..core.model import Version
from ..core.provisions import Provision
from ..interfaces import IManifest
from . import provisions
from .retention import USUAL, Retention
from .schemas import Tidy, open_database, scripts

T = TypeVar("T")

_VERSION = "name, image, digest, commit_hash, branch, created"  # the fields of a Version, in order


@implementer(IManifest)
class SqliteManifest:
    """``path``: the database file; its directory exists. ``schema``: for tests of migrations."""

    def __init__(
        self,
        reactor: IReactorFromThreads,
        path: str | Path,
        schema: Sequence[str] | None = None,
        *,
        wall: Callable[[], float] = time.time,
        retention: Retention = USUAL,
    ) -> None:
        self._reactor = reactor
        self._path = Path(path)
        self._schema = scripts() if schema is None else schema
        self._wall = wall
        self._retention = retention
        self._tidied = 0.0  # wall seconds
        self._connection: sqlite3.Connection | None = None
        self._pool: ThreadPool | None = None

    # -- open and close -------------------------------------------------------------------------------------------------

    async def _open(self) -> None:
        self._pool = pool = ThreadPool(1, 1, "manifest")
        pool.start()
        try:
            self._connection = await deferToThreadPool(
                self._reactor, pool, open_database, self._path, self._schema, self._tidying()
            )
        except BaseException:
            self._pool = None
            pool.stop()
            raise

    def open(self) -> Deferred[None]:
        """Fails with schemas.Unusable, a sqlite3 error whose text says what to do."""
        return Deferred.fromCoroutine(self._open())

    async def _close(self) -> None:
        pool, connection, self._pool, self._connection = self._pool, self._connection, None, None
        if pool is None:
            return
        try:
            if connection is not None:
                await deferToThreadPool(self._reactor, pool, connection.close)
        finally:
            pool.stop()

    def close(self) -> Deferred[None]:
        """What was asked for before it is done first: there is one thread, and it takes work in order."""
        return Deferred.fromCoroutine(self._close())

    def _run(self, work: Callable[[sqlite3.Connection], T]) -> Deferred[T]:
        """``work`` in one transaction in our thread."""
        pool, connection = self._pool, self._connection
        if pool is None or connection is None:
            return fail(sqlite3.ProgrammingError("the manifest is not open"))

        def transact() -> T:
            with connection:  # commits, or rolls back and raises
                return work(connection)

        return deferToThreadPool(self._reactor, pool, transact)

    def _tidying(self) -> Tidy:
        """What forgets all that is too old, as of now."""
        self._tidied = now = self._wall()
        return lambda db: _tidy(db, now, self._retention)

    # -- IManifest ------------------------------------------------------------------------------------------------------

    def remember_version(self, app: str, version: Version) -> Deferred[None]:
        return self._run(lambda db: _remember_version(db, app, version))

    def known_versions(self, app: str, name: str) -> Deferred[tuple[Version, ...]]:
        return self._run(lambda db: _known_versions(db, app, name))

    def newest(self, app: str, branch: str) -> Deferred[Version | None]:
        return self._run(lambda db: _newest(db, app, branch))

    def pin(self, key: Key, pinned: bool, until: float | None = None) -> Deferred[None]:
        return self._run(lambda db: _pin(db, key, pinned, until))

    def pins(self) -> Deferred[dict[Key, float | None]]:
        return self._run(_pins)

    def touch(self, used: Mapping[Key, float]) -> Deferred[None]:
        """It is called as long as the gateway runs, so what is too old goes with it when it is time."""
        rows = [(key.app, key.name, when) for key, when in used.items()]
        due = abs(self._wall() - self._tidied) >= self._retention.every
        tidy = self._tidying() if due else None
        return self._run(lambda db: _touch(db, rows, tidy))

    def last_used(self) -> Deferred[dict[Key, float]]:
        return self._run(_last_used)

    def record_start(self, start: Start) -> Deferred[None]:
        return self._run(lambda db: _record_start(db, start, self._retention.starts))

    def starts(self, key: Key, limit: int) -> Deferred[tuple[Start, ...]]:
        return self._run(lambda db: _starts(db, key, limit))

    def provision(self, wanted: Provision) -> Deferred[Provision]:
        return self._run(lambda db: provisions.add(db, wanted))

    def provisioned(self, key: Key) -> Deferred[Provision | None]:
        return self._run(lambda db: provisions.find(db, key))

    def provisions(self) -> Deferred[tuple[Provision, ...]]:
        return self._run(provisions.everything)

    def provisions_over(self, now: float) -> Deferred[tuple[Provision, ...]]:
        return self._run(lambda db: provisions.over(db, now))

    def prolong(self, key: Key, expires: float | None) -> Deferred[None]:
        return self._run(lambda db: provisions.prolong(db, key, expires))

    def end_provision(self, key: Key, over: float | None = None) -> Deferred[bool]:
        return self._run(lambda db: provisions.end(db, key, over))

    def forget_provision(self, key: Key) -> Deferred[None]:
        return self._run(lambda db: provisions.forget(db, key))

    def check(self) -> Deferred[None]:
        return self._run(_check)


def _remember_version(db: sqlite3.Connection, app: str, version: Version) -> None:
    db.execute(
        f"INSERT OR REPLACE INTO versions (app, {_VERSION}, remembered) VALUES (?, ?, ?, ?, ?, ?, ?,"
        " (SELECT coalesce(max(remembered), 0) + 1 FROM versions WHERE app = ?))",
        (app, *astuple(version), app),
    )


def _known_versions(db: sqlite3.Connection, app: str, name: str) -> tuple[Version, ...]:
    """Both halves are look-ups in the primary key: a scan would cost more with every version that was ever built."""
    beginnings = [name[:length] for length in range(len(name))]
    rows = db.execute(
        f"SELECT {_VERSION} FROM versions WHERE app = ?"
        f" AND (name >= ? AND name < ? || char(0x10FFFF) OR name IN ({', '.join('?' * len(beginnings))}))"
        " ORDER BY length(name) DESC, name",
        (app, name, name, *beginnings),
    )
    return tuple(Version(*row) for row in rows)


def _newest(db: sqlite3.Connection, app: str, branch: str) -> Version | None:
    """NULL is less than any number: those whose age is not known come last."""
    row = db.execute(
        f"SELECT {_VERSION} FROM versions WHERE app = ? AND branch = ? ORDER BY created DESC, remembered DESC LIMIT 1",
        (app, branch),
    ).fetchone()
    return None if row is None else Version(*row)


def _pin(db: sqlite3.Connection, key: Key, pinned: bool, until: float | None) -> None:
    if pinned:
        db.execute("INSERT OR REPLACE INTO pins (app, name, until) VALUES (?, ?, ?)", (key.app, key.name, until))
    else:
        db.execute("DELETE FROM pins WHERE app = ? AND name = ?", (key.app, key.name))


def _pins(db: sqlite3.Connection) -> dict[Key, float | None]:
    return {Key(app, name): until for app, name, until in db.execute("SELECT app, name, until FROM pins")}


def _touch(db: sqlite3.Connection, rows: list[tuple[str, str, float]], tidy: Tidy | None) -> None:
    db.executemany("INSERT OR REPLACE INTO last_uses (app, name, used_at) VALUES (?, ?, ?)", rows)
    if tidy is not None:
        tidy(db)


def _last_used(db: sqlite3.Connection) -> dict[Key, float]:
    return {Key(app, name): used_at for app, name, used_at in db.execute("SELECT app, name, used_at FROM last_uses")}


def _record_start(db: sqlite3.Connection, start: Start, kept: int) -> None:
    """Adds one and forgets the oldest beyond those that are kept, phases with it (ON DELETE CASCADE)."""
    key = (start.key.app, start.key.name)
    number = db.execute(
        "INSERT INTO starts (app, name, generation, began, failure, depth) VALUES (?, ?, ?, ?, ?, ?)",
        (*key, start.generation, start.began, start.failure, start.depth),
    ).lastrowid
    phases = [(number, phase, seconds) for phase, seconds in start.phases.items()]
    db.executemany("INSERT INTO start_phases (start_id, phase, seconds) VALUES (?, ?, ?)", phases)
    db.execute(
        "DELETE FROM starts WHERE app = ? AND name = ? AND id <="
        " (SELECT id FROM starts WHERE app = ? AND name = ? ORDER BY id DESC LIMIT 1 OFFSET ?)",
        (*key, *key, kept),
    )


def _starts(db: sqlite3.Connection, key: Key, limit: int) -> tuple[Start, ...]:
    rows = db.execute(
        "SELECT id, generation, began, failure, depth FROM starts WHERE app = ? AND name = ? ORDER BY id DESC LIMIT ?",
        (key.app, key.name, limit),
    ).fetchall()
    return tuple(Start(key, generation, began, _phases(db, id), *rest) for id, generation, began, *rest in rows)


def _phases(db: sqlite3.Connection, start: int) -> dict[str, float]:
    return dict(db.execute("SELECT phase, seconds FROM start_phases WHERE start_id = ?", (start,)))


def _check(db: sqlite3.Connection) -> None:
    db.execute("SELECT app FROM pins LIMIT 1").fetchone()


def _tidy(db: sqlite3.Connection, now: float, retention: Retention) -> None:
    """Forget what is too old. Last uses after pins, and the others after last uses: each goes by those before it."""
    db.execute("DELETE FROM pins WHERE until < ?", (now - retention.ended,))
    db.execute(
        "DELETE FROM last_uses WHERE used_at < ? AND (app, name) NOT IN (SELECT app, name FROM pins)", (now - retention.unused,)
    )
    db.execute(f"DELETE FROM starts WHERE began < ? AND {_UNUSED}", (now - retention.unused,))
    for (app,) in db.execute("SELECT app FROM versions GROUP BY app HAVING count(*) > ?", (retention.versions,)).fetchall():
        db.execute(
            f"DELETE FROM versions WHERE app = ? AND {_UNUSED} AND remembered <"
            " (SELECT remembered FROM versions WHERE app = ? ORDER BY remembered DESC LIMIT 1 OFFSET ?)",
            (app, app, retention.versions - 1),
        )


_UNUSED = "(app, name) NOT IN (SELECT app, name FROM pins UNION ALL SELECT app, name FROM last_uses)"
