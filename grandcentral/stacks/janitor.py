"""The janitor: looks at every stack now and then, and puts to sleep what nobody uses."""

from __future__ import annotations

from collections.abc import Mapping

from attrs import define, field
from twisted.internet.defer import Deferred, maybeDeferred
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import LoopingCall
from twisted.logger import Logger

from .. import events
from ..core.idleness import Pause, plan
from ..core.lifecycle import Event
from ..core.model import IdlePolicy, Limits
from .incidents import log_bug
from .table import StackTable


@define(eq=False)
class Janitor:
    """Works every ``interval`` seconds of ``clock``; a step that goes wrong is logged and the others are still taken."""

    _clock: IReactorTime
    _table: StackTable
    policies: Mapping[str, IdlePolicy]
    limits: Limits
    interval: float = 5.0
    _loop: LoopingCall = field(init=False)
    _log = Logger(namespace="grandcentral.stacks")

    def __attrs_post_init__(self) -> None:
        # A round that goes wrong is not the last one.
        self._loop = LoopingCall(lambda: maybeDeferred(self.work).addErrback(log_bug))
        self._loop.clock = self._clock

    def start(self) -> None:
        self._loop.start(self.interval, now=False).addErrback(log_bug)

    def stop(self) -> None:
        if self._loop.running:
            self._loop.stop()

    def work(self) -> Deferred[None]:
        """One round. Fires when last uses are written down."""
        for step in plan(self._clock.seconds(), self._table.snapshot(), self.policies, self.limits):
            try:
                event = Event.PAUSE_CHOSEN if isinstance(step, Pause) else Event.STOP_CHOSEN
                self._log.info(events.STACK_IDLE, key=step.key, step=type(step).__name__.lower())
                self._table.choose(event, step.key, step.generation)
            except Exception:
                self._log.failure(events.JANITOR_FAILED, key=step.key)
        self._table.tidy()
        return self._table.remember_use()
