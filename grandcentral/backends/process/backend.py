"""The process backend: a work tree and a few child processes for each version."""

from __future__ import annotations

import os
import random
import shutil
from collections.abc import Awaitable, Callable, Collection, Coroutine, Iterable, Mapping
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
from ...core.model import Endpoint, Found, Hook, Launch, LogTail, Usage, Version
from ...errors import EngineRefused, EngineUnavailable, Mishap, NothingKept
from ...interfaces import IBackend, Report, Vanished
from . import halting, hooks, logs, proc
from .checkout import look_up
from .home import Home, Record
from .launching import Launching, commit_of
from .ports import Ports
from .stack import Stack, adopt, gone

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

    What is kept of a stopped stack is its work tree, with whatever it has written there. What it writes to the directory that
    GRANDCENTRAL_DATA names is kept like a named volume: the next launch finds it, of whichever commit.

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
        self._under_way: dict[Deferred[Any], Deferred[None]] = {}  # starts, hooks -> fires when it is over
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
        for deferred, over in tuple(self._under_way.items()):
            deferred.cancel()
            await over
        self._bounding.stop()
        for stack in self._stacks.values():
            stack.let_go()
        self._stacks.clear()
        self._threads.stop()

    def _tracked(self, sequence: Coroutine[Any, Any, T]) -> Deferred[T]:
        """What ``close`` has to call off."""
        deferred = Deferred.fromCoroutine(sequence)
        self._under_way[deferred] = Deferred()
        return deferred.addBoth(self._over, deferred)

    def _over(self, result: T, deferred: Deferred[T]) -> T:
        self._under_way.pop(deferred).callback(None)
        return result

    # -- starting

    def launch(self, launch: Launch, report: Report) -> Deferred[Endpoint]:
        return self._tracked(self._launch(launch, report))

    async def _launch(self, launch: Launch, report: Report) -> Endpoint:
        repository = self._repository(launch)
        home = Home.of(self._homes, launch.key)
        try:
            home.create()
        except OSError as error:
            raise EngineRefused(f"{home.path} cannot be made: {error.strerror}.") from error
        record = Record(launch.key, launch.generation, launch.version, launch.spec.serves, proc.boot_id())
        stack = self._stacks[launch.key] = Stack(home, record, self._lost)
        stack.note()
        return await Launching(self._reactor, stack, launch, report, self._choose_port).run(repository)

    def restart(self, launch: Launch, report: Report) -> Deferred[Endpoint]:
        return self._tracked(self._restart(launch, report))

    async def _restart(self, launch: Launch, report: Report) -> Endpoint:
        stack = self._known(Home.of(self._homes, launch.key))
        if stack is None:
            raise NothingKept(f"Nothing is kept of {launch.key}.")
        return await Launching(self._reactor, stack, launch, report, self._choose_port).run_again()

    def fetch(self, launch: Launch, report: Report) -> Deferred[None]:
        """Commits are in the repository already, or cannot be had; only that is looked at."""
        return self._tracked(self._fetch(launch))

    async def _fetch(self, launch: Launch) -> None:
        repository = self._repository(launch)
        await look_up(self._reactor, repository, commit_of(launch, repository))

    def reclaim(self, keep: Collection[Version]) -> Deferred[int]:
        """Nothing is ever fetched, and a work tree goes with its stack."""
        return succeed(0)

    def volumes(self) -> Deferred[Collection[Key]]:
        """There are none: what a stack has stored is in its work tree, and goes with it."""
        return succeed(())

    def _repository(self, launch: Launch) -> str:
        repository = self._repositories.get(launch.key.app)
        if repository is None:
            raise EngineRefused(f"The app {launch.key.app} has no Git repository.")
        return os.path.abspath(os.path.expanduser(repository))

    def _choose_port(self, before: int | None) -> int:
        records = [stack.record for stack in self._stacks.values()]
        return self._ports.choose({service.port for record in records for service in record.services.values()}, before)

    def _lost(self, stack: Stack, mishap: Mishap) -> None:
        self._vanished(stack.record.key, stack.record.generation, mishap)

    # -- sleep

    def stop(self, key: Key) -> Deferred[None]:
        return Deferred.fromCoroutine(self._stop(key))

    async def _stop(self, key: Key) -> None:
        home = Home.of(self._homes, key)
        stack = self._known(home)
        if stack is not None:
            stack.quiet()
            self._note(stack, stopped=True)
        await self._end(home, grace=True)
        if stack is not None:
            self._note(stack, services=stack.record.idle().services)

    def _note(self, stack: Stack, **changes: Any) -> None:
        """A stop goes on where the disk is full: the next gateway will see for itself that nothing runs."""
        try:
            stack.note(**changes)
        except EngineRefused as error:
            log.warn(events.STOP_NOT_NOTED, key=stack.record.key, why=str(error))

    def halt(self, key: Key, grace: bool, volumes: bool = False) -> Deferred[None]:
        return Deferred.fromCoroutine(self._halt(key, grace, volumes))

    async def _halt(self, key: Key, grace: bool, volumes: bool) -> None:
        home = Home.of(self._homes, key)
        if key in self._stacks:
            self._stacks[key].quiet()
        await self._end(home, grace)
        await self._in_thread(home.remove, volumes)
        self._stacks.pop(key, None)

    async def _end(self, home: Home, grace: bool) -> None:
        if home.exists():
            record = self._record(home)
            await halting.end(self._reactor, self._look(home), record.services if record else {}, grace)

    def execute(self, key: Key, hook: Hook, within: float) -> Deferred[None]:
        return self._tracked(hooks.run(self._reactor, self._stacks.get(key), hook, within))

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

    # -- what there is

    def survey(self) -> Deferred[tuple[Found, ...]]:
        return Deferred.fromCoroutine(self._survey())

    async def _survey(self) -> tuple[Found, ...]:
        homes = self._all_homes()
        members = await self._in_thread(proc.members_of, self._leaders(homes))
        return tuple(self._found(home, bool(members[home.mark])) for home in homes if home.exists())

    def _found(self, home: Home, running: bool) -> Found:
        stack = self._known(home)
        if stack is None:
            return Found(home.key, generation=0, endpoint=None, running=running)
        if any(process.running for process in stack.processes.values()):
            running = True  # it may have been started since
        if not running:
            stack.record = stack.record.idle()
        return stack.found(running)

    def _known(self, home: Home) -> Stack | None:
        """The stack in that directory, of an earlier gateway perhaps; None if there is no more of it than that, or not even
        that."""
        if home.key not in self._stacks and (stack := adopt(self._reactor, home, self._lost)) is not None:
            self._stacks[home.key] = stack
        return self._stacks.get(home.key)

    def usage(self) -> Deferred[Mapping[Key, Usage]]:
        """The size of a work tree is not told: counting it takes as long as removing it."""
        return Deferred.fromCoroutine(self._usage())

    async def _usage(self) -> Mapping[Key, Usage]:
        homes = self._all_homes()
        memory = await self._in_thread(proc.memory_of, self._leaders(homes))
        return {home.key: Usage(memory[home.mark]) for home in homes}

    def logs(self, key: Key, lines: int) -> Deferred[tuple[LogTail, ...]]:
        home = Home.of(self._homes, key)
        record = self._record(home)
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

    def _all_homes(self) -> list[Home]:
        return [Home(path) for path in sorted(self._homes.iterdir()) if "@" in path.name]

    def _record(self, home: Home) -> Record | None:
        return self._stacks[home.key].record if home.key in self._stacks else home.read()

    def _leaders(self, homes: Iterable[Home]) -> dict[str, dict[int, int]]:
        return {home.mark: record.leaders() if (record := self._record(home)) else {} for home in homes}

    def _look(self, home: Home) -> Callable[[], Awaitable[tuple[proc.Seen, ...]]]:
        """Finds the processes of a stack, each time it is called."""
        leaders = self._leaders([home])[home.mark]
        return lambda: self._in_thread(proc.members, home.mark, leaders)

    def _in_thread(self, blocking: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> Deferred[T]:
        return deferToThreadPool(self._reactor, self._threads, blocking, *args, **kwargs)

    def _bound_logs(self) -> None:
        for stack in self._stacks.values():
            for path in stack.home.logs.glob("*.log") if stack.processes else ():
                try:
                    logs.bound(path)
                except OSError as error:
                    log.warn(events.LOG_UNBOUNDED, path=path, why=error.strerror)
