"""What operators order: stacks are stopped, removed and pinned, by any spelling of their names, whatever they are doing."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import NoReturn

from attrs import define
from twisted.internet.defer import Deferred
from twisted.python.failure import Failure

from ..core.keys import Key, misnamed
from ..core.lifecycle import Event, State
from ..core.model import App, Version
from ..errors import AppGone, BackendUnavailable, EngineUnavailable, InvalidVersion, StackStopped
from .directory import Directory
from .pins import Pins
from .rested import Rested
from .stack import Stack

_ABOUT_TO_SLEEP = (State.DRAINING, State.DOZING, State.SAVING)


@define(eq=False)
class Orders:
    """Every order raises KeyError for an app that is not there, and AmbiguousVersion.

    ``known(backend)`` fires when it is known what that backend runs; ``resolve(key)`` gives the version that is meant.
    """

    _apps: Callable[[], Mapping[str, App]]
    _directory: Directory
    _pins: Pins
    _known: Callable[[str], Deferred[None]]
    _resolve: Callable[[Key], Deferred[Version]]
    _settled: Callable[[Stack], None]

    async def stop(self, key: Key, force: bool) -> None:
        stack = await self._there(key)
        if isinstance(stack, Stack):
            stack.handle(Event.FORCE_ASKED if force else Event.STOP_ASKED, StackStopped(stack.key, retry_after=1))
            await stack.when_settled()

    async def remove(self, key: Key, volumes: bool) -> None:
        found = await self._there(key)
        if found is not None or volumes:  # one that was removed has left its volumes
            await self.take_away(self._directory.stack(key if found is None else found.key, Version(key.name)), volumes)

    async def take_away(self, stack: Stack, volumes: bool) -> None:
        """Stop it if need be, and remove it."""
        stack.discard(volumes)
        stack.why = "operator"
        stack.books.forgive()
        stack.handle(Event.FORCE_ASKED, StackStopped(stack.key, retry_after=1))
        await stack.when_settled()
        there = self._directory.get(stack.key)
        if there is not stack and (volumes or isinstance(there, Rested)):  # it has gone meanwhile, perhaps without its volumes
            if stack.key.app not in self._apps():
                raise AppGone(stack.key.app)
            stack = self._directory.stack(stack.key, stack.version)
            stack.discard(volumes)
        if stack.state is State.COLD and (stack.kept or volumes):
            stack.handle(Event.REMOVE_CHOSEN)
            await stack.when_settled()
        else:
            self._settled(stack)

    async def pin(self, key: Key, pinned: bool, until: float | None) -> None:
        if pinned:
            self.check_name(key)
        if not self._pins.known(key) and self._directory.find(key) is None:
            key = Key(key.app, (await self._resolve(key)).name)  # a pin is kept under the canonical name
        found = self._directory.find(key)
        key = key if found is None else found.key
        await self._pins.set(key, pinned, until)
        stack = self._directory.stacks.get(key)
        if stack is not None:
            stack.pinned = key in self._pins
            if stack.pinned and stack.state in _ABOUT_TO_SLEEP:
                stack.handle(Event.WANTED)

    def meant(self, key: Key) -> Stack | Rested | None:
        """By a spelling that no request has had as well."""
        return self._directory.meant(key, self._apps()[key.app].version)

    def check_name(self, key: Key) -> None:
        """Names in hosts have been through the app's pattern; those that operators type have not. Raises InvalidVersion."""
        expected = misnamed(self._apps()[key.app].version, key.name)
        if expected is not None:
            raise InvalidVersion(key.name, expected)

    async def _there(self, key: Key) -> Stack | Rested | None:
        """What is meant. That there is nothing can be said only when it is known what the engine runs."""
        found = self.meant(key)
        if found is not None:
            return found
        await self._known(self._apps()[key.app].backend).addErrback(engine_away)
        if key.app not in self._apps():
            raise AppGone(key.app)
        return self.meant(key)


def engine_away(failure: Failure) -> NoReturn:
    """As it is told to whoever asked."""
    failure.trap(EngineUnavailable)
    raise BackendUnavailable(failure.getErrorMessage(), retry_after=5) from None
