"""What Linux tells of memory and disks (proc(5), accounting/psi, statvfs(3))."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TypeVar

from attrs import evolve
from twisted.logger import Logger
from zope.interface import implementer

from .. import events
from ..core.pressure import Memory
from ..interfaces import IMachine
from .cgroups import Group, around, own

T = TypeVar("T")

_AVAILABLE = re.compile(r"^MemTotal: +([0-9]+) kB$.*^MemAvailable: +([0-9]+) kB$", re.MULTILINE | re.DOTALL)
_STALLED = re.compile(r"^some avg10=([0-9.]+)", re.MULTILINE)


@implementer(IMachine)
class LinuxMachine:
    """``disks``: a path on each disk that counts. ``group``: the directory of the control group that bounds stacks; None: ours.
    ``root``: where /proc and /sys are, for tests."""

    _log = Logger(namespace="grandcentral.machine")

    def __init__(self, disks: Sequence[Path], group: str | None = None, root: Path = Path("/")) -> None:
        self.disks = disks
        self._root = root
        self._unread: set[str] = set()  # what could not be read the last time
        self.bound_by(group)

    def bound_by(self, group: str | None) -> None:
        """Another group bounds stacks from now on."""
        self._group = group
        self._groups: list[Group] = []

    def memory(self) -> Memory | None:
        return self._read("memory", self._memory)

    def disk_free(self) -> int | None:
        return self._read("a disk", lambda: min(map(_free, self.disks)))

    def _memory(self) -> Memory:
        found = _AVAILABLE.search((self._root / "proc/meminfo").read_text())
        if found is None:
            raise OSError("/proc/meminfo does not say what is available; that needs Linux 3.14")
        memory = Memory(int(found[1]) * 1024, int(found[2]) * 1024, self._stalled())
        if not self._groups:  # there is none, or none yet
            self._groups = self._read("a control group", self._around) or []
        try:
            bounds = [group.left(memory.total) for group in self._groups]
        except FileNotFoundError:
            self._groups = []
            raise
        for bound in bounds:
            if bound is not None:
                total, available = min(memory.total, bound.total), min(memory.available, bound.available)
                memory = evolve(memory, total=total, available=available)
        return memory

    def _around(self) -> list[Group]:
        if self._group is None:
            return [group for directory in own(self._root) for group in around(directory)]
        directory = self._root / self._group.lstrip("/")
        os.stat(directory)
        return list(around(directory))

    def _stalled(self) -> float:
        """Not every kernel tells, and what tells may be off."""
        try:
            found = _STALLED.search((self._root / "proc/pressure/memory").read_text())
        except OSError:
            return 0.0
        return float(found[1]) if found else 0.0

    def _read(self, what: str, read: Callable[[], T]) -> T | None:
        try:
            value = read()
        except OSError as error:
            if what not in self._unread:
                self._log.warn(events.MACHINE_UNREADABLE, what=what, why=str(error))
            self._unread.add(what)
            return None
        self._unread.discard(what)
        return value


def _free(path: Path) -> int:
    found = os.statvfs(path)
    return found.f_bavail * found.f_frsize
