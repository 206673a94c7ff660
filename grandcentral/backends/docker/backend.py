"""The Docker backend: IBackend in terms of launches, watches, looks and removals.

A few lines over the usual length: it is the one list of what IBackend promises; how each is done is in the modules beside it.
"""

from __future__ import annotations

from collections.abc import Callable, Container, Mapping
from functools import partial
from typing import Any, TypeVar

from twisted.internet.defer import Deferred
from twisted.logger import Logger
from zope.interface import implementer

from ... import events
from ...core.keys import Key
from ...core.model import Endpoint, Found, Launch, LogTail
from ...errors import EngineRefused, EngineUnavailable, Mishap, ServiceExited
from ...interfaces import IBackend, Report, Vanished
from . import verbs
from .calls import Calls
from .labels import SERVICES, Roster, key_of
from .launching import Credentials, Launching
from .phases import Phases
from .seen import Seen, by_key, survey
from .stream import Events
from .translate import Condition, exit_status
from .waiting import Reactor, sleep, together
from .watch import Watch, obituary, tails

T = TypeVar("T")

AGAIN = (0.02, 1.0)  # seconds between two tries to remove what would not go, at first and at most
PATIENCE = 60.0  # seconds after which what would not go is an error


def from_configuration_file(registry: str) -> None:
    """No credentials of our own: docker-py looks into ~/.docker/config.json."""


@implementer(IBackend)
class DockerBackend:
    """Stacks as containers on one engine.

    :param base_url: the engine: "unix:///var/run/docker.sock", "tcp://127.0.0.1:2375".
    :param instance: which gateway this is; only what carries it in its labels is ever looked at. Must outlive restarts.
    :param published: the apps whose serving port is published on the loopback interface, on a port that the engine chooses.
        All others are reached at their containers' own addresses, for which the gateway must be on the engine's machine.
    :param credentials: registry ("registry.example.com:5000") -> {"username": ..., "password": ...}, or None for those of
        the Docker configuration file.
    """

    name = "docker"

    def __init__(
        self,
        reactor: Reactor,
        base_url: str,
        instance: str,
        published: Container[str] = (),
        credentials: Credentials = from_configuration_file,
    ) -> None:
        self._reactor = reactor
        self._instance = instance
        self._published = published
        self._credentials = credentials
        self._log = Logger()
        self._calls = Calls(reactor, base_url)
        self._events = Events(reactor, base_url, instance, self._happened, self._up, self._down)
        self._watches: dict[Key, Watch] = {}
        self._dying: dict[Key, Watch] = {}  # lost a service; what is to be said of it is being gathered
        self._halting: set[Key] = set()  # what a survey still sees running is not to be missed
        self._launches: set[Deferred[Endpoint]] = set()
        self._vanished: Vanished = lambda key, generation, mishap: None
        self._returned: Callable[[], None] = lambda: None
        self._was_away = False
        self._closing = False

    # -- opening and closing --------------------------------------------------------------------------------------------

    def watch(self, vanished: Vanished, returned: Callable[[], None]) -> None:
        self._vanished, self._returned = vanished, returned

    def open(self) -> Deferred[None]:
        self._calls.start()
        return self._events.connected().addErrback(self._away)

    def _away(self, failure: Any) -> None:
        failure.trap(EngineUnavailable)
        self._down(failure.value)

    def close(self) -> Deferred[None]:
        return Deferred.fromCoroutine(self._close())

    async def _close(self) -> None:
        self._closing = True
        for launch in tuple(self._launches):
            launch.cancel()
        await self._events.close()
        await self._calls.stop()

    def check(self) -> Deferred[None]:
        return Deferred.fromCoroutine(self._check())

    async def _check(self) -> None:
        await self._events.connected()
        await self._calls.quick(lambda client: client.ping())

    # -- starting -------------------------------------------------------------------------------------------------------

    def launch(self, launch: Launch, report: Report) -> Deferred[Endpoint]:
        launched = Deferred.fromCoroutine(self._launch(launch, report))
        self._launches.add(launched)
        return afterwards(launched, lambda: self._launches.discard(launched))

    async def _launch(self, launch: Launch, report: Report) -> Endpoint:
        await self._events.connected()  # a death that nobody hears of would leave us waiting
        tasks = frozenset(service.name for service in launch.spec.services if launch.spec.is_task(service.name))
        watch = Watch(launch.key, launch.generation, tasks)
        launching = Launching(
            self._reactor,
            self._calls,
            self._instance,
            launch,
            watch,
            Phases(report),
            launch.key.app in self._published,
            self._credentials,
        )
        watch.ended = launching.ended
        self._watches[launch.key] = watch
        try:
            where = await launching.run()
        except BaseException:
            if self._watches.get(launch.key) is watch:
                del self._watches[launch.key]
            raise
        watch.ended = partial(self._lost, watch)
        return where

    # -- stopping -------------------------------------------------------------------------------------------------------

    def halt(self, key: Key, grace: bool) -> Deferred[None]:
        self._watches.pop(key, None)
        self._dying.pop(key, None)
        self._halting.add(key)
        return afterwards(Deferred.fromCoroutine(self._halt(key, grace)), lambda: self._halting.discard(key))

    async def _halt(self, key: Key, grace: bool) -> None:
        if grace:
            await self._stop_in_order(await self._containers(key))
        wait, longest = AGAIN
        deadline = self._reactor.seconds() + PATIENCE
        while refusals := await self._remove(key):
            # "Removal already in progress", an endpoint that is still going: the engine is not through with what it does.
            if self._reactor.seconds() > deadline:
                raise EngineRefused(f"{key} could not be removed: {'; '.join(refusals)}")
            await sleep(self._reactor, wait)
            wait = min(wait * 2, longest)

    async def _stop_in_order(self, containers: list[Seen]) -> None:
        """Give every service time to end well, those that others depend on last."""
        running = [one for one in containers if one.condition in (Condition.RUNNING, Condition.PAUSED)]
        waves = {place(one): [other for other in running if place(other) == place(one)] for one in running}
        for _, wave in sorted(waves.items(), reverse=True):
            await together(*(self._calls.patient_stop(partial(verbs.stop, container=one.id)) for one in wave))

    async def _remove(self, key: Key) -> list[str]:
        """Remove everything that is there of a stack; what would not go, and why."""
        quick, remove = self._calls.quick, self._calls.lifecycle
        containers = await quick(partial(verbs.container_ids, instance=self._instance, key=key))
        networks = await quick(partial(verbs.networks, instance=self._instance, key=key))
        volumes = await quick(partial(verbs.volumes, instance=self._instance, key=key))
        said = await together(*(remove(partial(verbs.remove_container, container=one)) for one in containers))
        said += await together(
            *(remove(partial(verbs.remove_network, network=one)) for one in networks),
            *(remove(partial(verbs.remove_volume, volume=one)) for one in volumes),
        )
        return [refusal for refusal in said if refusal is not None]

    # -- freezing -------------------------------------------------------------------------------------------------------

    def pause(self, key: Key) -> Deferred[None]:
        return Deferred.fromCoroutine(self._freeze(key, Condition.RUNNING, verbs.pause))

    def resume(self, key: Key) -> Deferred[Endpoint]:
        return Deferred.fromCoroutine(self._resume(key))

    async def _resume(self, key: Key) -> Endpoint:
        await self._freeze(key, Condition.PAUSED, verbs.unpause)
        found = {one.key: one for one in survey(await self._containers(key), ())}.get(key)
        if found is None or found.endpoint is None:
            raise ServiceExited(f"{key} is not whole any more: there is nothing to go on with.")
        return found.endpoint

    async def _freeze(self, key: Key, these: Condition, verb: Callable[..., None]) -> None:
        chosen = [one.id for one in await self._containers(key) if one.condition is these]
        await together(*(self._calls.lifecycle(partial(verb, container=one)) for one in chosen))

    # -- looking --------------------------------------------------------------------------------------------------------

    def survey(self) -> Deferred[tuple[Found, ...]]:
        return Deferred.fromCoroutine(self._survey())

    async def _survey(self) -> tuple[Found, ...]:
        # Looks twice: a container that died after a first look and before it was watched would never be missed. What is
        # whole at a second look, after it was entered, is watched from then on.
        containers = await self._containers()
        # What was watched before stays so: its death is told by its event, whoever asked for this survey.
        left_alone = self._watches.keys() | self._halting
        new = [found for found in survey(containers, ()) if found.whole and found.key not in left_alone]
        entered = [self._enter(found, containers) for found in new]
        containers = await self._containers()
        networks = await self._calls.quick(partial(verbs.networks, instance=self._instance))
        volumes = await self._calls.quick(partial(verbs.volumes, instance=self._instance))
        stacks = survey(containers, [*networks.values(), *volumes.values()])
        whole = {(found.key, found.generation) for found in stacks if found.whole}
        for watch in entered:
            if (watch.key, watch.generation) not in whole and self._watches.get(watch.key) is watch:
                del self._watches[watch.key]
        return stacks

    def _enter(self, found: Found, containers: list[Seen]) -> Watch:
        """Watch a stack that was found."""
        stack = by_key(containers)[found.key]
        tasks = Roster.parse(stack[0].labels[SERVICES]).tasks
        watch = Watch(found.key, found.generation, tasks, {one.id: one.service for one in stack})
        watch.ended = partial(self._lost, watch)
        self._watches[found.key] = watch
        return watch

    def logs(self, key: Key, lines: int) -> Deferred[tuple[LogTail, ...]]:
        return Deferred.fromCoroutine(self._logs(key, lines))

    async def _logs(self, key: Key, lines: int) -> tuple[LogTail, ...]:
        containers = sorted(await self._containers(key), key=place)
        return await tails(self._calls, {one.id: one.service for one in containers}, lines)

    async def _containers(self, key: Key | None = None) -> list[Seen]:
        return await self._calls.quick(partial(verbs.containers, instance=self._instance, key=key))

    # -- what happens by itself -----------------------------------------------------------------------------------------

    def _happened(self, event: Mapping[str, Any]) -> None:
        """An event of one of our containers (Engine API, ``SystemEvents``)."""
        attributes = event["Actor"]["Attributes"]
        watch = self._watches.get(key_of(attributes))
        service = watch.containers.get(event["Actor"]["ID"]) if watch else None
        if watch is not None and service is not None:
            watch.ended(service, exit_status(int(attributes["exitCode"])) if event["Action"] == "die" else None)

    def _lost(self, watch: Watch, service: str, status: int | None) -> None:
        """A service of a launched stack has ended."""
        if service in watch.tasks or self._watches.get(watch.key) is not watch:
            return
        del self._watches[watch.key]
        self._dying[watch.key] = watch
        Deferred.fromCoroutine(self._bury(watch, service, status)).addErrback(self._bug)

    async def _bury(self, watch: Watch, service: str, status: int | None) -> None:
        mishap = await obituary(self._calls, watch, service, status)
        if self._dying.get(watch.key) is watch and not self._closing:
            del self._dying[watch.key]
            self._vanished(watch.key, watch.generation, mishap)

    def _down(self, why: Mishap) -> None:
        self._was_away = True
        self._log.warn(events.BACKEND_LOST, backend=self.name, why=str(why))

    def _up(self) -> None:
        if self._was_away:
            self._was_away = False
            Deferred.fromCoroutine(self._reconcile()).addErrback(self._bug)

    async def _reconcile(self) -> None:
        """The engine is back: find out who died meanwhile, then say so."""
        known = [(watch, dict(watch.containers)) for watch in self._watches.values()]
        try:
            there = {one.id: one for one in await self._containers()}
        except EngineUnavailable:
            self._events.reconnect()  # it went again; the next connection comes here again
            return
        for watch, containers in known:
            for container, service in containers.items():
                one = there.get(container)
                if one is None or one.condition is Condition.ENDED:
                    watch.ended(service, one.status if one else None)
        if not self._closing:
            self._log.info(events.BACKEND_RETURNED, backend=self.name)
            self._returned()

    def _bug(self, failure: Any) -> None:
        self._log.failure(events.BUG, failure, incident="-", what="the Docker backend lost track of a stack")


def afterwards(deferred: Deferred[T], tidy: Callable[[], None]) -> Deferred[T]:
    """``tidy`` when it has fired, before its result goes on."""

    def over(result: T) -> T:
        tidy()
        return result

    return deferred.addBoth(over)


def place(container: Seen) -> int:
    """In which wave of its stack a container started."""
    waves = Roster.parse(container.labels.get(SERVICES, "")).waves
    return next((place for place, wave in enumerate(waves) if container.service in wave), 0)
