"""Adoption: bringing the table into line with what a backend was found to run.

A survey takes time: only stacks that stood still meanwhile can be judged by it, and only keys that were not in the table when
it began can be new to us. Generation and state do not tell: one that was stopped and started again has the same as before.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

from attrs import define, field
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger

from .. import events
from ..core.keys import Key
from ..core.lifecycle import Event, State
from ..core.model import App, Found, Version
from ..errors import Mishap
from .directory import Directory
from .leftovers import Leftovers
from .rested import Rested
from .stack import Standing

Standings = Mapping[Key, Standing | Rested | None]

_AT_REST = (State.PROBING, State.REPROBING, State.READY, State.PAUSED)


@define(eq=False)
class Adoption:
    """``lost`` takes one that is gone out of the directory."""

    _clock: IReactorTime
    _wall: Callable[[], float]
    _directory: Directory
    _apps: Callable[[], Mapping[str, App]]
    leftovers: Leftovers
    _lost: Callable[[Rested], None]
    last_used: dict[Key, float] = field(factory=dict, init=False)  # wall seconds, of stacks not yet adopted
    _log = Logger(namespace="grandcentral.stacks")

    def standing(self, backend: str) -> Standings:
        """What is to be given to ``reconcile`` with the outcome of a survey that begins now."""
        standings: dict[Key, Standing | Rested | None] = {
            stack.key: stack.standing for stack in self._directory.stacks.values() if stack.app.backend == backend
        }
        resting = self._directory.rested.items()
        return standings | {key: one for key, one in resting if self._runs(backend, key.app)}

    def reconcile(self, backend: str, before: Standings, found: Iterable[Found]) -> None:
        """Adopt what is whole, remove what is not, and notice what has gone."""
        there = {one.key: one for one in found}
        for key, standing in before.items():
            self._compare(key, standing, there.get(key))
        for key, one in there.items():
            if key in before or key in self.leftovers:
                continue
            if not self._runs(backend, key.app):  # its app has gone, or is another backend's by now
                self.leftovers.remove(backend, key)
            else:
                stack = self._directory.stack(key, one.version or Version(key.name))
                if stack.state is State.COLD:
                    self._log.info(events.STACK_FOUND, key=key, generation=one.generation, whole=one.whole)
                    stack.adopt(one, self._when_used(key))

    def _runs(self, backend: str, app: str) -> bool:
        apps = self._apps()
        return app in apps and apps[app].backend == backend

    def _when_used(self, key: Key) -> float:
        """Monotonic seconds of the last use; never in the future, whatever the wall clock did meanwhile."""
        now = self._clock.seconds()
        return now - max(0.0, self._wall() - self.last_used.pop(key, self._wall()))

    def _compare(self, key: Key, standing: Standing | Rested | None, one: Found | None) -> None:
        """If it is as it was when the survey began, what was found is how it is."""
        stack = self._directory.get(key)
        if isinstance(stack, Rested):
            if stack is standing and (one is None or not one.kept):
                self._lost(stack)
            return
        if stack is None or standing is None or stack.standing != standing or stack.app.upstream is not None:
            return
        if stack.kept and stack.state is State.COLD:
            if one is None or not one.kept:
                stack.lost_what_was_kept()
        elif stack.state in _AT_REST and (one is None or not one.whole or one.generation != stack.generation):
            stack.handle(Event.VANISHED, Mishap("It was gone when the engine was asked."))
