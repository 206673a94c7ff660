"""The calls of a backend, on the fake's engine."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping

from attrs import define, evolve, field
from twisted.internet.defer import Deferred, succeed
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import deferLater
from zope.interface import implementer

from ...core.keys import Key
from ...core.model import Endpoint, Found, Hook, Launch, LogTail, Progress, Service, Usage, Version
from ...core.ordering import Disordered, waves
from ...errors import EngineRefused, HookFailed, Mishap, NothingKept, ServiceExited, ServiceUnhealthy
from ...interfaces import IBackend, Report, Vanished
from .engine import IMAGE_SIZE, MemoryEngine, MemoryStack
from .shell import Shell


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
        if stack.watched and self._vanished is not None:
            stack.watched = False
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

    def stop(self, key: Key) -> Deferred[None]:
        return Deferred.fromCoroutine(self._stop(key))

    def restart(self, launch: Launch, report: Report) -> Deferred[Endpoint]:
        return Deferred.fromCoroutine(self._restart(launch, report))

    def halt(self, key: Key, grace: bool, volumes: bool = False) -> Deferred[None]:
        return Deferred.fromCoroutine(self._halt(key, volumes))

    def execute(self, key: Key, hook: Hook, within: float) -> Deferred[None]:
        return Deferred.fromCoroutine(self._execute(key, hook, within))

    def usage(self) -> Deferred[Mapping[Key, Usage]]:
        return Deferred.fromCoroutine(self._usage())

    def fetch(self, launch: Launch, report: Report) -> Deferred[None]:
        return Deferred.fromCoroutine(self._fetch(launch, report))

    def reclaim(self, keep: Collection[Version]) -> Deferred[int]:
        return Deferred.fromCoroutine(self._reclaim(frozenset(keep)))

    def volumes(self) -> Deferred[Collection[Key]]:
        return Deferred.fromCoroutine(self._volumes())

    def pause(self, key: Key) -> Deferred[None]:
        return Deferred.fromCoroutine(self._freeze(key, True))

    def resume(self, key: Key) -> Deferred[Endpoint]:
        return Deferred.fromCoroutine(self._thaw(key))

    def survey(self) -> Deferred[tuple[Found, ...]]:
        return Deferred.fromCoroutine(self._survey())

    def logs(self, key: Key, lines: int) -> Deferred[tuple[LogTail, ...]]:
        stack = self.engine.stacks.get(key)
        return succeed(self._tails(stack, lines) if stack else ())

    # -- starting -------------------------------------------------------------------------------------------------------

    async def _step(self, seconds: float | None = None) -> None:
        await deferLater(self._clock, self.step_seconds if seconds is None else seconds)
        self._answer()

    def _answer(self) -> None:
        if self.engine.away is not None:
            raise self.engine.away

    def _endpoint(self) -> Endpoint:
        return Endpoint("127.0.0.1", 10_000 + len(self.engine.launches) + len(self.engine.restarts))

    async def _launch(self, launch: Launch, report: Report) -> Endpoint:
        engine, key = self.engine, launch.key
        self._answer()
        engine.launches.append((key, launch.generation))
        if key in engine.stacks:
            engine.doubled.append(key)
        stack = engine.stacks[key] = MemoryStack(launch, self._endpoint())
        engine.images.add(launch.version)
        engine.kept_volumes.update((key, volume) for volume in launch.spec.volumes)
        engine.data[key] = 0
        return await self._run(stack, [service.name for service in launch.spec.services], report)

    async def _restart(self, launch: Launch, report: Report) -> Endpoint:
        engine, key = self.engine, launch.key
        self._answer()
        stack = engine.stacks.get(key)
        if stack is None or not stack.launched:
            raise NothingKept(f"Nothing is kept of {key}, or not all of it.")
        engine.restarts.append((key, stack.launch.generation))
        if not stack.stopped:
            engine.doubled.append(key)
        stack.endpoint = self._endpoint()
        spec = stack.launch.spec
        return await self._run(stack, [service.name for service in spec.services if not spec.is_task(service.name)], report)

    async def _run(self, stack: MemoryStack, names: Collection[str], report: Report) -> Endpoint:
        """Start these services, in order."""
        spec = stack.launch.spec
        stack.starting = True
        self.engine.peak = max(self.engine.peak, self.engine.occupied())
        try:
            for name in self._in_order(stack):
                if name in names:
                    await self._start(stack, spec.service(name), report)
        finally:
            stack.starting = False
        for service in spec.services:
            if service.name not in stack.running and not spec.is_task(service.name):
                raise self._exited(stack, service.name)
        stack.launched = stack.watched = True
        return stack.endpoint

    def _in_order(self, stack: MemoryStack) -> Iterator[str]:
        try:
            return (name for wave in waves(stack.launch.spec.services) for name in wave)
        except Disordered as error:
            raise EngineRefused(f"{stack.launch.key} cannot be started: {error}.") from error

    async def _start(self, stack: MemoryStack, service: Service, report: Report) -> None:
        spec, name = stack.launch.spec, service.name
        task = spec.is_task(name)
        phase = "loader" if task else "create"
        report(Progress(phase, name))
        await self._step()
        again = name in stack.lines
        stack.running.add(name)
        self.engine.started.append(name)
        stack.lines.setdefault(name, []).append(f"{name} started")
        match service.command:
            case ("exit", status):
                self._end(stack, name, int(status))
            case ("once", status) if again:
                self._end(stack, name, int(status))
        if name not in stack.running and not (task and stack.ended[name] == 0):
            raise self._exited(stack, name)
        report(Progress(phase, name, done=True))
        if service.healthcheck is not None and spec.must_be_healthy(name):
            report(Progress("health", name))
            await self._step()
            if service.healthcheck.test == ("false",) or (service.healthcheck.test == ("once",) and again):
                raise ServiceUnhealthy(f"{name} is not healthy.", logs=self._tails(stack, 50), service=name)
            report(Progress("health", name, done=True))

    # -- sleeping -------------------------------------------------------------------------------------------------------

    async def _stop(self, key: Key) -> None:
        self.engine.stops.append(key)
        stack = self.engine.stacks.get(key)
        if stack is None or stack.stopped:
            self._answer()
            return
        stack.watched = False
        await self._step()
        self.engine.stopped.extend(name for name in reversed([*self._in_order(stack)]) if name in stack.running)
        stack.running.clear()
        stack.paused = False

    async def _halt(self, key: Key, volumes: bool) -> None:
        engine = self.engine
        engine.halts.append(key)
        stack = engine.stacks.get(key)
        if stack is None:
            self._answer()
        else:
            stack.watched = False
            await self._step()
            engine.stacks.pop(key, None)  # a killed gateway may have asked for it too
        disposable = stack.launch.spec.disposable if stack else frozenset()
        engine.kept_volumes = {
            (owner, volume) for owner, volume in engine.kept_volumes if owner != key or not (volumes or volume in disposable)
        }
        engine.files = {
            (owner, at, path) for owner, at, path in engine.files if owner != key or (owner, at) in engine.kept_volumes
        }

    async def _freeze(self, key: Key, paused: bool) -> None:
        await self._step(0)
        stack = self.engine.stacks.get(key)
        if stack is None or not stack.whole:
            raise Mishap(f"{key} does not run.")
        stack.paused = paused

    async def _thaw(self, key: Key) -> Endpoint:
        await self._freeze(key, False)
        return self.engine.stacks[key].endpoint

    # -- the rest -------------------------------------------------------------------------------------------------------

    async def _execute(self, key: Key, hook: Hook, within: float) -> None:
        self.engine.hooks.append((key, hook))
        shell = Shell(self.engine.files, key, self._service(key, hook))
        status = shell.run(hook.command)
        await self._step(within if status is None else None)
        self._service(key, hook)
        if status != 0:
            how = f"took longer than {within:g} s" if status is None else f"ended with status {status}"
            raise HookFailed(f"{hook.command} {how}.", logs=(LogTail(hook.service, tuple(shell.said)),))

    def _service(self, key: Key, hook: Hook) -> Service:
        stack = self.engine.stacks.get(key)
        if stack is None or stack.paused or hook.service not in stack.running:
            raise HookFailed(f"{hook.service} of {key} does not run.")
        return stack.launch.spec.service(hook.service)

    async def _usage(self) -> Mapping[Key, Usage]:
        await self._step(0)
        return {key: Usage(0 if stack.stopped else self.engine.memory.get(key, 0)) for key, stack in self.engine.stacks.items()}

    async def _fetch(self, launch: Launch, report: Report) -> None:
        self.engine.fetched.append(launch.key)
        report(Progress("pull"))
        await self._step()
        self.engine.images.add(launch.version)
        report(Progress("pull", done=True))

    async def _reclaim(self, keep: frozenset[Version]) -> int:
        self.engine.reclaims.append(keep)
        await self._step()
        unused = self.engine.images - keep - {stack.launch.version for stack in self.engine.stacks.values()}
        self.engine.images -= unused
        return len(unused) * IMAGE_SIZE

    async def _volumes(self) -> Collection[Key]:
        await self._step(0)
        disposable = {
            (key, volume) for key, stack in self.engine.stacks.items() for volume in stack.launch.spec.disposable
        }
        return {key for key, _ in self.engine.kept_volumes - disposable}

    async def _survey(self) -> tuple[Found, ...]:
        await self._step(0)
        for stack in self.engine.stacks.values():
            stack.watched |= stack.whole  # though an earlier gateway had begun to stop it
        return tuple(self._found(stack) for stack in self.engine.stacks.values())

    def _found(self, stack: MemoryStack) -> Found:
        launch = stack.launch
        one = Found(launch.key, launch.generation, None, launch.version, kept=stack.launched, running=not stack.stopped)
        return evolve(one, endpoint=stack.endpoint, paused=stack.paused) if stack.whole else one

    def _end(self, stack: MemoryStack, service: str, status: int) -> None:
        stack.running.discard(service)
        self._ended(stack, service, status)

    def _ended(self, stack: MemoryStack, service: str, status: int) -> None:
        stack.ended[service] = status
        stack.lines.setdefault(service, []).append(f"{service} ended with status {status}")

    def _exited(self, stack: MemoryStack, service: str) -> ServiceExited:
        status = stack.ended.get(service)
        why = f"{service} ended with status {status}."
        return ServiceExited(why, logs=self._tails(stack, 50), service=service, status=status)

    def _tails(self, stack: MemoryStack, lines: int) -> tuple[LogTail, ...]:
        return tuple(LogTail(service, tuple(said[-lines:])) for service, said in stack.lines.items())
