"""The directory: every stack that is not cold, found by any spelling of its key."""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Callable, Iterator
from itertools import chain

from attrs import define, field

from ..core.keys import GIT_HASH, SHORTEST_HASH, Ambiguous, Key, unify
from ..core.model import Version
from ..core.tickets import Ticket
from ..errors import AmbiguousVersion
from .rested import Rested
from .stack import Stack


@define(eq=False)
class Directory:
    """Each stack is in one of two dictionaries, by its canonical key: in ``stacks``, or at rest in ``rested``.

    ``make(key, version)`` makes one that is cold. ``doors`` has the tickets of those that are ready, by every spelling: a
    request for one of them is one look-up in there.
    """

    _make: Callable[[Key, Version], Stack]
    stacks: dict[Key, Stack] = field(factory=dict, init=False)
    rested: dict[Key, Rested] = field(factory=dict, init=False)
    doors: dict[Key, Ticket] = field(factory=dict, init=False)
    _spelt: dict[Key, Stack | Rested] = field(factory=dict, init=False)
    _sorted: list[Key] = field(factory=list, init=False)  # the canonical keys: forms of one commit stand together

    def __iter__(self) -> Iterator[Stack | Rested]:
        return chain(self.stacks.values(), self.rested.values())

    def find(self, spelling: Key) -> Stack | Rested | None:
        """By a spelling that was used before."""
        return self._spelt.get(spelling)

    def get(self, key: Key) -> Stack | Rested | None:
        """By its canonical key."""
        return self.stacks.get(key) or self.rested.get(key)

    def meant(self, key: Key, version: str) -> Stack | Rested | None:
        """By any spelling, used before or not. Raises AmbiguousVersion.

        :param version: of the app: what its names are.
        """
        found = self._spelt.get(key)
        if found is not None or version != GIT_HASH:
            return found
        name = unify(key.name, self._alike(key))
        if isinstance(name, Ambiguous):
            raise AmbiguousVersion(key.name, name.candidates)
        return self.get(Key(key.app, name))

    def _alike(self, key: Key) -> Iterator[str]:
        """Names of the same app that are the same as far as the shortest form of a commit goes. Few, and soon found: crawlers
        ask for one name after the other that nobody has."""
        shortest = key.name[:SHORTEST_HASH]
        for at in range(bisect_left(self._sorted, Key(key.app, shortest)), len(self._sorted)):
            other = self._sorted[at]
            if other.app != key.app or not other.name.startswith(shortest):
                return
            yield other.name

    def stack(self, key: Key, version: Version) -> Stack:
        """The stack of a canonical key, roused or made if need be; ``version`` is of one that is made."""
        found = self.get(key)
        if isinstance(found, Rested):
            return self.rouse(found)
        if found is None:
            found = self.stacks[key] = self._make(key, version)
            insort(self._sorted, key)
            self.spell(found, key)
        return found

    def spell(self, one: Stack | Rested, key: Key) -> None:
        """From now on, ``key`` means that one."""
        before = self._spelt.get(key)
        if before is not None and before is not one:  # it meant another one, which may still be there
            before.spellings = tuple(spelling for spelling in before.spellings if spelling != key)
            self.doors.pop(key, None)
        if key not in one.spellings:
            one.spellings += (key,)
        self._spelt[key] = one
        if one.ticket is not None and one.ticket.open:
            self.doors[key] = one.ticket

    def drop(self, one: Stack | Rested) -> None:
        del (self.stacks if isinstance(one, Stack) else self.rested)[one.key]
        del self._sorted[bisect_left(self._sorted, one.key)]
        for spelling in one.spellings:
            del self._spelt[spelling]

    def put_to_rest(self, stack: Stack, rested: Rested) -> None:
        """From now on ``stack`` is the other one."""
        del self.stacks[stack.key]
        self.rested[stack.key] = rested
        self._spelt.update(dict.fromkeys(rested.spellings, rested))

    def rouse(self, rested: Rested) -> Stack:
        """The same the other way round."""
        stack = self._make(rested.key, rested.version)
        stack.rouse(rested)
        stack.spellings = rested.spellings
        del self.rested[rested.key]
        self.stacks[rested.key] = stack
        self._spelt.update(dict.fromkeys(stack.spellings, stack))
        return stack

    def opened(self, stack: Stack, ticket: Ticket) -> None:
        self.doors.update(dict.fromkeys(stack.spellings, ticket))

    def closed(self, stack: Stack) -> None:
        for spelling in stack.spellings:
            self.doors.pop(spelling, None)
