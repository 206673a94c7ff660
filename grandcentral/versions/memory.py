"""The verified fake of IVersions: versions out of a dictionary, failures on demand, answers at once."""

from __future__ import annotations

from attrs import define, field
from twisted.internet.defer import Deferred, fail, succeed
from zope.interface import implementer

from ..core.keys import Key
from ..core.model import Version
from ..errors import AmbiguousVersion, UnknownVersion
from ..interfaces import IVersions


@implementer(IVersions)
@define
class MemoryVersions:
    """``versions`` maps full names to what they resolve to: a Version, or the exception that says why not.

    A shorter or longer git hash finds its version as in a registry. While ``away`` is set, names that were never resolved fail
    with it. ``asked`` lists what was asked for, ``told`` what was said to be pushed, in order.
    """

    versions: dict[str, Version | Exception] = field(factory=dict)
    branches: dict[str, str] = field(factory=dict)  # to the full name of the newest version
    app: str = "app"
    away: Exception | None = None
    asked: list[str] = field(factory=list)
    told: list[str] = field(factory=list)
    _known: dict[str, Version] = field(factory=dict)

    def close(self) -> Deferred[None]:
        return succeed(None)

    def head(self, name: str) -> Deferred[Version]:
        return self.resolve(self.branches.get(name, name))

    def pushed(self, name: str) -> None:
        self.told.append(name)

    def resolve(self, name: str) -> Deferred[Version]:
        self.asked.append(name)
        if self.away is not None:
            return succeed(self._known[name]) if name in self._known else fail(self.away)
        names = [name] if name in self.versions else [n for n in self.versions if n.startswith(name) or name.startswith(n)]
        if len(names) > 1:
            return fail(AmbiguousVersion(name, tuple(sorted(names))))
        found = self.versions[names[0]] if names else UnknownVersion(Key(self.app, name), "memory")
        if isinstance(found, Exception):
            return fail(found)
        self._known[name] = found
        return succeed(found)
