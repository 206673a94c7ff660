"""The queue for slots: first come, first served, each with a deadline."""

from __future__ import annotations

from collections.abc import Callable
from itertools import islice

from attrs import define, field
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.logger import Logger

from .. import events
from ..core.admission import RECHECK, EvictFirst, Refuse, slot
from ..core.keys import Key
from ..core.lifecycle import Event
from ..core.model import Limits, StackSnapshot
from ..errors import AtCapacity
from .stack import Stack


@define(eq=False)
class SlotQueue:
    """``taken()`` slots are held by ``holders()``; ``stop(key)`` chooses one of them to give way."""

    _clock: IReactorTime
    limits: Limits
    _taken: Callable[[], int]
    _holders: Callable[[], list[StackSnapshot]]
    _stop: Callable[[Key], None]
    _queue: dict[Stack, float] = field(factory=dict, init=False)  # ordered: stack -> until when it waits
    _recheck: IDelayedCall | None = field(default=None, init=False)
    _looking: bool = field(default=False, init=False)
    _log = Logger(namespace="grandcentral.stacks")

    def join(self, stack: Stack) -> None:
        self._queue[stack] = self._clock.seconds() + self.limits.queue_timeout
        self.look()

    def leave(self, stack: Stack) -> None:
        self._queue.pop(stack, None)

    def place(self, stack: Stack) -> int | None:
        """1 for the next in line; None for one that does not queue."""
        return list(self._queue).index(stack) + 1 if stack in self._queue else None

    def close(self) -> None:
        self._queue.clear()
        if self._recheck is not None and self._recheck.active():
            self._recheck.cancel()

    def look(self) -> None:
        """Give out what slots there are. To be called whenever one is freed.

        Granting and evicting free and take slots, and so call this again from within: the outermost call does the work.
        """
        if self._looking:
            return
        self._looking = True
        try:
            while self._serve_next():
                pass
        finally:
            self._looking = False
        if self._queue and (self._recheck is None or not self._recheck.active()):
            self._recheck = self._clock.callLater(RECHECK, self.look)

    def _serve_next(self) -> bool:
        """Serve one of the queue. False when there is nothing to do at present."""
        if self._queue and self._taken() < self.limits.max_stacks:  # no need to look at each of them
            stack = next(iter(self._queue))
            self.leave(stack)
            stack.handle(Event.SLOT_GRANTED)
            return True
        now = self._clock.seconds()
        holders = self._holders()
        # Of those behind, none was there earlier, and each holder can make way for one: a long queue costs no more to look at.
        for ahead, (stack, until) in islice(enumerate(self._queue.items()), len(holders) + 1):
            verdict = slot(now, holders, ahead, self.limits)
            if isinstance(verdict, EvictFirst):
                self._log.info(events.STACK_GIVES_WAY, key=verdict.victim, to=stack.key)
                self._stop(verdict.victim)
                return True
            why = verdict.why if isinstance(verdict, Refuse) else "none of them can give way yet" if now >= until else None
            if why is not None:
                self.leave(stack)
                stack.handle(Event.SLOT_REFUSED, AtCapacity(self.limits.max_stacks, why, retry_after=10))
                return True
        return False
