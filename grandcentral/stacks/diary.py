"""The diary: when stacks were last used is written down, so that idle time survives a restart."""

from __future__ import annotations

from collections.abc import Callable
from math import inf

from attrs import define, field
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime

from ..core.idleness import busy
from ..core.model import Limits
from ..interfaces import IManifest
from .directory import Directory
from .incidents import log_unwritten
from .rested import Rested
from .stack import Stack

CLOCK_SET = 1.0  # seconds; two clocks that part by more do so because one was set


@define(eq=False)
class Diary:
    """``wall()`` is seconds since the epoch; everything else goes by ``clock``, which nobody sets."""

    _clock: IReactorTime
    _wall: Callable[[], float]
    _manifest: IManifest
    _directory: Directory
    _limits: Callable[[], Limits]
    _since: float = field(default=-inf, init=False)  # wall seconds when the clock was at 0, by which uses are written down

    def write(self) -> Deferred[None]:
        """Those uses that are not what is written down; and all when the wall clock was set, or the next gateway would find
        them unused for years. Fires when that is done; what cannot be written is logged, and tried again the next time."""
        now, wall = self._clock.seconds(), self._wall()
        since, clock_was_set = wall - now, abs(wall - now - self._since) > CLOCK_SET
        due = {one: one.used for one in self._directory if one.unwritten or (clock_was_set and one.ticket is not None)}

        def written(_: None) -> None:
            self._since = since if clock_was_set else self._since
            for one, used in due.items():
                one.written = used

        def when(one: Stack | Rested, used: float) -> float:
            in_use = isinstance(one, Stack) and busy(now, one.use(), self._limits())
            return wall if in_use else since + used

        uses = {one.key: when(one, used) for one, used in due.items()}
        return self._manifest.touch(uses).addCallback(written).addErrback(log_unwritten, "the gateway")
