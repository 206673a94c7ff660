"""Over which stacks a watch is kept, and telling when one of them loses a service."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Mapping
from functools import partial
from typing import Any

from twisted.internet.defer import Deferred

from ...core.keys import Key
from ...core.model import Endpoint
from ...interfaces import Vanished
from .calls import Calls
from .labels import key_of
from .seen import Seen
from .translate import Condition, exit_status
from .watch import Watch, obituary


class Vigil:
    """Knows a stack by one Watch at most.

    :ivar told: called of each launched stack that loses a service.
    :param bug: called with a Failure that nobody expected.
    """

    def __init__(self, calls: Calls, bug: Callable[[Any], None]) -> None:
        self.told: Vanished = lambda key, generation, mishap: None
        self._calls = calls
        self._bug = bug
        self._watches: dict[Key, Watch] = {}
        self._dying: dict[Key, Watch] = {}  # lost a service; what is to be said of it is being gathered
        self._ending: set[Key] = set()  # what a survey still sees running is not to be missed
        self._closed = False

    # -- which stacks ---------------------------------------------------------------------------------------------------

    def of(self, key: Key) -> Watch | None:
        return self._watches.get(key)

    def begin(self, watch: Watch) -> None:
        """While it starts, ``watch.ended`` is told of its deaths."""
        self._watches[watch.key] = watch

    def launched(self, watch: Watch, endpoint: Endpoint) -> None:
        """From now on its deaths are losses."""
        watch.endpoint = endpoint
        watch.ended = partial(self._lost, watch)

    def end(self, watch: Watch) -> None:
        if self._watches.get(watch.key) is watch:
            del self._watches[watch.key]

    def take_away(self, key: Key) -> None:
        """What goes on purpose has not vanished. Until ``gone``, nothing of it is missed."""
        self._watches.pop(key, None)
        self._dying.pop(key, None)
        self._ending.add(key)

    def gone(self, key: Key) -> None:
        self._ending.discard(key)

    def enter(self, watches: Iterable[Watch]) -> list[Watch]:
        """Begin with what was found, but for what is watched already: its death is told by its event, whoever looks
        meanwhile. Those that were entered."""
        new = [watch for watch in watches if watch.key not in self._watches and watch.key not in self._ending]
        for watch in new:
            watch.ended = partial(self._lost, watch)
            self.begin(watch)
        return new

    def close(self) -> None:
        self._closed = True

    # -- what happens ---------------------------------------------------------------------------------------------------

    def heard(self, event: Mapping[str, Any]) -> None:
        """An event of one of our containers (Engine API, ``SystemEvents``)."""
        container, attributes = event["Actor"]["ID"], event["Actor"]["Attributes"]
        watch = self._watches.get(key_of(attributes))
        service = watch.containers.get(container) if watch else None
        if watch is None or service is None:
            return
        match event["Action"]:
            case "start":
                watch.resting.pop(container, None)
            case "die" if container not in watch.resting:
                watch.ended(service, exit_status(int(attributes["exitCode"])))
            case "destroy":
                watch.ended(service, None)

    async def catch_up(self, looking: Awaitable[list[Seen]]) -> None:
        """Find out who ended while no events came, and tell.

        :param looking: for all containers that are there. One that is made meanwhile may not be among them, and lives.
        """
        known = [(watch, dict(watch.containers)) for watch in self._watches.values()]
        there = {one.id: one for one in await looking}
        for watch, theirs in known:
            for container, service in theirs.items():
                one = there.get(container)
                if one is None:
                    watch.ended(service, None)
                elif one.condition is Condition.ENDED and watch.resting.get(container) != one.started:
                    watch.ended(service, one.status)

    def _lost(self, watch: Watch, service: str, status: int | None) -> None:
        """A service of a launched stack has ended."""
        if service in watch.tasks or self._watches.get(watch.key) is not watch:
            return
        del self._watches[watch.key]
        self._dying[watch.key] = watch
        Deferred.fromCoroutine(self._bury(watch, service, status)).addErrback(self._bug)

    async def _bury(self, watch: Watch, service: str, status: int | None) -> None:
        mishap = await obituary(self._calls, watch, service, status)
        if self._dying.get(watch.key) is watch and not self._closed:
            del self._dying[watch.key]
            self.told(watch.key, watch.generation, mishap)
