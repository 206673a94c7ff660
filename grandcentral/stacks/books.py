"""The books of one start: since when, which phase took how long, and how often in a row it failed."""

from __future__ import annotations

from collections.abc import Callable

from attrs import define, field
from twisted.internet.interfaces import IReactorTime

from ..core.history import Start
from ..core.keys import Key
from ..core.model import Progress
from ..core.timeline import Timeline
from ..errors import EngineUnavailable, Mishap

ENGINE_RETRY = 1.0  # seconds: an engine that is away says nothing about the stack


def retry_delay(failures: int) -> float:
    """How long the n-th failure in a row is remembered: 5 s, doubling, to 5 minutes. There is no n that is too large."""
    return min(300.0, 5.0 * 2.0 ** min(failures - 1, 10))


@define(eq=False)
class Books:
    """``record(start)`` gets each start when it has ended, well or not."""

    _clock: IReactorTime
    _wall: Callable[[], float]
    _record: Callable[[Start], None]
    _phases: dict[str, float] = field(factory=dict)  # of the last start that ended
    failures: int = 0  # in a row, those of the engine not counted
    failure: Mishap | None = None
    retry_at: float = 0.0  # monotonic seconds
    timeline: Timeline | None = None  # of the start under way
    began: float = 0.0  # monotonic seconds
    depth: str = "cold"  # what it begins from

    def begin(self, lookup: float = 0.0) -> None:
        """A start begins, ``lookup`` seconds after the version was asked for."""
        self.timeline, self.began, self.depth = Timeline(), self._clock.seconds() - lookup, "cold"
        if lookup:
            self.timeline.add("registry", lookup)

    def note(self, progress: Progress) -> None:
        if self.timeline is not None:
            self.timeline.note(progress, self._clock.seconds())

    def succeeded(self, key: Key, generation: int) -> float | None:
        """It is ready. Returns the seconds it took, or None if it was not a start of ours."""
        self.failures, self.failure, self.retry_at = 0, None, 0.0
        return self._close(key, generation, None)

    def failed(self, key: Key, generation: int, mishap: Mishap) -> float:
        """It did not start. Returns the seconds until it may be tried again."""
        self.failure = mishap
        if isinstance(mishap, EngineUnavailable):
            delay = ENGINE_RETRY
        else:
            self.failures += 1
            delay = retry_delay(self.failures)
        self.retry_at = self._clock.seconds() + delay
        self._close(key, generation, str(mishap))
        return delay

    def give_up(self) -> None:
        """The start under way, if there is one, is called off: neither a success nor a failure."""
        self.timeline = None

    def forgive(self) -> None:
        """An operator asks for a new attempt."""
        self.failures, self.failure, self.retry_at = 0, None, 0.0

    @property
    def phases(self) -> dict[str, float]:
        """Seconds, of the start under way so far; of the last one that ended, if none is."""
        return self._phases if self.timeline is None else self.timeline.durations(self._clock.seconds())

    @property
    def retry_in(self) -> float:
        """Seconds until the next attempt is allowed; at least one, for Retry-After."""
        return max(1.0, self.retry_at - self._clock.seconds())

    def _close(self, key: Key, generation: int, failure: str | None) -> float | None:
        if self.timeline is None:
            return None
        now = self._clock.seconds()
        took, self._phases = now - self.began, self.timeline.durations(now)
        self._record(Start(key, generation, self._wall() - took, self._phases, failure, self.depth))
        self.timeline = None
        return took
