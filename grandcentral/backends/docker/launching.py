"""One start of one stack: every service on its own way, waiting for those that it depends on."""

from __future__ import annotations

from collections.abc import Coroutine, Mapping
from functools import partial
from typing import Any, Protocol

from twisted.internet.defer import CancelledError, Deferred

from ...core.model import Condition, Endpoint, HealthCheck, Launch, Service
from ...core.ordering import Disordered, needed, waves
from ...errors import EngineRefused, Mishap, ServiceUnhealthy
from . import verbs
from .calls import Calls
from .health import check_of, depends_on_image, failed
from .phases import Phases
from .seen import endpoint
from .waiting import Fact, Reactor, sleep, together
from .watch import Watch, last_words, obituary

Step = Coroutine[Deferred[Any], Any, None]

NOT_RUN = -1  # what a check comes to that could not be run: most likely its container is dying, which an event will tell
AFTER_START = 0.05  # seconds: what is asked besides costs as much of our time as a start, and a start takes longer than that
PROBE_LOOKS = (0.005, 0.1)  # seconds between two looks at a health check under way, at first and at most


class Parts(Protocol):
    """Where the containers of a start come from: a launch makes them, a restart has them."""

    def preparations(self) -> list[Step]:
        """What is to be done besides, at the same time."""

    async def create(self, service: Service) -> str:
        """The id of the container of that service, which does not run."""

    async def connect(self, service: Service, container: str) -> None:
        """Returns when it is on its networks, and can be started."""

    async def image(self, service: Service) -> Mapping[str, Any]:
        """``ImageInspect`` of its image, once it was created."""

    async def place(self, service: Service, container: str) -> Endpoint | None:
        """Where it will answer, once it is being started; None if that is known only when it runs."""


class Launching:
    """Use once: ``await Launching(...).run()``.

    Services do not wait for whole waves but for what they need themselves: a long loader keeps nobody waiting who does not
    depend on it. Images, networks and containers are made ahead, while others still start.

    A service that dies ends all of it at once, whatever is under way: ``ended`` is told by the engine's events.
    """

    def __init__(self, reactor: Reactor, calls: Calls, launch: Launch, parts: Parts, watch: Watch, phases: Phases) -> None:
        self._reactor, self._calls, self._parts = reactor, calls, parts
        self._launch, self._spec, self._watch, self._phases = launch, launch.spec, watch, phases
        names = [service.name for service in launch.spec.services]
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

    def _steps(self) -> list[Step]:
        """All that is to be done, each step waiting for what it needs. Raises EngineRefused for what can't be done."""
        services = self._spec.services
        try:
            waves(services)
            self._spec.service(self._spec.serves)
        except (Disordered, KeyError) as error:
            raise EngineRefused(f"{self._launch.key} cannot be started: {error}.") from error
        return [*map(self._bring_up, services), *self._parts.preparations()]  # a container takes longer to make than a network

    async def _bring_up(self, service: Service) -> None:
        """One service, from its container to the conditions that others wait for."""
        name = service.name
        container = await self._parts.create(service)
        self._watch.containers[container] = name
        check, _ = await together(self._check_of(service), self._start(service, container))
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

    async def _start(self, service: Service, container: str) -> None:
        """As soon as all that it waits for is there."""
        name = service.name
        await self._parts.connect(service, container)
        for dependency in service.depends_on:
            if dependency.service in needed(service, self._spec.services):
                await self._met[dependency.service, dependency.condition].wait()
        with self._phases.during("create", name):
            if name == self._spec.serves:
                self._endpoint = await self._started_at(service, container)
            else:
                await self._calls.lifecycle(partial(verbs.start, container=container))
        self._met[name, Condition.STARTED].come(None)

    async def _started_at(self, service: Service, container: str) -> Endpoint:
        """Start the service that answers; where it does.

        An engine gives a container its address long before it has started it. It is asked then, so that nobody waits for that
        answer later; but not connected to, which would make it late: the kernel asks for a neighbour that does not answer once
        a second.
        """
        start = self._calls.lifecycle(partial(verbs.start, container=container))
        _, where = await together(start, self._place(service, container))
        if where is not None:
            return where
        started = await self._calls.quick(partial(verbs.look, container=container))
        where = endpoint(started) if started else None
        if where is not None:
            return where
        if started is None or started.status is not None:  # it has ended already; its event is on the way
            raise await obituary(self._calls, self._watch, service.name, None)
        raise EngineRefused(f"{service.name} runs and has no address on its network {started.network}.")

    async def _place(self, service: Service, container: str) -> Endpoint | None:
        await sleep(self._reactor, AFTER_START)
        return await self._parts.place(service, container)

    # -- health ---------------------------------------------------------------------------------------------------------

    async def _check_of(self, service: Service) -> HealthCheck | None:
        """The check that a start waits for; None: nobody wants to know, or nobody says how."""
        if not self._spec.must_be_healthy(service.name):
            return None
        image: Mapping[str, Any] = {}
        if depends_on_image(service):
            await sleep(self._reactor, AFTER_START)
            image = await self._parts.image(service)
        check = check_of(service, image)
        waited_for = any(
            dependency.service == service.name and dependency.condition is Condition.HEALTHY
            for other in self._spec.services
            for dependency in other.depends_on
        )
        if waited_for and check is None:
            raise EngineRefused(
                f"A service waits for {service.name} to be healthy, and neither template nor image say how to check that: "
                f"give {service.name} a healthcheck, or wait for service_started."
            )
        return check

    async def _until_healthy(self, service: str, container: str, check: HealthCheck) -> None:
        began = self._reactor.seconds()
        failures = 0
        probe: str | None = None
        while True:
            probe = probe or await self._calls.quick(partial(verbs.probe_begin, container=container, test=check.test))
            status = await self._result(probe, check.timeout) if probe else NOT_RUN
            if status == 0:
                return
            probe = probe if status is None else None  # one that hangs is waited for: checks never overlap
            running_for = self._reactor.seconds() - began
            verdict = failed(check, failures, running_for)
            failures = verdict.failures
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
