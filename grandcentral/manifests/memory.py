"""The verified fake of IManifest: dictionaries, answers at once. What it holds outlives ``close``, as a file would."""

from __future__ import annotations

import sqlite3
import time
from collections import Counter
from collections.abc import Callable, Mapping
from math import inf
from typing import Any, TypeVar

from attrs import define, evolve, field
from twisted.internet.defer import Deferred, fail, succeed
from zope.interface import implementer

from ..core.history import Start
from ..core.keys import Key
from ..core.model import Version
from ..core.provisions import Provision
from ..interfaces import IManifest
from .retention import USUAL, Retention

T = TypeVar("T")


@implementer(IManifest)
@define
class MemoryManifest:
    """While ``broken`` is set, every call but open and close fails with it."""

    broken: sqlite3.Error | None = None
    _wall: Callable[[], float] = time.time
    _retention: Retention = USUAL
    _opened: bool = False
    _tidied: float = 0.0  # wall seconds
    _versions: dict[Key, Version] = field(factory=dict)  # the one remembered last is last
    _pins: dict[Key, float | None] = field(factory=dict)
    _used: dict[Key, float] = field(factory=dict)
    _starts: dict[Key, list[Start]] = field(factory=dict)
    _provisions: dict[Key, Provision] = field(factory=dict)

    def open(self) -> Deferred[None]:
        self._opened = True
        self._tidy()
        return succeed(None)

    def close(self) -> Deferred[None]:
        self._opened = False
        return succeed(None)

    def _fault(self) -> sqlite3.Error | None:
        return self.broken or (None if self._opened else sqlite3.ProgrammingError("the manifest is not open"))

    def _answer(self, answer: T) -> Deferred[T]:
        fault = self._fault()
        return succeed(answer) if fault is None else fail(fault)

    def remember_version(self, app: str, version: Version) -> Deferred[None]:
        if self._fault() is None:
            self._versions.pop(Key(app, version.name), None)
            self._versions[Key(app, version.name)] = version
        return self._answer(None)

    def known_versions(self, app: str, name: str) -> Deferred[tuple[Version, ...]]:
        found = [
            version
            for key, version in self._versions.items()
            if key.app == app and (key.name.startswith(name) or name.startswith(key.name))
        ]
        return self._answer(tuple(sorted(found, key=lambda version: (-len(version.name), version.name))))

    def newest(self, app: str, branch: str) -> Deferred[Version | None]:
        built = [version for key, version in self._versions.items() if key.app == app and version.branch == branch]
        newest = max(reversed(built), key=lambda one: -inf if one.created is None else one.created, default=None)
        return self._answer(newest)

    def pin(self, key: Key, pinned: bool, until: float | None = None) -> Deferred[None]:
        if self._fault() is None:
            if pinned:
                self._pins[key] = until
            else:
                self._pins.pop(key, None)
        return self._answer(None)

    def pins(self) -> Deferred[dict[Key, float | None]]:
        return self._answer(dict(self._pins))

    def touch(self, used: Mapping[Key, float]) -> Deferred[None]:
        if self._fault() is None:
            self._used.update(used)
            if abs(self._wall() - self._tidied) >= self._retention.every:
                self._tidy()
        return self._answer(None)

    def last_used(self) -> Deferred[dict[Key, float]]:
        return self._answer(dict(self._used))

    def record_start(self, start: Start) -> Deferred[None]:
        if self._fault() is None:
            kept = self._starts.setdefault(start.key, [])
            kept.insert(0, evolve(start, phases=dict(start.phases)))
            del kept[self._retention.starts :]
        return self._answer(None)

    def starts(self, key: Key, limit: int) -> Deferred[tuple[Start, ...]]:
        return self._answer(tuple(self._starts.get(key, ())[:limit]))

    def provision(self, wanted: Provision) -> Deferred[Provision]:
        known = self._provisions.values()
        there = next((one for one in known if wanted.request and one.request == wanted.request), None)
        there = there or self._provisions.get(wanted.key)
        if there is None and self._fault() is None:
            self._provisions[wanted.key] = wanted
        return self._answer(there or wanted)

    def provisioned(self, key: Key) -> Deferred[Provision | None]:
        return self._answer(self._provisions.get(key))

    def provisions(self) -> Deferred[tuple[Provision, ...]]:
        return self._answer(tuple(self._provisions[key] for key in sorted(self._provisions)))

    def provisions_over(self, now: float) -> Deferred[tuple[Provision, ...]]:
        return self._answer(tuple(one for _, one in sorted(self._provisions.items()) if not one.lives(now)))

    def prolong(self, key: Key, expires: float | None) -> Deferred[None]:
        return self._change(key, expires=expires)

    def end_provision(self, key: Key, over: float | None = None) -> Deferred[bool]:
        row = self._provisions.get(key)
        ends = row is not None and (over is None or row.ending or (row.expires is not None and row.expires <= over))
        if ends:
            self._change(key, ending=True)
        return self._answer(ends)

    def _change(self, key: Key, **changes: Any) -> Deferred[None]:
        if self._fault() is None and key in self._provisions:
            self._provisions[key] = evolve(self._provisions[key], **changes)
        return self._answer(None)

    def forget_provision(self, key: Key) -> Deferred[None]:
        if self._fault() is None and key in self._provisions and self._provisions[key].ending:
            del self._provisions[key]
        return self._answer(None)

    def check(self) -> Deferred[None]:
        return self._answer(None)

    def _tidy(self) -> None:
        self._tidied = now = self._wall()
        oldest = now - self._retention.unused
        self._pins = {key: until for key, until in self._pins.items() if until is None or until >= now - self._retention.ended}
        self._used = {key: when for key, when in self._used.items() if when >= oldest or key in self._pins}
        needed = self._pins.keys() | self._used.keys()
        for key, starts in list(self._starts.items()):
            if key not in needed:
                self._starts[key] = [start for start in starts if start.began >= oldest]
        newer: Counter[str] = Counter()
        for key in reversed(list(self._versions)):
            newer[key.app] += 1
            if newer[key.app] > self._retention.versions and key not in needed:
                del self._versions[key]
