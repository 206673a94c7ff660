"""What is known of each backend: nothing, until it was surveyed; nothing again, when it was away.

A start must not begin before what an earlier gateway left is known: it might run already, or stand in the way.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Generic, TypeVar

from attrs import define, field
from twisted.internet.defer import Deferred, DeferredList
from twisted.logger import Logger
from twisted.python.failure import Failure

from .. import events
from ..core.model import Found
from ..errors import EngineUnavailable, Mishap
from ..interfaces import IBackend
from .incidents import as_mishap

_T = TypeVar("_T")


@define(eq=False)
class Surveys(Generic[_T]):
    """``standing(backend)`` is asked for before each survey; ``reconcile(backend, standing, found)`` gets its outcome."""

    _backends: Mapping[str, IBackend]
    _standing: Callable[[str], _T]
    _reconcile: Callable[[str, _T, Iterable[Found]], None]
    _known: set[str] = field(factory=set, init=False)
    _running: dict[str, list[Deferred[None]]] = field(factory=dict, init=False)
    _stale: set[str] = field(factory=set, init=False)  # of those running, the ones that began before there was doubt
    _log = Logger(namespace="grandcentral.stacks")

    def known(self, name: str) -> Deferred[None]:
        """Fires when the backend has been surveyed; fails with EngineUnavailable if it does not answer now."""
        done: Deferred[None] = Deferred()
        if name in self._known:
            done.callback(None)
        elif name in self._running:
            self._running[name].append(done)
        else:
            self._running[name] = [done]
            Deferred.fromCoroutine(self._survey(name))
        return done

    def is_known(self, name: str) -> bool:
        """Whether the backend has been surveyed, and has answered since."""
        return name in self._known

    def renew(self, name: str) -> None:
        """What was known is stale. An engine that is still away is left until it, or somebody who needs it, asks again."""
        self.doubt(name)
        self.known(name).addErrback(lambda failure: failure.trap(Mishap) and None)

    def doubt(self, name: str) -> None:
        """It did not answer just now: survey it before the next start."""
        self._known.discard(name)
        if name in self._running:
            self._stale.add(name)

    def tried(self) -> Deferred[list[tuple[bool, None]]]:
        """Fires when no survey is under way."""
        return DeferredList([self.known(name) for name in list(self._running)], consumeErrors=True)

    async def _survey(self, name: str) -> None:
        try:
            await self._look(name)
            while name in self._stale:  # an answer from before the engine came back is none
                await self._look(name)
        except EngineUnavailable as away:
            self._log.warn(events.BACKEND_LOST, backend=name, why=away.why)
            for waiter in self._running.pop(name):
                waiter.errback(away)
        except Exception:
            mishap = as_mishap(Failure())
            for waiter in self._running.pop(name):
                waiter.errback(mishap)
        else:
            self._known.add(name)
            for waiter in self._running.pop(name):
                waiter.callback(None)

    async def _look(self, name: str) -> None:
        self._stale.discard(name)
        before = self._standing(name)
        self._reconcile(name, before, await self._backends[name].survey())
