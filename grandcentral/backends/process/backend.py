"""The process backend: a work tree and a few child processes for each version."""

from __future__ import annotations

import os
import random
import shutil
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any, ParamSpec, TypeVar

from twisted.internet.defer import Deferred, succeed
from twisted.internet.task import LoopingCall
from twisted.internet.threads import deferToThreadPool
from twisted.logger import Logger
from twisted.python.threadpool import ThreadPool
from zope.interface import implementer

from ... import events
from ...core import git
from ...core.keys import Key
from ...core.model import Endpoint, Found, Launch, LogTail
from ...errors import EngineRefused, EngineUnavailable, Mishap, ServiceExited
from ...interfaces import IBackend, Report, Vanished
from . import halting, logs, proc
from .home import Home, Record, Running
from .launching import Launching
from .ports import Ports
from .stack import Stack
from .watching import Process

LOGS_BOUNDED_EVERY = 0.25  # seconds; a program that prints as fast as it can writes some hundred MB in that time

P = ParamSpec("P")
T = TypeVar("T")

log = Logger()


@implementer(IBackend)
class ProcessBackend:
    """Runs stacks as processes of this machine, each in a work tree of its commit, listening on 127.0.0.1:$PORT.

    A process belongs to its stack by its session and by a variable in its environment (proc.members says how, and what
    escapes); it need not be our child. So stacks outlive a gateway that dies, and the next one takes them over by ``survey``.
    (Under systemd this takes ``KillMode=process``.) Needs Linux 5.3 or newer.

    :param reactor: IReactorTime, IReactorFDSet and IReactorThreads.
    :param state_dir: where work trees, logs and records are kept; of one gateway alone.
    :param repositories: app name -> path of its Git repository; it may change, and counts as it is when a stack starts.
    """

    name = "process"

    def __init__(self, reactor: Any, state_dir: str | os.PathLike[str], repositories: Mapping[str, str]) -> None:
        self._reactor = reactor
        self._homes = Path(os.path.realpath(state_dir)) / "stacks"
        self._repositories = repositories
        self._ports = Ports(random.randrange(2**16))
        self._stacks: dict[Key, Stack] = {}
        self._launches: dict[Deferred[Endpoint], Deferred[None]] = {}  # under way -> fires when it is over
        # For the two things that block for longer than a blink: reading all of /proc, and removing work trees.
        self._threads = ThreadPool(0, 4, name="grandcentral-process")
        self._bounding = LoopingCall(self._bound_logs)
        self._bounding.clock = reactor

    def watch(self, vanished: Vanished, returned: Callable[[], None]) -> None:
        """``returned`` is never called: processes are always there to be asked."""
        self._vanished = vanished

    def open(self) -> Deferred[None]:
        self._homes.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._threads.start()
        self._bounding.start(LOGS_BOUNDED_EVERY)
        return succeed(None)

    def close(self) -> Deferred[None]:
        return Deferred.fromCoroutine(self._close())

    async def _close(self) -> None:
        for launch, over in tuple(self._launches.items()):
            launch.cancel()
            await over
        self._bounding.stop()
        for stack in self._stacks.values():
            stack.let_go()
        self._stacks.clear()
        self._threads.stop()

    def launch(self, launch: Launch, report: Report) -> Deferred[Endpoint]:
        launched = Deferred.fromCoroutine(self._launch(launch, report))
        self._launches[launched] = Deferred()
        return launched.addBoth(self._launch_over, launched)

    def _launch_over(self, result: T, launched: Deferred[Endpoint]) -> T:
        self._launches.pop(launched).callback(None)
        return result

    async def _launch(self, launch: Launch, report: Report) -> Endpoint:
        repository = self._repositories.get(launch.key.app)
        if repository is None:
            raise EngineRefused(f"The app {launch.key.app} has no Git repository.")
        repository = os.path.abspath(os.path.expanduser(repository))
        home = Home.of(self._homes, launch.key)
        try:
            home.create()
        except OSError as error:
            raise EngineRefused(f"{home.path} cannot be made: {error.strerror}.") from error
        record = Record(launch.key, launch.generation, launch.version, launch.spec.serves, proc.boot_id())
        stack = self._stacks[launch.key] = Stack(home, record, self._lost)
        stack.note()
        return await Launching(self._reactor, stack, launch, report, repository, self._choose_port).run()

    def _choose_port(self) -> int:
        records = [stack.record for stack in self._stacks.values()]
        return self._ports.choose({service.port for record in records for service in record.services.values()})

    def _lost(self, stack: Stack, mishap: Mishap) -> None:
        self._vanished(stack.record.key, stack.record.generation, mishap)

    def halt(self, key: Key, grace: bool) -> Deferred[None]:
        return Deferred.fromCoroutine(self._halt(key, grace))

    async def _halt(self, key: Key, grace: bool) -> None:
        home = Home.of(self._homes, key)
        if key in self._stacks:
            self._stacks[key].quiet()
        if home.exists():
            record = home.read()
            services: Mapping[str, Running] = record.services if record else {}
            await halting.end(self._reactor, self._look(home), services, grace)
            await self._in_thread(home.remove)
        self._stacks.pop(key, None)

    def pause(self, key: Key) -> Deferred[None]:
        return Deferred.fromCoroutine(self._pause(key))

    async def _pause(self, key: Key) -> None:
        if not await halting.freeze(self._reactor, self._look(Home.of(self._homes, key))):
            raise gone(key)

    def resume(self, key: Key) -> Deferred[Endpoint]:
        return Deferred.fromCoroutine(self._resume(key))

    async def _resume(self, key: Key) -> Endpoint:
        await halting.thaw(self._reactor, self._look(Home.of(self._homes, key)))
        stack = self._stacks.get(key)
        endpoint = stack.endpoint if stack else None
        if endpoint is None:
            raise stack.fault if stack and stack.fault else gone(key)
        return endpoint

    def survey(self) -> Deferred[tuple[Found, ...]]:
        return Deferred.fromCoroutine(self._survey())

    async def _survey(self) -> tuple[Found, ...]:
        homes = (Home(path) for path in sorted(self._homes.iterdir()) if "@" in path.name)
        return tuple(self._found(home) for home in homes)

    def _found(self, home: Home) -> Found:
        stack = self._stacks.get(home.key) or self._adopt(home)
        return stack.found() if stack else Found(home.key, generation=0, endpoint=None)

    def _adopt(self, home: Home) -> Stack | None:
        """A stack of an earlier gateway, watched from now on if it is whole; None if all that is left of it is a directory."""
        record = home.read()
        if record is None or record.key != home.key:
            return None
        stack = Stack(home, record, self._lost)
        processes = {}
        if record.launched and record.boot == proc.boot_id():
            for name, service in stack.lasting.items():
                processes[name] = Process.adopt(self._reactor, service.pid, service.started)
        for name, process in processes.items():
            if process is not None:
                stack.watch(name, process)
        if len(stack.processes) < len(stack.lasting) or not record.launched:
            stack.let_go()
            stack.fault = gone(home.key)
        self._stacks[home.key] = stack
        return stack

    def logs(self, key: Key, lines: int) -> Deferred[tuple[LogTail, ...]]:
        home = Home.of(self._homes, key)
        record = self._stacks[key].record if key in self._stacks else home.read()
        services = record.services if record else {}
        return succeed(tuple(LogTail(name, logs.tail(home.log(name), lines)) for name in services))

    def check(self) -> Deferred[None]:
        return Deferred.fromCoroutine(self._check())

    async def _check(self) -> None:
        if shutil.which("git") is None:
            raise EngineUnavailable(git.NOT_INSTALLED)
        try:
            os.close(os.pidfd_open(os.getpid()))
        except (AttributeError, OSError) as error:
            raise EngineUnavailable(f"The process backend needs Linux 5.3 or newer: {error}.") from error

    # -- what blocks

    def _look(self, home: Home) -> Callable[[], Awaitable[tuple[proc.Seen, ...]]]:
        """Finds the processes of a stack, each time it is called."""
        record = home.read()
        leaders = record.leaders() if record and record.boot == proc.boot_id() else {}
        return lambda: self._in_thread(proc.members, home.mark, leaders)

    def _in_thread(self, blocking: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> Deferred[T]:
        return deferToThreadPool(self._reactor, self._threads, blocking, *args, **kwargs)

    def _bound_logs(self) -> None:
        for stack in self._stacks.values():
            for name in stack.record.services:
                path = stack.home.log(name)
                try:
                    logs.bound(path)
                except OSError as error:
                    log.warn(events.LOG_UNBOUNDED, path=path, why=error.strerror)


def gone(key: Key) -> ServiceExited:
    return ServiceExited(f"{key} does not run any more.")
