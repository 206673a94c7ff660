"""One stack that this gateway knows: its record on disk, and its processes, each of them watched."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from attrs import define, evolve, field
from twisted.internet.defer import CancelledError, Deferred

from ...core.keys import Key
from ...core.model import Endpoint, Found, Launch, LogTail, Service
from ...errors import EngineRefused, Mishap, ServiceExited
from . import logs, proc
from .environment import environment
from .home import Home, Record, Running
from .watching import Process, spawn

LINES = 40  # of the log, told with a failure


@define(eq=False)
class Stack:
    """``lost`` is called once, with the reason, when a launched stack loses a service."""

    home: Home
    record: Record
    lost: Callable[[Stack, Mishap], None]
    processes: dict[str, Process] = field(factory=dict)
    fault: Mishap | None = None  # why it is not whole any more, or cannot become whole
    _step: Deferred[Any] | None = None  # what the launch waits for just now

    @property
    def endpoint(self) -> Endpoint | None:
        """Where it listens; None unless it is whole."""
        if not self.record.up or self.fault is not None:
            return None
        port = self.record.services[self.record.serves].port
        return None if port is None else Endpoint("127.0.0.1", port)

    def found(self, running: bool) -> Found:
        leader = self.record.services.get(self.record.serves)
        seen = proc.look(leader.pid) if leader else None
        return Found(
            key=self.record.key,
            generation=self.record.generation,
            endpoint=self.endpoint,
            version=self.record.version,
            paused=self.endpoint is not None and seen is not None and seen.stopped,
            kept=self.kept,
            running=running,
        )

    @property
    def kept(self) -> bool:
        """It was whole once, and its work tree is still there."""
        return self.record.launched and self.home.tree.is_dir()

    def note(self, **changes: Any) -> None:
        """Change the record, in memory and on disk. Raises EngineRefused where it cannot be written."""
        self.record = evolve(self.record, **changes)
        try:
            self.home.write(self.record)
        except OSError as error:
            raise EngineRefused(f"{self.home.path} cannot be written: {error.strerror}.") from error

    # -- starting

    def start(self, reactor: Any, launch: Launch, service: Service, port: int | None, wave: int) -> None:
        """Start a service and watch it. Raises EngineRefused.

        :param port: None for a task, which should end with status 0; anything else should go on running.
        """
        if service.command is None:
            raise EngineRefused(f"{service.name} has no command: an image cannot be run without an engine.")
        running = Running(
            pid=0,
            started=0,
            port=port,
            stop_signal=signal_number(service.stop_signal),
            grace=service.stop_grace_period,
            wave=wave,
            directory=service.working_dir or "",
            environment=environment(os.environ, launch, service, port, self.home),
        )
        command = (*(service.entrypoint or ()), *service.command)
        process = self._spawn(reactor, service.name, running, command, self.home.log(service.name))
        running = evolve(running, pid=process.pid, started=process.started)
        self.note(services={**self.record.services, service.name: running})
        self.watch(service.name, process)

    def beside(self, reactor: Any, name: str, command: Sequence[str], output: Path) -> Process:
        """Start a program as a service was started: where it was, and with its environment. Raises EngineRefused."""
        return self._spawn(reactor, name, self.record.services[name], command, output)

    def _spawn(self, reactor: Any, name: str, running: Running, command: Sequence[str], output: Path) -> Process:
        directory = self.home.tree / running.directory
        try:
            return spawn(reactor, command, directory, running.environment, output)
        except OSError as error:
            why = f"{name}: {command[0]} cannot be started in {directory}: {error.strerror}."
            raise EngineRefused(why) from error

    async def step(self, waiting: Deferred[Any]) -> Any:
        """Wait for something during the launch. A service that ends meanwhile as it should not ends the wait: it raises the
        Mishap."""
        self._step = waiting
        try:
            if self.fault is not None:
                waiting.cancel()
            return await waiting
        except CancelledError:
            if self.fault is not None:
                raise self.fault from None
            raise
        finally:
            self._step = None

    # -- watching

    @property
    def lasting(self) -> dict[str, Running]:
        """The services that should be running."""
        return {name: service for name, service in self.record.services.items() if not service.is_task}

    def watch(self, name: str, process: Process) -> None:
        self.processes[name] = process
        process.ended().addCallback(self._ended, name, process)

    def unwatch(self, name: str) -> Process:
        """That service may end now."""
        return self.processes.pop(name)

    def quiet(self) -> None:
        """From now on all of them may end."""
        self.processes.clear()

    def let_go(self) -> None:
        """Watch nothing any more; what runs goes on."""
        for process in self.processes.values():
            process.let_go()
        self.processes.clear()

    def _ended(self, status: int | None, name: str, process: Process) -> None:
        if self.processes.get(name) is not process or self.fault is not None:
            return
        if self.record.services[name].is_task and status == 0:
            return
        self.fault = self.exited(name, status)
        if self.record.up:
            self.lost(self, self.fault)
        elif self._step is not None:
            self._step.cancel()

    def exited(self, name: str, status: int | None) -> ServiceExited:
        return ServiceExited(f"{name} {how(status)}.", logs=self.tails([name], LINES), service=name, status=status)

    def tails(self, names: list[str], lines: int) -> tuple[LogTail, ...]:
        return tuple(LogTail(name, logs.tail(self.home.log(name), lines)) for name in names)


def adopt(reactor: Any, home: Home, lost: Callable[[Stack, Mishap], None]) -> Stack | None:
    """A stack of an earlier gateway, watched from now on if all of it runs; None if nothing is written down of it."""
    record = home.read()
    if record is None or record.key != home.key:
        return None
    leaders = record.leaders()
    stack = Stack(home, record if leaders else record.idle(), lost)
    if record.up and leaders:
        for name, service in stack.lasting.items():
            process = Process.adopt(reactor, service.pid, service.started)
            if process is not None:
                stack.watch(name, process)
    if not record.up or len(stack.processes) < len(stack.lasting):
        stack.let_go()
        stack.fault = gone(home.key)
    return stack


def gone(key: Key) -> ServiceExited:
    return ServiceExited(f"{key} does not run any more.")


def how(status: int | None) -> str:
    """ "ended with status 1", "was ended by SIGKILL"."""
    if status is None:
        return "ended"
    if status >= 0:
        return f"ended with status {status}"
    try:
        return f"was ended by {signal.Signals(-status).name}"
    except ValueError:
        return f"was ended by signal {-status}"


def signal_number(name: str | None) -> int:
    """SIGTERM for None; "SIGINT", "INT" and "2" are the same. Raises EngineRefused."""
    if name is None:
        return signal.SIGTERM
    if name.isdigit() and int(name) in signal.valid_signals():
        return int(name)
    try:
        return signal.Signals[name if name.startswith("SIG") else f"SIG{name}"]
    except KeyError:
        raise EngineRefused(f"There is no signal {name!r}.") from None
