"""The janitor: looks at every stack now and then, and puts to sleep what nobody uses, sooner where memory or disk is short."""

from __future__ import annotations

from collections.abc import Callable
from math import inf

from attrs import define, evolve, field
from twisted.internet.defer import Deferred, maybeDeferred
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import LoopingCall
from twisted.logger import Logger

from .. import events
from ..core.idleness import Pause, Remove, Step, Stop, after_hours, plan, soonest
from ..core.lifecycle import Event
from ..core.model import IdlePolicy
from ..core.pressure import discard, relieve, stalls
from .forgetting import INTERVAL as FORGET_INTERVAL
from .forgetting import Forgetting
from .incidents import log_bug
from .table import StackTable

MEMORY_INTERVAL = 1.0  # seconds between looks at memory
DISK_INTERVAL = 5.0  # and at disks
AVERAGED = 10.0  # seconds that what stalls is averaged over: for so long it does not show yet what has been stopped

_EVENTS = {Pause: Event.PAUSE_CHOSEN, Stop: Event.STOP_CHOSEN, Remove: Event.REMOVE_CHOSEN}


@define(eq=False)
class Janitor:
    """Works every ``interval`` seconds of ``clock``; a step that goes wrong is logged and the others are still taken.

    ``wall()`` is seconds since the epoch, for opening hours. Memory and disks are rounds of their own, for an engine may take
    long to say what stacks take, and longer to delete.
    """

    _clock: IReactorTime
    _wall: Callable[[], float]
    _table: StackTable
    interval: float = 5.0
    _loops: list[tuple[LoopingCall, float]] = field(init=False)
    _weighed: float = field(default=-inf, init=False)  # when the engine was last asked what stacks take
    _relieved: float = field(default=-inf, init=False)  # when one was last stopped because memory was short
    _open: bool = field(default=False, init=False)
    _log = Logger(namespace="grandcentral.stacks")

    def __attrs_post_init__(self) -> None:
        forgetting = Forgetting(self._clock, self._wall, self._table)
        rounds = (
            (self.work, self.interval),
            (self.look_at_memory, MEMORY_INTERVAL),
            (self.look_at_disks, DISK_INTERVAL),
            (forgetting.look, FORGET_INTERVAL),
        )
        self._loops = [(self._loop(work), seconds) for work, seconds in rounds]

    def _loop(self, work: Callable[[], Deferred[None]]) -> LoopingCall:
        # A round that goes wrong is not the last one.
        loop = LoopingCall(lambda: maybeDeferred(work).addErrback(log_bug))
        loop.clock = self._clock
        return loop

    def start(self) -> None:
        self._open = True
        for loop, seconds in self._loops:
            loop.start(seconds, now=False).addErrback(log_bug)

    def stop(self) -> None:
        self._open = False
        for loop, _ in self._loops:
            if loop.running:
                loop.stop()

    # -- nobody uses it -------------------------------------------------------------------------------------------------

    def work(self) -> Deferred[None]:
        """One round. Fires when last uses are written down."""
        self._table.tidy()
        policies = self._policies()
        taken, slots = self._table.capacity()
        unused = soonest(policies.values()) if taken <= slots else 0.0  # beyond that, anybody may have to go
        removed = min((policy.remove for policy in policies.values() if policy.remove is not None), default=inf)
        stacks = (*self._table.uses(unused), *self._table.resting(removed))
        for step in plan(self._clock.seconds(), stacks, policies, self._table.limits):
            event = events.STACK_OLD if step.why == "age" else events.STACK_IDLE
            self._log.info(event, key=step.key, step=type(step).__name__.lower())
            self._take(step)
        return self._table.remember_use()

    def _policies(self) -> dict[str, IdlePolicy]:
        """By app; not of those that always run elsewhere."""
        wall = self._wall()
        return {
            app.name: app.idle if app.hours is None or app.hours.open(wall) else after_hours(app.idle)
            for app in self._table.apps.values()
            if app.upstream is None
        }

    def _take(self, step: Step) -> None:
        try:
            self._table.choose(_EVENTS[type(step)], step.key, step.generation, step.why)
        except Exception:
            self._log.failure(events.JANITOR_FAILED, key=step.key)

    # -- memory ---------------------------------------------------------------------------------------------------------

    def look_at_memory(self) -> Deferred[None]:
        """One round. Fires when stacks have been weighed, if it was time for that, and those chosen that are to give way."""
        return Deferred.fromCoroutine(self._look_at_memory())

    async def _look_at_memory(self) -> None:
        table, now = self._table, self._clock.seconds()
        if not table.limits.memory_min_free:
            return
        if now - self._weighed >= self.interval or table.queued() or table.ledger.learning or self._victims():
            self._weighed = now
            await table.ledger.weigh()
        for step in self._victims() if self._open else ():
            self._relieved = now
            self._log.warn(events.MEMORY_SHORT, key=step.key)
            self._take(step)

    def _victims(self) -> tuple[Stop, ...]:
        """Who has to give way for want of memory, by what is known of the stacks now."""
        accounts, limits, now = self._table.ledger.accounts(), self._table.limits, self._clock.seconds()
        if accounts is None:
            return ()
        if now - self._relieved < AVERAGED:
            accounts = evolve(accounts, memory=evolve(accounts.memory, stalled=0.0))
        if accounts.memory.available >= limits.memory_min_free and not stalls(accounts.memory):
            return ()
        policies = self._policies()
        return relieve(now, (stack for stack in self._table.uses() if stack.key.app in policies), accounts, limits)

    # -- disks ----------------------------------------------------------------------------------------------------------

    def look_at_disks(self) -> Deferred[None]:
        """One round. Fires when what nobody needs has been removed, and stopped stacks chosen if that was not enough."""
        return Deferred.fromCoroutine(self._look_at_disks())

    async def _look_at_disks(self) -> None:
        if not self._disk_short():
            return
        freed = await self._table.reclaim()
        self._log.warn(events.DISK_SHORT, freed=freed)
        # What users keep in a stack of theirs nobody can make again: it stays, full disk or not.
        spared = {name for name, app in self._table.apps.items() if app.provisioned}
        known = [one for one in (*self._table.uses(), *self._table.resting()) if one.key.app not in spared]
        for step in discard(known) if self._open and self._disk_short() else ():
            self._log.warn(events.DISK_SHORT_REMOVES, key=step.key)
            self._take(step)

    def _disk_short(self) -> bool:
        wanted = self._table.limits.disk_min_free
        free = self._table.machine.disk_free() if wanted else None
        return free is not None and free < wanted
