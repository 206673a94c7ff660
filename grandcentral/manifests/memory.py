"""The verified fake of IManifest: dictionaries, answers at once. What it holds outlives ``close``, as a file would."""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping
from typing import TypeVar

from attrs import define, evolve, field
from twisted.internet.defer import Deferred, fail, succeed
from zope.interface import implementer

from ..core.history import Start
from ..core.keys import Key
from ..core.model import Version
from ..interfaces import IManifest
from .schemas import HISTORY

T = TypeVar("T")


@implementer(IManifest)
@define
class MemoryManifest:
    """While ``broken`` is set, every call but open and close fails with it."""

    broken: sqlite3.Error | None = None
    _opened: bool = False
    _versions: dict[tuple[str, str], Version] = field(factory=dict)
    _pins: set[Key] = field(factory=set)
    _used: dict[Key, float] = field(factory=dict)
    _starts: dict[Key, list[Start]] = field(factory=dict)

    def open(self) -> Deferred[None]:
        self._opened = True
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
            self._versions[app, version.name] = version
        return self._answer(None)

    def known_versions(self, app: str, name: str) -> Deferred[tuple[Version, ...]]:
        found = [
            version
            for (of, known), version in self._versions.items()
            if of == app and (known.startswith(name) or name.startswith(known))
        ]
        return self._answer(tuple(sorted(found, key=lambda version: (-len(version.name), version.name))))

    def pin(self, key: Key, pinned: bool) -> Deferred[None]:
        if self._fault() is None:
            (self._pins.add if pinned else self._pins.discard)(key)
        return self._answer(None)

    def pins(self) -> Deferred[frozenset[Key]]:
        return self._answer(frozenset(self._pins))

    def touch(self, used: Mapping[Key, float]) -> Deferred[None]:
        if self._fault() is None:
            self._used.update(used)
        return self._answer(None)

    def last_used(self) -> Deferred[dict[Key, float]]:
        return self._answer(dict(self._used))

    def record_start(self, start: Start) -> Deferred[None]:
        if self._fault() is None:
            kept = self._starts.setdefault(start.key, [])
            kept.insert(0, evolve(start, phases=dict(start.phases)))
            del kept[HISTORY:]
        return self._answer(None)

    def starts(self, key: Key, limit: int) -> Deferred[tuple[Start, ...]]:
        return self._answer(tuple(self._starts.get(key, ())[:limit]))
