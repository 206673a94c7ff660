"""Warm stacks: the newest version of each name in an app's ``warm`` list is kept started, and paused.

Nothing of it is written down: names are looked up again after a restart, and what runs is found as all stacks are.
"""

from __future__ import annotations

from attrs import define, field
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.logger import Logger
from twisted.python.failure import Failure

from .. import events
from ..core.idleness import LEAVING, Pause
from ..core.keys import Key
from ..core.lifecycle import Event
from ..core.model import Version
from ..core.warmth import Start, plan
from ..errors import Refusal, RegistryUnavailable
from .incidents import log_bug
from .table import StackTable

INTERVAL = 60.0  # seconds between looks
SOON = 5.0  # the same while a stack is being stopped, which may make room
REST = 600.0  # seconds before one that was started, and had to give way, is started again


@define(eq=False)
class Warmth:
    """Looks when it is started, every INTERVAL seconds, and when told to; one stack is started at a time, and only into a slot
    that is free."""

    _clock: IReactorTime
    _table: StackTable
    _heads: dict[Key, Version] = field(factory=dict, init=False)  # by app and name in its list
    _started: dict[Key, tuple[Version, float]] = field(factory=dict, init=False)
    _told: dict[Key, str] = field(factory=dict, init=False)  # what was logged last of why not
    _timer: IDelayedCall | None = field(default=None, init=False)
    _round: Deferred[None] | None = field(default=None, init=False)
    _again: bool = field(default=False, init=False)
    _open: bool = field(default=False, init=False)
    _log = Logger(namespace="grandcentral.stacks")

    def start(self) -> None:
        self._open = True
        self.look()

    def stop(self) -> None:
        """What is warm stays so; a start that is under way goes on."""
        self._open = False
        if self._timer is not None and self._timer.active():
            self._timer.cancel()
        if self._round is not None:
            self._round.cancel()

    def look(self) -> None:
        """Something has changed: a push, or the configuration. Cheap; may be called often."""
        if not self._open:
            return
        if self._round is not None:
            self._again = True
            return
        if self._timer is not None and self._timer.active():
            self._timer.cancel()
        self._again = False
        self._round = Deferred.fromCoroutine(self._look())
        self._round.addErrback(_unless_stopped).addBoth(self._looked)

    def _looked(self, _: object) -> None:
        self._round = None
        if self._again:
            self.look()
        elif self._open:
            self._timer = self._clock.callLater(SOON if self._heads and self._leaving() else INTERVAL, self.look)

    async def _look(self) -> None:
        wanted = await self._wanted()
        self._started = {key: before for key, before in self._started.items() if key in wanted}
        tried: set[Key] = set()
        while True:
            now = self._clock.seconds()
            starts: list[Key] = []
            for step in plan(now, self._table.uses(), wanted, self._table.limits):
                if isinstance(step, Start):
                    starts += [step.key] if step.key not in tried and self._rested(now, step.key, wanted[step.key]) else []
                else:
                    event = Event.PAUSE_CHOSEN if isinstance(step, Pause) else Event.STOP_CHOSEN
                    self._table.choose(event, step.key, step.generation)
            self._table.keep_warm(wanted)  # from here on, those that are no longer wanted are like any others
            if not starts:
                return
            tried.add(starts[0])
            await self._start(starts[0], wanted[starts[0]])

    async def _wanted(self) -> dict[Key, Version]:
        """By key, what is to be kept warm. While nobody can be asked about a name, it stands for what it stood for."""
        heads: dict[Key, Version] = {}
        names = [Key(app.name, name) for app in self._table.apps.values() for name in app.warm]
        for asked in names:
            versions = self._table.versions.get(asked.app)
            try:
                heads[asked] = Version(asked.name) if versions is None else await versions.head(asked.name)
            except Refusal as refusal:
                self._tell(asked, str(refusal))
                if isinstance(refusal, RegistryUnavailable) and asked in self._heads:
                    heads[asked] = self._heads[asked]
            else:
                self._tell(asked, "")
        self._heads = heads
        wanted = {Key(asked.app, version.name): version for asked, version in heads.items()}
        self._told = {key: why for key, why in self._told.items() if key in wanted or key in names}
        return wanted

    def _rested(self, now: float, key: Key, version: Version) -> bool:
        """Who had to give way for want of room does not come back at once, only to give way again."""
        before = self._started.get(key)
        return before is None or before[0].digest != version.digest or now - before[1] >= REST

    async def _start(self, key: Key, version: Version) -> None:
        taken, slots = self._table.capacity()
        if taken >= slots:
            if not self._leaving():
                self._tell(key, f"All {slots} places are taken.")
            return
        try:
            ticket = await self._table.ensure(key)
        except Refusal as refusal:
            self._tell(key, str(refusal))
            return
        self._tell(key, "")
        self._started[key] = version, self._clock.seconds()
        self._table.choose(Event.PAUSE_CHOSEN, ticket.key, ticket.generation)

    def _leaving(self) -> bool:
        """Whether some stack is about to give its slot back."""
        return any(stack.state in LEAVING for stack in self._table.uses())

    def _tell(self, key: Key, why: str) -> None:
        """Log it, once for as long as it stays so; "" for no trouble any more."""
        if why and self._told.get(key) != why:
            self._log.warn(events.WARM_FAILED, key=key, why=why)
        self._told[key] = why


def _unless_stopped(failure: Failure) -> None:
    if not failure.check(CancelledError):
        log_bug(failure)
