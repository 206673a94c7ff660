"""The rows of provisions, in SQL. Each function is one transaction's work, for the manifest's thread."""

from __future__ import annotations

import sqlite3
from typing import Any

from ..core.keys import Key
from ..core.provisions import Provision

_FIELDS = "app, name, user, appname, email, password, created, expires, ending, coalesce(request, '')"


def add(db: sqlite3.Connection, wanted: Provision) -> Provision:
    """There is one thread, so nobody comes between the look and the writing; the keys would not let him."""
    there = _one(db, "request = ?", wanted.request) if wanted.request else None
    there = there or find(db, wanted.key)
    if there is not None:
        return there
    db.execute(
        "INSERT INTO provisions (app, name, user, appname, email, password, created, expires, ending, request)"
        " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, nullif(?, ''))",
        (
            *(wanted.key.app, wanted.key.name, wanted.user, wanted.appname, wanted.email, wanted.password),
            *(wanted.created, wanted.expires, wanted.ending, wanted.request),
        ),
    )
    return wanted


def find(db: sqlite3.Connection, key: Key) -> Provision | None:
    return _one(db, "app = ? AND name = ?", key.app, key.name)


def everything(db: sqlite3.Connection) -> tuple[Provision, ...]:
    return _all(db, "ORDER BY app, name")


def over(db: sqlite3.Connection, now: float) -> tuple[Provision, ...]:
    """Asked every few seconds, so found by indexes that have these rows alone; told to sort, SQLite would read the table."""
    return tuple(sorted(_all(db, "WHERE ending = 1 OR expires <= ?", now), key=lambda row: row.key))


def prolong(db: sqlite3.Connection, key: Key, expires: float | None) -> None:
    db.execute("UPDATE provisions SET expires = ? WHERE app = ? AND name = ?", (expires, key.app, key.name))


def end(db: sqlite3.Connection, key: Key, over: float | None) -> bool:
    """One statement, so that an end which was put off meanwhile is seen."""
    changed = db.execute(
        "UPDATE provisions SET ending = 1 WHERE app = ?1 AND name = ?2 AND (?3 IS NULL OR ending = 1 OR expires <= ?3)",
        (key.app, key.name, over),
    )
    return changed.rowcount > 0


def forget(db: sqlite3.Connection, key: Key) -> None:
    db.execute("DELETE FROM provisions WHERE app = ? AND name = ? AND ending = 1", (key.app, key.name))


def _one(db: sqlite3.Connection, where: str, *values: Any) -> Provision | None:
    return next(iter(_all(db, f"WHERE {where}", *values)), None)


def _all(db: sqlite3.Connection, which: str, *values: Any) -> tuple[Provision, ...]:
    return tuple(map(_made, db.execute(f"SELECT {_FIELDS} FROM provisions {which}", values)))


def _made(row: Any) -> Provision:
    app, name, user, appname, email, password, created, expires, ending, request = row
    return Provision(Key(app, name), user, appname, email, password, created, expires, bool(ending), request)
