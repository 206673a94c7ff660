"""The Docker backend: IBackend in terms of launches, watches, looks and removals.

A few lines over the usual length: it is the one list of what IBackend promises; how each is done is in the modules beside it.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Container, Coroutine, Mapping
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

from attrs import evolve
from twisted.internet.defer import Deferred
from twisted.logger import Logger
from zope.interface import implementer

from ... import events
from ...core.keys import Key
from ...core.model import Endpoint, Found, Hook, Launch, LogTail, Usage, Version
from ...errors import EngineRefused, EngineUnavailable, Mishap, ServiceExited
from ...interfaces import IBackend, Report, Vanished
from . import accounts, hooks, taking_away, verbs
from .calls import Calls
from .images import Credentials, Images, images_of
from .kept import Kept, as_made, kept
from .labels import SERVICES, Roster, is_disposable, key_of, unique
from .launching import Launching
from .making import Making
from .phases import Phases
from .seen import Seen, by_key, endpoint, survey
from .stream import Events
from .taking_away import place
from .translate import Condition
from .vigil import Vigil
from .waiting import Reactor, sleep, together
from .watch import Watch, tails, watch_of

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
    :param repositories: of our apps' images ("registry.example.com/app"); ``reclaim`` touches no others.
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
        repositories: Collection[str] = (),
    ) -> None:
        self._reactor = reactor
        self._base_url = base_url
        self._instance = instance
        self._published = published
        self._credentials = credentials
        self._repositories = repositories
        self._log = Logger()
        self._calls = Calls(reactor, base_url)
        self._vigil = Vigil(self._calls, self._bug)
        self._events = Events(reactor, base_url, instance, self._vigil.heard, self._up, self._down)
        self._under_way: set[Deferred[Any]] = set()  # what is given up when we close
        self._returned: Callable[[], None] = lambda: None
        self._was_away = False
        self._closing = False

    # -- opening and closing --------------------------------------------------------------------------------------------

    def watch(self, vanished: Vanished, returned: Callable[[], None]) -> None:
        self._vigil.told, self._returned = vanished, returned

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
        self._vigil.close()
        for one in tuple(self._under_way):
            one.cancel()
        await self._events.close()
        await self._calls.stop()

    def check(self) -> Deferred[None]:
        return Deferred.fromCoroutine(self._check())

    async def root(self) -> Path | None:
        """Where the engine keeps images and containers; None if that is on another machine, or it does not answer."""
        if not self._base_url.startswith("unix:"):
            return None
        try:
            root = Path((await self._calls.quick(lambda client: client.info()))["DockerRootDir"])
        except EngineUnavailable:
            return None
        return root if root.is_dir() else None

    async def _check(self) -> None:
        await self._events.connected()
        await self._calls.quick(lambda client: client.ping())

    # -- starting -------------------------------------------------------------------------------------------------------

    def launch(self, launch: Launch, report: Report) -> Deferred[Endpoint]:
        return self._until_closed(self._launch(launch, report))

    async def _launch(self, launch: Launch, report: Report) -> Endpoint:
        await self._events.connected()  # a death that nobody hears of would leave us waiting
        images_of(launch)  # raises if there is no saying what they are
        tasks = frozenset(service.name for service in launch.spec.services if launch.spec.is_task(service.name))
        phases = Phases(report)
        images = Images(self._reactor, self._calls, self._credentials, phases)
        published = launch.key.app in self._published
        making = Making(self._calls, self._instance, launch, phases, images, published)
        watch = Watch(launch.key, launch.generation, tasks)
        return await self._start(watch, Launching(self._reactor, self._calls, launch, making, watch, phases))

    def restart(self, launch: Launch, report: Report) -> Deferred[Endpoint]:
        return self._until_closed(self._restart(launch, report))

    async def _restart(self, launch: Launch, report: Report) -> Endpoint:
        await self._events.connected()
        networks = await self._calls.quick(partial(verbs.networks, instance=self._instance, key=launch.key))
        containers = await self._containers(launch.key)
        there = kept(launch.key, containers, networks)
        launch = evolve(launch, spec=as_made(launch.spec, there))
        watch = watch_of(containers)
        watch.resting = {one.id: one.started for one in containers if not one.up}
        parts = Kept(self._calls, there)
        return await self._start(watch, Launching(self._reactor, self._calls, launch, parts, watch, Phases(report)))

    async def _start(self, watch: Watch, launching: Launching) -> Endpoint:
        watch.ended = launching.ended
        self._vigil.begin(watch)
        try:
            where = await launching.run()
        except BaseException:
            self._vigil.end(watch)
            raise
        self._vigil.launched(watch, where)
        return where

    def fetch(self, launch: Launch, report: Report) -> Deferred[None]:
        return self._until_closed(self._fetch(launch, report))

    async def _fetch(self, launch: Launch, report: Report) -> None:
        images = Images(self._reactor, self._calls, self._credentials, Phases(report))
        await together(*(images.have(image, service) for image, service in images_of(launch).items()))

    # -- stopping -------------------------------------------------------------------------------------------------------

    def execute(self, key: Key, hook: Hook, within: float) -> Deferred[None]:
        container = unique(self._instance, key, hook.service)
        return self._until_closed(hooks.execute(self._reactor, self._calls, container, hook, within))

    def stop(self, key: Key) -> Deferred[None]:
        return self._unwatched(key, self._stop(key))

    async def _stop(self, key: Key) -> None:
        await taking_away.stop_in_order(self._calls, await self._containers(key))

    def halt(self, key: Key, grace: bool, volumes: bool = False) -> Deferred[None]:
        return self._unwatched(key, self._halt(key, grace, volumes))

    async def _halt(self, key: Key, grace: bool, volumes: bool) -> None:
        if grace:
            await self._stop(key)
        wait, longest = AGAIN
        deadline = self._reactor.seconds() + PATIENCE
        while refusals := await taking_away.remove(self._calls, self._instance, key, volumes):
            # "Removal already in progress", an endpoint that is still going: the engine is not through with what it does.
            if self._reactor.seconds() > deadline:
                raise EngineRefused(f"{key} could not be removed: {'; '.join(refusals)}")
            await sleep(self._reactor, wait)
            wait = min(wait * 2, longest)

    def _unwatched(self, key: Key, ending: Coroutine[Deferred[Any], Any, None]) -> Deferred[None]:
        self._vigil.take_away(key)
        return afterwards(Deferred.fromCoroutine(ending), lambda: self._vigil.gone(key))

    # -- freezing -------------------------------------------------------------------------------------------------------

    def pause(self, key: Key) -> Deferred[None]:
        return Deferred.fromCoroutine(self._pause(key))

    async def _pause(self, key: Key) -> None:
        running = [one.id for one in await self._alive(key) if one.condition is Condition.RUNNING]
        await together(*(self._calls.lifecycle(partial(verbs.pause, container=one)) for one in running))

    def resume(self, key: Key) -> Deferred[Endpoint]:
        return Deferred.fromCoroutine(self._resume(key))

    async def _resume(self, key: Key) -> Endpoint:
        """A stack that is watched is as it was when it was last seen, or we would have been told: it is not looked at first,
        for somebody waits. If it was not paused after all, it is."""
        await self._events.connected()
        watch = self._vigil.of(key)
        if watch is not None and watch.endpoint is not None:
            lasting = [one for one, service in watch.containers.items() if service not in watch.tasks]
            if all(await self._thaw(lasting)):
                return watch.endpoint
        alive = await self._alive(key)
        await self._thaw([one.id for one in alive if one.condition is Condition.PAUSED])
        where = next(filter(None, map(endpoint, alive)), None)
        if where is None:
            raise EngineRefused(f"{key} runs and has no address.")
        return where

    async def _thaw(self, containers: list[str]) -> list[bool]:
        return await together(*(self._calls.lifecycle(partial(verbs.unpause, container=one)) for one in containers))

    async def _alive(self, key: Key) -> list[Seen]:
        """The containers that should run, of a stack of which all do, frozen or not. Raises ServiceExited if they don't."""
        containers = await self._containers(key)
        tasks = {name for one in containers for name in Roster.parse(one.labels.get(SERVICES, "")).tasks}
        lasting = [one for one in containers if one.service not in tasks]
        if not any(found.kept for found in survey(containers, ())) or not all(one.up for one in lasting):
            raise ServiceExited(f"{key} is not whole any more: there is nothing to go on with.")
        return lasting

    # -- looking --------------------------------------------------------------------------------------------------------

    def survey(self) -> Deferred[tuple[Found, ...]]:
        return Deferred.fromCoroutine(self._survey())

    async def _survey(self) -> tuple[Found, ...]:
        # Looks twice: a container that died after a first look and before it was watched would never be missed. What is
        # whole at a second look, after it was entered, is watched from then on.
        containers = await self._containers()
        stacks = by_key(containers)
        entered = self._vigil.enter(
            watch_of(stacks[found.key], found.endpoint) for found in survey(containers, ()) if found.whole
        )
        containers = await self._containers()
        networks = await self._calls.quick(partial(verbs.networks, instance=self._instance))
        volumes = await self._calls.quick(partial(verbs.volumes, instance=self._instance))
        going = [labels for labels in volumes.values() if is_disposable(labels)]  # the others are there without a stack, too
        there = survey(containers, [*networks.values(), *going])
        whole = {(found.key, found.generation) for found in there if found.whole}
        for watch in entered:
            if (watch.key, watch.generation) not in whole:
                self._vigil.end(watch)
        return there

    def logs(self, key: Key, lines: int) -> Deferred[tuple[LogTail, ...]]:
        return Deferred.fromCoroutine(self._logs(key, lines))

    async def _logs(self, key: Key, lines: int) -> tuple[LogTail, ...]:
        containers = sorted(await self._containers(key), key=place)
        return await tails(self._calls, {one.id: one.service for one in containers}, lines)

    def usage(self) -> Deferred[Mapping[Key, Usage]]:
        return Deferred.fromCoroutine(accounts.usage(self._calls, self._instance))

    def reclaim(self, keep: Collection[Version]) -> Deferred[int]:
        call = partial(verbs.reclaim, repositories=tuple(self._repositories), keep=tuple(keep))
        return Deferred.fromCoroutine(self._calls.lifecycle(call))

    def volumes(self) -> Deferred[Collection[Key]]:
        return Deferred.fromCoroutine(self._volumes())

    async def _volumes(self) -> Collection[Key]:
        volumes = await self._calls.quick(partial(verbs.volumes, instance=self._instance))
        return {key_of(labels) for labels in volumes.values() if not is_disposable(labels)}

    async def _containers(self, key: Key | None = None) -> list[Seen]:
        return await self._calls.quick(partial(verbs.containers, instance=self._instance, key=key))

    # -- what happens by itself -----------------------------------------------------------------------------------------

    def _until_closed(self, work: Coroutine[Deferred[Any], Any, T]) -> Deferred[T]:
        deferred = Deferred.fromCoroutine(work)
        self._under_way.add(deferred)
        return afterwards(deferred, lambda: self._under_way.discard(deferred))

    def _down(self, why: Mishap) -> None:
        self._was_away = True
        self._log.warn(events.BACKEND_LOST, backend=self.name, why=str(why))

    def _up(self) -> None:
        if self._was_away:
            self._was_away = False
            Deferred.fromCoroutine(self._reconcile()).addErrback(self._bug)

    async def _reconcile(self) -> None:
        """The engine is back: find out who died meanwhile, then say so."""
        try:
            await self._vigil.catch_up(self._containers())
        except EngineUnavailable:
            self._events.reconnect()  # it went again; the next connection comes here again
            return
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

