"""Control groups that bound the memory of what is in them (Linux: cgroups(7), admin-guide/cgroup-v1/memory and cgroup-v2).

There are two versions. A process is in a group of the one, the other, or both: then one of them is about memory. What is in a
group is bounded by the groups around it as well.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from math import inf
from pathlib import Path, PurePosixPath

from attrs import frozen

from ..core.pressure import Memory


@frozen
class Group:
    """A control group that may have a limit. The files in which it says so, as strings."""

    limits: tuple[str, ...]
    usage: str  # with the page cache
    details: str
    cache: str  # in ``details``: that part of the page cache that was not used lately, of inner groups too

    def left(self, total: int) -> Memory | None:
        """None if it has no limit, or none below ``total`` (in version 1 no limit is a very large one)."""
        limit = min(map(_number, self.limits))
        if limit >= total:
            return None
        found = re.search(rf"^{self.cache} ([0-9]+)$", _text(self.details), re.MULTILINE)
        used = _number(self.usage) - (int(found[1]) if found else 0)
        return Memory(int(limit), max(0, int(limit - used)))


def around(directory: Path) -> Iterator[Group]:
    """The group of that directory, and those that it is in."""
    for one in (directory, *directory.parents):
        stat = str(one / "memory.stat")
        if (one / "memory.max").exists():
            # Above "high", what is in the group is slowed down until it takes less.
            limits = str(one / "memory.max"), str(one / "memory.high")
            yield Group(limits, str(one / "memory.current"), stat, "inactive_file")
        elif (one / "memory.limit_in_bytes").exists():
            limit, usage = str(one / "memory.limit_in_bytes"), str(one / "memory.usage_in_bytes")
            yield Group((limit,), usage, stat, "total_inactive_file")


def own(root: Path) -> Iterator[Path]:
    """The directories of this process's own groups that may be about memory, by what /proc below ``root`` says (proc(5))."""
    groups = dict(line.split(":", 2)[1:] for line in (root / "proc/self/cgroup").read_text().splitlines())
    memory = [path for controllers, path in groups.items() if "memory" in controllers.split(",")]
    unified = [path for controllers, path in groups.items() if not controllers]
    for line in (root / "proc/self/mountinfo").read_text().splitlines():
        mount, _, filesystem = line.partition(" - ")
        top, point = mount.split(" ")[3:5]
        kind, _, options = filesystem.split(" ", 2)
        for path in unified if kind == "cgroup2" else memory if kind == "cgroup" and "memory" in options.split(",") else ():
            # In a container the group may be seen by its name outside, and only what is below it is mounted.
            below = PurePosixPath(path).relative_to(top) if PurePosixPath(path).is_relative_to(top) else PurePosixPath()
            yield root / point.lstrip("/") / below


def _number(file: str) -> float:
    text = _text(file)
    return inf if text == "max\n" else int(text)


def _text(file: str) -> str:
    with open(file) as lines:
        return lines.read()
