"""Operations of one stack on its backend: one after the other, and only the newest one's end is news.

Note [Turns]: an operation may end after the stack has moved on:

    STARTING: a launch runs      -> the deadline passes -> FAILING: the launch is cancelled, a halt waits for the lock
    the launch ends (cancelled)  -> LAUNCH_FAILED would hit a stack that is FAILING
    the halt ends                -> HALTED

So every operation takes a number when it begins, and its end is told only if no other has begun since. The lock sees to it
that the halt begins when the launch has really ended, and so finds everything that the launch has made.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Any

from attrs import define, field
from twisted.internet.defer import CancelledError, Deferred, DeferredLock
from twisted.python.failure import Failure

from ..core.lifecycle import Event
from ..errors import Mishap
from .incidents import as_mishap, log_bug

Work = Callable[[], Coroutine[Deferred[Any], Any, Event | None]]


@define(eq=False)
class Operations:
    """``tell(event, mishap)`` takes the news: what the work returned, or ``failed`` with the reason."""

    _tell: Callable[[Event, Mishap | None], None]
    _lock: DeferredLock = field(factory=DeferredLock, init=False)
    _running: Deferred[None] | None = field(default=None, init=False)
    turn: int = field(default=0, init=False)

    @property
    def under_way(self) -> bool:
        """Whether an operation on the engine has not ended, news or not."""
        return self._lock.locked

    def behind_lock(self, work: Work, failed: Event) -> None:
        """Begin an operation on the engine, when those before it have ended."""
        self._begin(self._lock.run(lambda: Deferred.fromCoroutine(work())), failed)

    def begin(self, work: Work, failed: Event) -> None:
        """Begin something that may overlap with operations on the engine: probing."""
        self._begin(Deferred.fromCoroutine(work()), failed)

    def abandon(self) -> None:
        """Cancel the newest operation; its end is no news any more."""
        self.turn += 1
        if self._running is not None:
            self._running.cancel()

    def _begin(self, operation: Deferred[Event | None], failed: Event) -> None:
        self.turn += 1
        turn = self.turn

        def ended(news: Event | None) -> None:
            if turn == self.turn and news is not None:
                self._tell(news, None)

        def went_wrong(failure: Failure) -> None:
            if turn != self.turn and failure.check(CancelledError, Mishap):
                return
            mishap = as_mishap(failure)
            if turn == self.turn:
                self._tell(failed, mishap)

        self._running = operation.addCallbacks(ended, went_wrong).addErrback(log_bug)
