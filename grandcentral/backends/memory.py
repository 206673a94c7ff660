"""The verified fake: stacks that run in no engine but on a clock, for tests of everything above a backend.

It passes the contract suite of the real ones. What a service does is said by its command, so that a script is a StackSpec:

    ("exit", "3")         ends with status 3 once started
    anything else, None   runs until it is halted or ``kill``\\ ed

and a health check passes unless its test is ``("false",)``. Each step takes ``step_seconds``.
"""

from __future__ import annotations

from attrs import define, evolve, field
from twisted.internet.defer import Deferred, succeed
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import deferLater
from zope.interface import implementer

from ..core.keys import Key
from ..core.model import Condition, Endpoint, Found, Launch, LogTail, Progress, Service
from ..core.ordering import Disordered, waves
from ..errors import EngineRefused, EngineUnavailable, Mishap, ServiceExited, ServiceUnhealthy
from ..interfaces import IBackend, Report, Vanished


@define(eq=False)
class MemoryStack:
    """What the "engine" has of one stack."""

    launch: Launch
    endpoint: Endpoint
    running: set[str] = field(factory=set)
    ended: dict[str, int] = field(factory=dict)
    lines: dict[str, list[str]] = field(factory=dict)
    paused: bool = False
    launched: bool = False
    reported: bool = False

    @property
    def whole(self) -> bool:
        spec = self.launch.spec
        return self.launched and all(
            self.ended.get(service.name) == 0 if spec.is_task(service.name) else service.name in self.running
            for service in spec.services
        )


@define(eq=False)
class MemoryEngine:
    """What outlives a backend, as an engine outlives a gateway. ``peak`` is the most stacks there ever were at once;
    ``doubled`` lists what was launched while it was still there, which callers must not do."""

    stacks: dict[Key, MemoryStack] = field(factory=dict)
    launches: list[tuple[Key, int]] = field(factory=list)
    started: list[str] = field(factory=list)  # the services that started, in order
    halts: list[Key] = field(factory=list)
    away: EngineUnavailable | None = None
    peak: int = 0
    doubled: list[Key] = field(factory=list)


@implementer(IBackend)
@define(eq=False)
class MemoryBackend:
    """See the module. ``engine`` may be shared by a backend and its successor."""

    _clock: IReactorTime
    engine: MemoryEngine = field(factory=MemoryEngine)
    step_seconds: float = 0.1
    name: str = "memory"
    _vanished: Vanished | None = None

    # -- what a test does to it -----------------------------------------------------------------------------------------

    def kill(self, key: Key, service: str, status: int = 1) -> None:
        """A service ends behind the gateway's back."""
        stack = self.engine.stacks[key]
        stack.running.discard(service)
        self._ended(stack, service, status)
        if stack.launched and not stack.reported and self._vanished is not None:
            stack.reported = True
            self._vanished(key, stack.launch.generation, self._exited(stack, service))

    # -- IBackend -------------------------------------------------------------------------------------------------------

    def open(self) -> Deferred[None]:
        return succeed(None)

    def close(self) -> Deferred[None]:
        self._vanished = None
        return succeed(None)

    def watch(self, vanished: Vanished, returned: object) -> None:
        self._vanished = vanished

    def check(self) -> Deferred[None]:
        return Deferred.fromCoroutine(self._step(0))

    def launch(self, launch: Launch, report: Report) -> Deferred[Endpoint]:
        return Deferred.fromCoroutine(self._launch(launch, report))

    def halt(self, key: Key, grace: bool) -> Deferred[None]:
        return Deferred.fromCoroutine(self._halt(key))

    def pause(self, key: Key) -> Deferred[None]:
        return Deferred.fromCoroutine(self._freeze(key, True))

    def resume(self, key: Key) -> Deferred[Endpoint]:
        return Deferred.fromCoroutine(self._thaw(key))

    def survey(self) -> Deferred[tuple[Found, ...]]:
        return Deferred.fromCoroutine(self._survey())

    def logs(self, key: Key, lines: int) -> Deferred[tuple[LogTail, ...]]:
        stack = self.engine.stacks.get(key)
        return succeed(self._tails(stack, lines) if stack else ())

    # -- how ------------------------------------------------------------------------------------------------------------

    async def _step(self, seconds: float | None = None) -> None:
        await deferLater(self._clock, self.step_seconds if seconds is None else seconds)
        if self.engine.away is not None:
            raise self.engine.away

    async def _launch(self, launch: Launch, report: Report) -> Endpoint:
        engine = self.engine
        if engine.away is not None:
            raise engine.away
        engine.launches.append((launch.key, launch.generation))
        if launch.key in engine.stacks:
            engine.doubled.append(launch.key)
        stack = MemoryStack(launch, Endpoint("127.0.0.1", 10_000 + len(engine.launches)))
        engine.stacks[launch.key] = stack
        engine.peak = max(engine.peak, len(engine.stacks))
        services = {service.name: service for service in launch.spec.services}
        try:
            order = waves(launch.spec.services)
        except Disordered as error:
            raise EngineRefused(f"{launch.key} cannot be started: {error}.") from error
        for wave in order:
            for name in wave:
                await self._start(stack, services[name], report)
        for service in services.values():
            if service.name not in stack.running and not launch.spec.is_task(service.name):
                raise self._exited(stack, service.name)
        stack.launched = True
        return stack.endpoint

    async def _start(self, stack: MemoryStack, service: Service, report: Report) -> None:
        spec, name = stack.launch.spec, service.name
        task = spec.is_task(name)
        phase = "loader" if task else "create"
        report(Progress(phase, name))
        await self._step()
        stack.running.add(name)
        self.engine.started.append(name)
        stack.lines.setdefault(name, []).append(f"{name} started")
        if service.command is not None and service.command[:1] == ("exit",):
            stack.running.discard(name)
            self._ended(stack, name, int(service.command[1]))
        if name not in stack.running and not (task and stack.ended[name] == 0):
            raise self._exited(stack, name)
        report(Progress(phase, name, done=True))
        awaited = name == spec.serves or any(
            dependency.service == name and dependency.condition is Condition.HEALTHY
            for other in spec.services
            for dependency in other.depends_on
        )
        if service.healthcheck is not None and awaited:
            report(Progress("health", name))
            await self._step()
            if service.healthcheck.test == ("false",):
                raise ServiceUnhealthy(f"{name} is not healthy.", logs=self._tails(stack, 50), service=name)
            report(Progress("health", name, done=True))

    async def _halt(self, key: Key) -> None:
        self.engine.halts.append(key)
        if key in self.engine.stacks:
            await self._step()
            self.engine.stacks.pop(key, None)
        elif self.engine.away is not None:
            raise self.engine.away

    async def _freeze(self, key: Key, paused: bool) -> None:
        await self._step(0)
        stack = self.engine.stacks.get(key)
        if stack is None or not stack.whole:
            raise Mishap(f"{key} is not there.")
        stack.paused = paused

    async def _thaw(self, key: Key) -> Endpoint:
        await self._freeze(key, False)
        return self.engine.stacks[key].endpoint

    async def _survey(self) -> tuple[Found, ...]:
        await self._step(0)
        found = []
        for key, stack in self.engine.stacks.items():
            one = Found(key, stack.launch.generation, stack.endpoint, stack.launch.version, stack.paused)
            found.append(one if stack.whole else evolve(one, endpoint=None, paused=False))
        return tuple(found)

    def _ended(self, stack: MemoryStack, service: str, status: int) -> None:
        stack.ended[service] = status
        stack.lines.setdefault(service, []).append(f"{service} ended with status {status}")

    def _exited(self, stack: MemoryStack, service: str) -> ServiceExited:
        status = stack.ended.get(service)
        why = f"{service} ended with status {status}."
        return ServiceExited(why, logs=self._tails(stack, 50), service=service, status=status)

    def _tails(self, stack: MemoryStack, lines: int) -> tuple[LogTail, ...]:
        return tuple(LogTail(service, tuple(said[-lines:])) for service, said in stack.lines.items())
