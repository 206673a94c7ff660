"""Leftovers: what backends run of apps that are no more. It is removed, however long that takes."""

from __future__ import annotations

from collections.abc import Mapping

from attrs import define, field
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import deferLater
from twisted.logger import Logger
from twisted.python.failure import Failure

from .. import events
from ..core.keys import Key
from ..errors import Mishap
from ..interfaces import IBackend
from .incidents import log_bug

RETRY = 30.0  # seconds


@define(eq=False)
class Leftovers:
    """``gone(key)`` is to be waited for before a stack of that key is started: the app may come back."""

    _clock: IReactorTime
    _backends: Mapping[str, IBackend]
    _removing: dict[Key, Deferred[None] | None] = field(factory=dict, init=False)
    _waiting: dict[Key, list[Deferred[None]]] = field(factory=dict, init=False)
    _log = Logger(namespace="grandcentral.stacks")

    def __contains__(self, key: Key) -> bool:
        return key in self._removing

    def remove(self, backend: str, key: Key) -> None:
        """Begin, unless that is under way: calls never overlap."""
        if key in self._removing:
            return
        self._log.warn(events.STACK_OF_NO_APP, key=key)
        self._removing[key] = None
        removing = Deferred.fromCoroutine(self._remove(backend, key))
        if not removing.called:
            self._removing[key] = removing
        removing.addErrback(_unless_closed).addErrback(log_bug).addBoth(self._over, key)

    async def _remove(self, backend: str, key: Key) -> None:
        while True:
            try:
                await self._backends[backend].halt(key, True)
            except Mishap as mishap:
                self._log.warn(events.ASIDE_FAILED, key=key, why=str(mishap))
            else:
                return
            await deferLater(self._clock, RETRY)

    def _over(self, _: None, key: Key) -> None:
        del self._removing[key]
        for waiter in self._waiting.pop(key, ()):
            waiter.callback(None)

    def gone(self, key: Key) -> Deferred[None]:
        """Fires when nothing of that key is being removed, at once if that is so."""
        waiter: Deferred[None] = Deferred()
        if key in self._removing:
            self._waiting.setdefault(key, []).append(waiter)
        else:
            waiter.callback(None)
        return waiter

    def close(self) -> None:
        """Leave the rest to the next gateway."""
        for removing in list(self._removing.values()):
            if removing is not None:
                removing.cancel()


def _unless_closed(failure: Failure) -> None:
    failure.trap(CancelledError)
