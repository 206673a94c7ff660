"""Opening the database file: created whole, migrated with a backup, refused with a remedy. Blocking: for the manifest's thread.

The schema is the sequence of ``schema/NNNN-*.sql``; ``PRAGMA user_version`` says how many of them a file has had, and
``PRAGMA application_id`` that it is ours.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable, Sequence
from contextlib import closing, suppress
from importlib.resources import files
from pathlib import Path

APPLICATION_ID = 0x47724365  # "GrCe"
BUSY_TIMEOUT = 5.0  # seconds; a backup or a shell may hold the lock for a moment


Tidy = Callable[[sqlite3.Connection], None]


class Unusable(sqlite3.DatabaseError):
    """The file cannot be the manifest. ``str()`` says why and what to do."""


def scripts() -> tuple[str, ...]:
    """The schema scripts in order; the first makes version 1."""
    found = sorted(files(__package__).joinpath("schema").iterdir(), key=lambda entry: entry.name)
    return tuple(entry.read_text("utf-8") for entry in found if entry.name.endswith(".sql"))


def open_database(path: Path, schema: Sequence[str], tidy: Tidy) -> sqlite3.Connection:
    """The connection to an existing or new manifest, at the newest version of ``schema``, after ``tidy``. Raises Unusable.

    Nobody else may read it, nor its copies, for passwords are in it. SQLite gives a ``-wal`` the mode of its database.
    """
    try:
        if not path.exists() or path.stat().st_size == 0:
            _create(path, schema)
        _hide(path)
        connection = sqlite3.connect(path, timeout=BUSY_TIMEOUT)
        try:
            _check(connection, path, len(schema))
            _migrate(connection, path, schema)
            _configure(connection)
            with connection:
                tidy(connection)
        except BaseException:
            connection.close()
            raise
    except Unusable:
        raise
    except sqlite3.OperationalError as error:
        raise Unusable(
            f"{path} cannot be opened as the manifest: {error}. Check that the directory exists, may be written and has space,"
            " and that no other gateway uses the file."
        ) from error
    except sqlite3.DatabaseError as error:
        raise _damaged(path, str(error)) from error
    except OSError as error:
        raise Unusable(f"{path} cannot be made: {error.strerror}. Check the directory and its permissions.") from error
    return connection


def _create(path: Path, schema: Sequence[str]) -> None:
    """Make the database beside its place and rename it, so that a crash leaves nothing or the whole.

    A ``-wal`` left by a file that was deleted would be replayed into the new one: it goes first.
    """
    new = path.with_name(path.name + ".new")
    for stale in (f"{path}-wal", f"{path}-shm", new, f"{new}-journal"):
        with suppress(FileNotFoundError):
            os.unlink(stale)
    _hide(new)
    with closing(sqlite3.connect(new)) as connection:
        connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
        _apply(connection, schema, 0)
    os.replace(new, path)
    directory = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)


def _check(connection: sqlite3.Connection, path: Path, newest: int) -> None:
    if _pragma(connection, "application_id") != APPLICATION_ID:
        raise Unusable(f"{path} is a database of another program. Name another file for the manifest, or move this one away.")
    version = _pragma(connection, "user_version")
    if version > newest:
        raise Unusable(
            f"{path} was written by a newer Grand Central (its schema is version {version}, this one knows {newest})."
            f" Install the newer one again, or put the backup {path}.bak-v{newest} in its place if there is one."
        )
    if (verdict := connection.execute("PRAGMA quick_check(1)").fetchone()[0]) != "ok":
        raise _damaged(path, verdict)


def _migrate(connection: sqlite3.Connection, path: Path, schema: Sequence[str]) -> None:
    """Run the scripts that the file has not had, each in a transaction of its own, after a copy to ``PATH.bak-vN``."""
    version = _pragma(connection, "user_version")
    if version == len(schema):
        return
    backup = path.with_name(f"{path.name}.bak-v{version}")
    partial = backup.with_name(backup.name + ".new")
    _hide(partial)
    with closing(sqlite3.connect(partial)) as copy:
        connection.backup(copy)
    os.replace(partial, backup)
    try:
        _apply(connection, schema, version)
    except sqlite3.Error as error:
        raise Unusable(
            f"{path} could not be brought to schema version {len(schema)}: {error}. Nothing is lost, and {backup} is a copy"
            " from before: go back to the release before this one, and report it."
        ) from error


def _apply(connection: sqlite3.Connection, schema: Sequence[str], version: int) -> None:
    for number, script in enumerate(schema[version:], version + 1):
        try:
            connection.executescript(f"BEGIN IMMEDIATE;\n{script}\nPRAGMA user_version = {number};\nCOMMIT;")
        except sqlite3.Error:
            connection.rollback()
            raise


def _hide(path: Path) -> None:
    """Make the file if need be, and let nobody else read it. What cannot be had is told by SQLite, which tries next."""
    with suppress(OSError):
        os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))
        path.chmod(0o600)


def _configure(connection: sqlite3.Connection) -> None:
    """FULL, not NORMAL: in WAL mode NORMAL may lose the last transactions with the power, and a write that has fired is
    promised to be durable. It costs one fsync a transaction, off the reactor's thread."""
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = FULL")
    connection.execute("PRAGMA foreign_keys = ON")


def _pragma(connection: sqlite3.Connection, name: str) -> int:
    return int(connection.execute(f"PRAGMA {name}").fetchone()[0])


def _damaged(path: Path, why: str) -> Unusable:
    return Unusable(
        f"{path} is no intact SQLite database ({' '.join(why.split())}). Move it and its -wal and -shm away, put a backup"
        f" ({path}.bak-v*) in its place if there is one, and start again. Without one, pins and history are lost; running"
        " stacks are found again."
    )
