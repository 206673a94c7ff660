"""The sequence of a start: work tree, Procfile, services wave by wave, and whether the port is really ours."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Collection
from typing import Any

from attrs import define
from twisted.internet.defer import Deferred, TimeoutError
from twisted.internet.task import deferLater
from twisted.logger import Logger

from ... import events
from ...core import procfile
from ...core.model import Endpoint, Launch, Progress, Service, StackSpec
from ...core.ordering import Disordered, waves
from ...core.problems import Invalid
from ...core.readiness import next_check
from ...errors import EngineRefused, NothingKept, ServiceExited, ServiceUnhealthy
from ...interfaces import Report
from . import proc
from .checkout import check_out
from .ports import NoPort
from .stack import LINES, Stack
from .watching import finished

LISTENS_WITHIN = 0.5  # seconds that a launch waits for the port to be listened on; what is slower is not checked
_LOOK_EVERY = 0.005  # seconds

log = Logger()


@define(eq=False)
class Launching:
    """One start of a stack: ``run`` it once, or ``run_again``.

    :param reactor: IReactorTime and IReactorFDSet.
    :param choose_port: hands out a free port, the given one if that is free; raises NoPort.
    """

    reactor: Any
    stack: Stack
    launch: Launch
    report: Report
    choose_port: Callable[[int | None], int]

    async def run(self, repository: str) -> Endpoint:
        """As IBackend.launch says.

        :param repository: absolute path.
        """
        commit = commit_of(self.launch, repository)
        self.report(Progress("pull", detail=f"commit {commit[:10]}"))
        mark = {proc.MARK: self.stack.home.mark}
        await check_out(self.reactor, repository, commit, self.stack.home.tree, mark)
        self.report(Progress("pull", done=True))
        spec = self._spec()
        return await self._run(spec, {service.name for service in spec.services})

    async def run_again(self) -> Endpoint:
        """As IBackend.restart says; with the commands that the template has now, if it still has the same services."""
        record = self.stack.record
        if not self.stack.kept:
            raise NothingKept(f"{record.key} is not there any more, or was never whole.")
        if record.version.commit != self.launch.version.commit:
            raise NothingKept(f"{record.key} was stopped at another commit.")
        spec = self._spec()
        names = {service.name for service in spec.services}
        if names != record.services.keys():
            raise NothingKept(f"{record.key} was stopped when it had other services.")
        self.stack.fault = None
        self._keep_data()
        self.stack.note(boot=proc.boot_id(), stopped=True, services=record.idle().services)
        return await self._run(spec, {name for name in names if not spec.is_task(name)})

    def _keep_data(self) -> None:
        """Of a stack that an earlier release has made, or whose data somebody has removed."""
        try:
            self.stack.home.keep_data()
        except OSError as error:
            raise EngineRefused(f"{self.stack.home.data} cannot be made: {error.strerror}.") from error

    async def _run(self, spec: StackSpec, names: Collection[str]) -> Endpoint:
        """Start these of the services."""
        for number, wave in enumerate(self._waves(spec)):
            await self._start(spec, [spec.service(name) for name in wave if name in names], number)
        await self._claim(spec.service(spec.serves))
        self.stack.note(launched=True, stopped=False)
        endpoint = self.stack.endpoint
        assert endpoint is not None
        return endpoint

    def _spec(self) -> StackSpec:
        """What to run: as asked, or as the commit's Procfile says."""
        path = procfile.procfile_of(self.launch.spec)
        if path is None:
            return self.launch.spec
        try:
            return procfile.filled(self.launch.spec, (self.stack.home.tree / path).read_text())
        except FileNotFoundError:
            raise EngineRefused(f"This commit has no {path}. Add one, or give the app a command.") from None
        except (OSError, UnicodeDecodeError) as error:
            raise EngineRefused(f"The {path} of this commit cannot be read: {error}.") from error
        except Invalid as invalid:
            why = "; ".join(map(str, invalid.problems))
            raise EngineRefused(f"The {path} of this commit cannot be used: {why}.") from invalid

    def _waves(self, spec: StackSpec) -> tuple[tuple[str, ...], ...]:
        if spec.port != 0:
            raise EngineRefused(f"Port {spec.port} is fixed; two versions could not run at once. Listen on $PORT.")
        try:
            return waves(spec.services)
        except Disordered as disordered:
            raise EngineRefused(f"{disordered}.") from disordered

    async def _start(self, spec: StackSpec, services: list[Service], wave: int) -> None:
        """Start a wave, and wait for all that anybody waits for of it."""
        for service in services:
            self.report(Progress("create", service.name))
            port = None if spec.is_task(service.name) else self._port(service.name)
            self.stack.start(self.reactor, self.launch, service, port, wave)
            self.report(Progress("create", service.name, done=True))
        for service in services:
            if spec.is_task(service.name):
                self.report(Progress("loader", service.name))
                await self.stack.step(self.stack.processes[service.name].ended())
                self.report(Progress("loader", service.name, done=True))
            elif must_be_healthy(spec, service):
                self.report(Progress("health", service.name))
                await self.stack.step(Deferred.fromCoroutine(self._healthy(service)))
                self.report(Progress("health", service.name, done=True))

    async def _healthy(self, service: Service) -> None:
        """Check until it is healthy. It may take as long as its Compose file allows, but we ask at our own pace."""
        check = service.healthcheck
        assert check is not None
        began = self.reactor.seconds()
        deadline = began + check.start_period + check.retries * check.interval
        name = f"{service.name} health check"
        while True:
            probe = self.stack.beside(self.reactor, service.name, check.test, self.stack.home.log(name))
            try:
                if await finished(probe, self.reactor, check.timeout) == 0:
                    return
            except TimeoutError:
                pass  # as good as a failure
            delay = next_check(self.reactor.seconds() - began)
            if self.reactor.seconds() + delay > deadline:
                why = f"{service.name} is not healthy: {' '.join(check.test)} kept failing."
                raise ServiceUnhealthy(why, logs=self.stack.tails([service.name, name], LINES), service=service.name)
            await deferLater(self.reactor, delay)

    async def _claim(self, serves: Service) -> None:
        """See that whoever listens on the port is ours. If not, start the service again on another port, once."""
        for attempt in range(2):
            running = self.stack.record.services[serves.name]
            port = running.port
            assert port is not None
            if not await self._stranger(serves.name, port):
                return
            log.info(events.PORT_TAKEN, key=self.launch.key, port=port)
            if attempt == 0:
                await self._end(serves.name)
                self.stack.start(self.reactor, self.launch, serves, self._port(), running.wave)
        raise EngineRefused(f"Other processes took the ports that were meant for {self.launch.key}.")

    async def _stranger(self, serves: str, port: int) -> bool:
        """Whether another process than one of the stack listens on the port. False too if nobody listens there yet.

        Raises EngineRefused if the stack listens there, and not where it will be asked.
        """
        deadline = self.reactor.seconds() + LISTENS_WITHIN
        listeners: frozenset[int] = frozenset()
        while self.reactor.seconds() < deadline:
            if listeners := proc.listening(port):
                if not self._ours(serves, listeners):
                    return True
                if proc.on_loopback(port):
                    return False
            try:
                await self.stack.step(deferLater(self.reactor, _LOOK_EVERY))
            except ServiceExited as exited:
                # "Address already in use", as each application says in its own words.
                if exited.service == serves and (listeners := proc.listening(port)):
                    return not self._ours(serves, listeners)
                raise
        if listeners:
            why = f"{serves} listens on port {port}, but not at 127.0.0.1. Have it listen on $HOST, or on every address."
            raise EngineRefused(why, logs=self.stack.tails([serves], LINES))
        return False

    def _ours(self, serves: str, listeners: frozenset[int]) -> bool:
        """Whether a process of the stack holds one of these sockets: the one we started, most likely."""
        record = self.stack.record
        if listeners & proc.sockets(record.services[serves].pid):
            return True
        members = proc.members(self.stack.home.mark, record.leaders())
        return any(listeners & proc.sockets(seen.pid) for seen in members)

    async def _end(self, serves: str) -> None:
        """Kill a service that is to be started again."""
        process = self.stack.unwatch(serves)
        self.stack.fault = None
        if process.running:
            os.killpg(process.pid, signal.SIGKILL)
            await process.ended()

    def _port(self, again: str = "") -> int:
        """A port; that which a service of this name had, if it is free."""
        running = self.stack.record.services.get(again)
        try:
            return self.choose_port(running.port if running else None)
        except NoPort as error:
            raise EngineRefused(f"{self.launch.key} gets no port: {error}.") from error


def commit_of(launch: Launch, repository: str) -> str:
    """What is to be checked out. Raises EngineRefused."""
    if launch.version.commit is None:
        raise EngineRefused(f"{launch.version.name} is not a commit of {repository}.")
    return launch.version.commit


def must_be_healthy(spec: StackSpec, service: Service) -> bool:
    """Whether the start waits for the health check of a service."""
    check = service.healthcheck
    return check is not None and not check.disabled and spec.must_be_healthy(service.name)
