"""One launch of one stack: every service on its own way, waiting for those that it depends on."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Mapping
from datetime import UTC, datetime
from functools import partial
from typing import Any

from twisted.internet.defer import CancelledError, Deferred

from ...core.model import Condition, Endpoint, HealthCheck, Launch, Service
from ...core.ordering import Disordered, needed, waves
from ...errors import EngineRefused, ImageUnavailable, Mishap, ServiceUnhealthy
from . import bodies, verbs
from .calls import Calls
from .health import check_of, failed
from .labels import unique
from .phases import Phases
from .references import Reference, wanted
from .seen import Seen, endpoint
from .waiting import Fact, Reactor, sleep, together
from .watch import Watch, last_words, obituary

Credentials = Callable[[str], Mapping[str, str] | None]

Image = tuple[Reference, str | None]  # what to start, for which platform

NOT_RUN = -1  # what a check comes to that could not be run: most likely its container is dying, which an event will tell
PROBE_LOOKS = (0.005, 0.1)  # seconds between two looks at a health check under way, at first and at most


class Launching:
    """Use once: ``await Launching(...).run()``.

    Services do not wait for whole waves but for what they need themselves: a long loader keeps nobody waiting who does not
    depend on it. Images, networks and containers are made ahead, while others still start.

    A service that dies ends all of it at once, whatever is under way: ``ended`` is told by the engine's events.
    """

    def __init__(
        self,
        reactor: Reactor,
        calls: Calls,
        instance: str,
        launch: Launch,
        watch: Watch,
        phases: Phases,
        published: bool,
        credentials: Credentials,
    ) -> None:
        self._reactor, self._calls, self._instance = reactor, calls, instance
        self._launch, self._spec, self._watch, self._phases = launch, launch.spec, watch, phases
        self._published = published
        self._credentials = credentials
        names = [service.name for service in launch.spec.services]
        self._images: dict[Image, Fact[Mapping[str, Any]]] = {}
        self._networks_made: Fact[None] = Fact()
        self._met: dict[tuple[str, Condition], Fact[None]] = {(name, one): Fact() for name in names for one in Condition}
        self._exits: dict[str, Fact[int | None]] = {name: Fact() for name in watch.tasks}
        self._endpoint: Endpoint | None = None
        self._died: tuple[str, int | None] | None = None
        self._everything: Deferred[list[None]] | None = None

    async def run(self) -> Endpoint:
        """The endpoint. Raises a Mishap, or CancelledError; then nothing more will be created."""
        self._everything = Deferred.fromCoroutine(together(*self._steps()))
        try:
            await self._everything
        except CancelledError:
            if self._died is None:
                raise
        except Mishap as mishap:
            if self._died is None:
                mishap.logs = mishap.logs or await last_words(self._calls, self._watch, getattr(mishap, "service", ""))
                raise
        if self._died is not None:
            raise await obituary(self._calls, self._watch, *self._died)
        assert self._endpoint is not None  # the service that serves was started, and set it
        return self._endpoint

    def ended(self, service: str, status: int | None) -> None:
        """A container of ours has ended; ``status`` is None if it is gone altogether."""
        if service in self._exits:
            self._exits[service].come(status)
        elif self._died is None:
            self._died = (service, status)
            if self._everything is not None:
                self._everything.cancel()

    # -- the steps ------------------------------------------------------------------------------------------------------

    def _steps(self) -> list[Coroutine[Deferred[Any], Any, None]]:
        """All that is to be done, each step waiting for what it needs. Raises EngineRefused for what can't be done."""
        services = self._spec.services
        try:
            waves(services)
            self._spec.service(self._spec.serves)
        except (Disordered, KeyError) as error:
            raise EngineRefused(f"{self._launch.key} cannot be started: {error}.") from error
        images: dict[Image, str] = {}
        for service in services:
            images.setdefault(self._image_of(service), service.name)
        self._images = {image: Fact() for image in images}
        networks = dict.fromkeys(network for service in services for network in bodies.networks_of(service))
        return [
            self._make_networks(tuple(networks)),
            *(self._have_image(image, service) for image, service in images.items()),
            *(self._bring_up(service) for service in services),
        ]

    def _image_of(self, service: Service) -> Image:
        reference = wanted(service, self._launch.version)
        if reference is None:
            raise EngineRefused(f"{service.name} of {self._launch.key} has no image: give it one in the template.")
        return reference, service.platform

    async def _make_networks(self, networks: tuple[str, ...]) -> None:
        def made(network: str) -> Coroutine[Deferred[Any], Any, Any]:
            body = bodies.network(self._instance, self._launch, network)
            return self._calls.lifecycle(lambda client: client.create_network(**body))

        with self._phases.during("create", ""):
            await together(*map(made, networks))
        self._networks_made.come(None)

    async def _have_image(self, image: Image, service: str) -> None:
        """An image that the engine has is not pulled again: the registry may be away."""
        reference, platform = image
        found = await self._calls.quick(partial(verbs.image, reference=reference))
        if found is None:
            with self._phases.during("pull", service):
                pull = verbs.Pull(reference, self._credentials(reference.registry), platform)
                tell = partial(self._reactor.callFromThread, self._phases.say, "pull", service)
                await self._calls.pull(partial(pull.run, progress=tell), pull.abort)
            found = await self._calls.quick(partial(verbs.image, reference=reference))
        if found is None:
            raise ImageUnavailable(f"{reference} was pulled, and the engine does not have it.")
        self._images[image].come(found)

    async def _bring_up(self, service: Service) -> None:
        """One service, from its image to the conditions that others wait for."""
        name = service.name
        check = self._check_of(service, await self._images[self._image_of(service)].wait())
        with self._phases.during("create", name):
            container = await self._create(service)
            self._watch.containers[container] = name
            await self._networks_made.wait()
            await self._join_networks(service, container)
        for dependency in service.depends_on:
            if dependency.service in needed(service, self._spec.services):
                await self._met[dependency.service, dependency.condition].wait()
        with self._phases.during("create", name):
            started = await self._calls.lifecycle(partial(verbs.start, container=container))
        if name == self._spec.serves:
            self._endpoint = await self._endpoint_of(name, started)
        self._met[name, Condition.STARTED].come(None)
        if name in self._exits:
            with self._phases.during("loader", name):
                status = await self._exits[name].wait()
            if status != 0:
                raise await obituary(self._calls, self._watch, name, status)
            self._met[name, Condition.COMPLETED].come(None)
        elif check is not None:
            with self._phases.during("health", name):
                await self._until_healthy(name, container, check)
            self._met[name, Condition.HEALTHY].come(None)

    async def _create(self, service: Service) -> str:
        reference, platform = self._image_of(service)
        created = datetime.now(UTC).isoformat(timespec="seconds")
        body = bodies.container(self._instance, self._launch, service, str(reference), self._published, created)
        name = unique(self._instance, self._launch.key, service.name)
        files = bodies.archives(service)
        return await self._calls.lifecycle(partial(verbs.create, name=name, body=body, files=files, platform=platform))

    async def _join_networks(self, service: Service, container: str) -> None:
        """Those after the first, which the container was created with: older engines take one only."""
        for network in bodies.networks_of(service)[1:]:
            for name, settings in bodies.endpoint(self._instance, self._launch, service, network).items():
                join = partial(verbs.join, container=container, network=name, aliases=settings["Aliases"])
                await self._calls.lifecycle(join)

    async def _endpoint_of(self, service: str, started: Seen | None) -> Endpoint:
        where = endpoint(started) if started else None
        if where is not None:
            return where
        if started is None or started.status is not None:  # it has ended already; its event is on the way
            raise await obituary(self._calls, self._watch, service, None)
        raise EngineRefused(f"{service} runs and has no address on its network {started.network}.")

    # -- health ---------------------------------------------------------------------------------------------------------

    def _check_of(self, service: Service, image: Mapping[str, Any]) -> HealthCheck | None:
        """The check that somebody waits for, or that says whether the stack can answer; None: nobody wants to know."""
        waited_for = any(
            dependency.service == service.name and dependency.condition is Condition.HEALTHY
            for other in self._spec.services
            for dependency in other.depends_on
        )
        check = check_of(service, image)
        if waited_for and check is None:
            raise EngineRefused(
                f"A service waits for {service.name} to be healthy, and neither template nor image say how to check that: "
                f"give {service.name} a healthcheck, or wait for service_started."
            )
        return check if waited_for or service.name == self._spec.serves else None

    async def _until_healthy(self, service: str, container: str, check: HealthCheck) -> None:
        began = self._reactor.seconds()
        attempt = failures = 0
        probe: str | None = None
        while True:
            probe = probe or await self._calls.quick(partial(verbs.probe_begin, container=container, test=check.test))
            status = await self._result(probe, check.timeout) if probe else NOT_RUN
            if status == 0:
                return
            probe = probe if status is None else None  # one that hangs is waited for: checks never overlap
            running_for = self._reactor.seconds() - began
            verdict = failed(check, attempt, failures, running_for)
            attempt, failures = attempt + 1, verdict.failures
            if verdict.give_up:
                command, how = " ".join(check.test), outcome(status, check.timeout)
                raise ServiceUnhealthy(
                    f"{service} is not healthy after {running_for:.1f} s: its check ({command}) {how}.", service=service
                )
            await sleep(self._reactor, verdict.after)

    async def _result(self, probe: str, timeout: float) -> int | None:
        """How a check ended; None if it has not within ``timeout`` seconds."""
        deadline = self._reactor.seconds() + timeout
        wait, longest = PROBE_LOOKS
        while (status := await self._calls.quick(partial(verbs.probe_result, probe=probe))) is None:
            if self._reactor.seconds() >= deadline:
                return None
            await sleep(self._reactor, min(wait, max(deadline - self._reactor.seconds(), 0)))
            wait = min(wait * 2, longest)
        return status


def outcome(status: int | None, timeout: float) -> str:
    """What came of a check that did not pass, for people."""
    if status is None:
        return f"took longer than {timeout:.1f} s"
    return "could not be run" if status == NOT_RUN else f"exited with status {status}"
