"""The directory of one stack, and what is written down in it so that the next gateway can take the stack over.

::

    stacks/APP@NAME/stack.json   what runs, or ran before it was stopped (Record)
    stacks/APP@NAME/tree/        the work tree
    stacks/APP@NAME/logs/        a file for each service
    data/APP@NAME/               what outlives all that, as a named volume does
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from urllib.parse import quote, unquote

from attrs import asdict, evolve, field, frozen

from ...core.keys import Key
from ...core.model import Version
from . import proc

FORMAT = 1


@frozen
class Running:
    """One service as it was started. ``pid`` is also its session, 0 for one that was stopped; ``port`` is None for a task: what
    runs once and ends."""

    pid: int
    started: int  # clock ticks since boot
    port: int | None
    stop_signal: int
    grace: float  # seconds
    wave: int = 0  # of the start: who is in a later wave is stopped earlier
    directory: str = ""  # where it was started; relative to the work tree, or absolute
    environment: Mapping[str, str] = field(factory=dict, repr=False)

    @property
    def is_task(self) -> bool:
        return self.port is None


@frozen
class Record:
    """What is known of a stack. ``launched``: it was whole, and so can be started again. ``stopped``: it has been told to stop,
    and has not been whole since."""

    key: Key
    generation: int
    version: Version
    serves: str
    boot: str  # proc.boot_id: after another boot the pids are somebody else's
    launched: bool = False
    stopped: bool = False
    services: Mapping[str, Running] = field(factory=dict)

    @property
    def up(self) -> bool:
        """Every service should be running."""
        return self.launched and not self.stopped

    def leaders(self) -> dict[int, int]:
        """The sessions of the stack: leader's pid -> when it started. None after another boot."""
        if self.boot != proc.boot_id():
            return {}
        return {service.pid: service.started for service in self.services.values() if service.pid}

    def idle(self) -> Record:
        """The same when nothing of it runs: what is kept for days must not name processes that may become somebody else's."""
        services = {name: evolve(service, pid=0, started=0) for name, service in self.services.items()}
        return evolve(self, services=services)


def dumped(record: Record) -> str:
    return json.dumps({"format": FORMAT, **asdict(record), "key": str(record.key)}, indent=1)


def loaded(text: str) -> Record:
    """The inverse. Raises ValueError, KeyError or TypeError for anything else than what ``dumped`` wrote."""
    raw = json.loads(text)
    if raw.pop("format") != FORMAT:
        raise ValueError("written by another version of the gateway")
    raw["key"] = Key.parse(raw["key"])
    raw["version"] = Version(**raw["version"])
    raw["services"] = {name: Running(**service) for name, service in raw["services"].items()}
    return Record(**raw)


@frozen
class Home:
    path: Path

    @classmethod
    def of(cls, stacks: Path, key: Key) -> Home:
        return cls(stacks / f"{quote(key.app, safe='')}@{quote(key.name, safe='')}")

    @property
    def key(self) -> Key:
        app, _, name = self.path.name.partition("@")
        return Key(unquote(app), unquote(name))

    @property
    def mark(self) -> str:
        """What tells processes of this stack from all others on the machine (proc.MARK)."""
        return str(self.path)

    @property
    def tree(self) -> Path:
        return self.path / "tree"

    @property
    def data(self) -> Path:
        return self.path.parent.with_name("data") / self.path.name

    @property
    def logs(self) -> Path:
        return self.path / "logs"

    def log(self, service: str) -> Path:
        return self.logs / f"{quote(service, safe='')}.log"

    def exists(self) -> bool:
        return self.path.exists()

    def create(self) -> None:
        """Raises OSError."""
        self.path.mkdir()
        self.tree.mkdir()
        self.logs.mkdir()
        self.keep_data()

    def keep_data(self) -> None:
        """Make the directory for data, if it is not there. Raises OSError."""
        self.data.parent.mkdir(mode=0o700, exist_ok=True)
        self.data.mkdir(mode=0o700, exist_ok=True)

    def write(self, record: Record) -> None:
        """Atomically, for a reader after our death. Not synced, as little as the stack's own files are: what a power cut undoes
        is the last half minute. Raises OSError."""
        new = self.path / "stack.json.new"
        new.write_text(dumped(record))
        new.rename(self.path / "stack.json")

    def read(self) -> Record | None:
        """None if it was never written, or not by us: then the stack is not whole."""
        try:
            return loaded((self.path / "stack.json").read_text())
        except (FileNotFoundError, NotADirectoryError, ValueError, KeyError, TypeError):
            return None

    def remove(self, data: bool) -> None:
        """Everything, directories that were made read-only too; data only if that is said, or if there is none. Blocks. Raises
        OSError."""
        _remove(self.path)
        if data:
            _remove(self.data)
        else:
            with suppress(OSError):  # it is not empty, or not there
                self.data.rmdir()


def _remove(path: Path) -> None:
    try:
        shutil.rmtree(path)
    except FileNotFoundError:
        pass
    except PermissionError:
        for directory, _, _ in os.walk(path):
            os.chmod(directory, 0o700)
        shutil.rmtree(path)
