"""The queue for slots: first come, first served, each with a deadline."""

from __future__ import annotations

from collections.abc import Callable
from itertools import islice, takewhile

from attrs import define, field
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.logger import Logger

from .. import events
from ..core.admission import RECHECK, EvictFirst, Grant, Newcomer, Refuse, Wait, slot
from ..core.keys import Key
from ..core.lifecycle import Event
from ..core.model import Limits, StackUse
from ..errors import AtCapacity
from .ledger import Ledger
from .stack import Stack


@define(eq=False)
class SlotQueue:
    """``taken()`` slots are held by ``holders()``; ``stop(key)`` chooses one of them to give way, and says whether it does."""

    _clock: IReactorTime
    limits: Limits
    _taken: Callable[[], int]
    _holders: Callable[[], list[StackUse]]
    _stop: Callable[[Key], bool]
    _ledger: Ledger
    _queue: dict[Stack, float] = field(factory=dict, init=False)  # ordered: stack -> until when it waits
    _recheck: IDelayedCall | None = field(default=None, init=False)
    _looking: bool = field(default=False, init=False)
    _log = Logger(namespace="grandcentral.stacks")

    def __len__(self) -> int:
        return len(self._queue)

    def join(self, stack: Stack) -> None:
        self._queue[stack] = self._clock.seconds() + self.limits.queue_timeout
        if self.limits.memory_min_free:
            self._ledger.expect(stack)
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
            while self._queue and self._serve():
                pass
        finally:
            self._looking = False
        if self._queue and (self._recheck is None or not self._recheck.active()):
            self._recheck = self._clock.callLater(RECHECK, self.look)

    def _serve(self) -> bool:
        """Serve those who wait, one step further. False when there is nothing to do at present."""
        limits = self.limits
        if not (limits.max_starting or limits.memory_min_free) and self._taken() < limits.max_stacks:
            self._grant()  # no need to look at each of those that run
            return True
        now, holders = self._clock.seconds(), self._holders()
        accounts = self._ledger.accounts() if limits.memory_min_free else None
        # Each holder can make way for one, and slots that are free are given out first: a long queue costs no more to look at.
        newcomers = [Newcomer(one.key.app, one.version) for one in islice(self._queue, len(holders) + 1)]
        verdict = slot(now, holders, newcomers, limits, accounts)
        match verdict:
            case Grant():
                self._grant()
                return True
            case EvictFirst(victim):
                if self._stop(victim):
                    self._log.info(events.STACK_GIVES_WAY, key=victim, to=next(iter(self._queue)).key)
                    return True
                why = "it is not known at present whether those that run are in use"
            case Refuse(why):
                self._refuse(list(self._queue), why)  # none of them is better off
                return True
            case Wait(why):
                pass
        late = [stack for stack, _ in takewhile(lambda waiting: waiting[1] <= now, self._queue.items())]
        self._refuse(late, why)
        return bool(late)

    def _grant(self) -> None:
        stack = next(iter(self._queue))
        self.leave(stack)
        self._ledger.starts(stack.key)
        stack.handle(Event.SLOT_GRANTED)

    def _refuse(self, stacks: list[Stack], why: str) -> None:
        """Send the first of the queue away."""
        for place, stack in enumerate(stacks, 1):
            if self._queue.pop(stack, None) is not None:  # what one is told may make another leave
                stack.handle(Event.SLOT_REFUSED, AtCapacity(self.limits.max_stacks, why, place, retry_after=10))
