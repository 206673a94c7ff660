"""What one stack of an app takes of memory, by what the last ones of them have taken. Sizes are bytes."""

from __future__ import annotations

from collections import deque

from attrs import define, field

from .keys import Key

RECENT = 20  # runs that count, besides those that still go on
ENOUGH = 5  # weighings of a run, about one a second at first, that tell what it takes


@define(eq=False)
class Need:
    """Of one app. A *run* of a stack is from one start of it to the next.

    What the last RECENT runs took at most is what the next one may take: an application that has become smaller is known to be
    so when those of before have been followed by as many others. A run that was short tells little: it counts if it was a large
    one, and never makes one of before be forgotten.
    """

    _running: dict[Key, tuple[int, int]] = field(factory=dict)  # the most that it took, and how often it was weighed
    _before: deque[int] = field(factory=lambda: deque(maxlen=RECENT))

    @property
    def bytes(self) -> int:
        """0 if nothing was ever weighed."""
        return max(max((most for most, _ in self._running.values()), default=0), max(self._before, default=0))

    def weighed(self, key: Key, memory: int) -> None:
        """It took so much just now."""
        most, times = self._running.get(key, (0, 0))
        self._running[key] = max(most, memory), times + 1

    def ended(self, key: Key) -> None:
        """It has stopped, or is about to start anew."""
        most, times = self._running.pop(key, (0, 0))
        if times >= ENOUGH:
            self._before.append(most)
        elif self._before and most > max(self._before):
            self._before[-1] = most
        elif not self._before and most:
            self._before.append(most)

    def only(self, running: frozenset[Key]) -> None:
        """Of those that were weighed, these still run."""
        for key in self._running.keys() - running:
            self.ended(key)
