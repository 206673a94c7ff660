"""The gateway as a Twisted service: opened in order, closed in reverse.

The listening sockets are bound before anything else, so that a port in use is said at once; nobody is accepted until what
already runs has been found. Until then the kernel's backlog is the queue.

A little over the usual length: opening, reading anew and closing are one order and its reverse.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Awaitable, Callable, Iterable
from functools import partial
from typing import Any

from attrs import evolve
from twisted.application.service import IService, Service
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.endpoints import serverFromString
from twisted.internet.error import CannotListenError, ReactorNotRunning
from twisted.internet.interfaces import IListeningPort, IProtocolFactory
from twisted.internet.task import LoopingCall
from twisted.logger import Logger
from twisted.python.failure import Failure

from . import __version__, events
from .assembly import Crowd, Parts, assemble
from .config import Configuration
from .core.model import Door
from .core.problems import Invalid
from .notify import Systemd
from .observe.service import LoggingService
from .options import Options, configured
from .workers import places
from .workers.assignment import control
from .workers.hub import HubFactory
from .workers.sockets import BACKLOG

__all__ = ["Gateway", "Options", "makeService"]

PREDECESSOR = 5.0  # seconds that another gateway on the same state has to end


def makeService(options: Options) -> IService:
    """What ``twistd grandcentral`` runs."""
    from twisted.internet import reactor

    service = LoggingService(options.observer)
    configuration = options.configuration
    gateway = Gateway(
        reactor,
        configuration,
        log_file=options.log_file,
        read_again=lambda: configured(str(configuration.path), os.environ),
        systemd=Systemd.of(os.environ, os.getpid()),
    )
    gateway.setServiceParent(service)
    return service


class Gateway(Service):
    """``opened`` fires when requests are served, and fails if that did not come about.

    :param log_file: where the log goes, if that is a file.
    :param read_again: reads the configuration anew, for SIGHUP; raises Invalid. Without it signals are left to the reactor.
    """

    def __init__(
        self,
        reactor: Any,
        configuration: Configuration,
        log_file: str | None = None,
        read_again: Callable[[], Configuration] | None = None,
        systemd: Systemd | None = None,
    ) -> None:
        self.name = "grandcentral"
        self.opened: Deferred[None] = Deferred()
        self._reactor = reactor
        self._configuration = configuration
        self._log_file = log_file
        self._read_again = read_again
        self._systemd = systemd or Systemd()
        self._ports: list[IListeningPort] = []
        self._lock: int | None = None
        self._parts: Parts | None = None
        self._opening: Deferred[None] | None = None
        self._watchdog: LoopingCall | None = None
        self._log = Logger(namespace="grandcentral")

    # -- opening ----------------------------------------------------------------------------------------------------------

    def privilegedStartService(self) -> None:
        """Bind, while we still may. Ends the process with a sentence if something cannot be had."""
        if self._parts is not None:
            return
        gateway = self._configuration.gateway
        gateway.state.mkdir(parents=True, exist_ok=True)
        self._lock_state()
        parts = self._parts = assemble(self._reactor, self._configuration, self._secret(), self._log_file)
        if parts.doors is not None:
            for door in self._configuration.doors:
                self._bind(door.endpoint, parts.doors.factory(door))
        if parts.workers is not None:
            try:
                parts.workers.crew.bind()
            except OSError as error:
                self._cannot_listen(_where(self._configuration), error)
        self._bind(self._configuration.admin.listen, parts.admin)
        if self._configuration.provision.listen is not None:
            self._bind(self._configuration.provision.listen, parts.admin.for_provisioning())

    def _lock_state(self) -> None:
        state = self._configuration.gateway.state
        try:
            self._lock = places.hold(state / "lock", PREDECESSOR)
        except places.Taken as taken:
            raise SystemExit(
                f"grandcentral: the state directory {state} is another gateway's (process {taken.holder}). "
                f"Stop that one, or give this one a state directory of its own in {self._configuration.path}."
            ) from None

    def _secret(self) -> bytes:
        try:
            return places.secret(self._configuration.gateway.state / "tokens.secret")
        except (OSError, ValueError) as error:
            raise SystemExit(
                f"grandcentral: the secret of which the tokens of stacks are made cannot be had: {error}. If the file is "
                "damaged, remove it: stacks get new tokens when they are started the next time."
            ) from None

    def _bind(self, description: str, factory: IProtocolFactory) -> None:
        failures: list[Failure] = []
        # Twisted's default is 50, which a few hundred clients at once overrun.
        roomy = description.startswith("tcp:") and "backlog=" not in description
        endpoint = f"{description}:backlog={BACKLOG}" if roomy else description
        binding = serverFromString(self._reactor, endpoint).listen(factory)
        binding.addCallbacks(self._ports.append, failures.append)
        if not failures:
            self._pause(self._ports[-1])
            return
        failure = failures[0]
        failure.trap(CannotListenError, OSError)
        self._cannot_listen(description, getattr(failure.value, "socketError", failure.value))

    def _cannot_listen(self, description: str, why: object) -> None:
        for port in self._ports:
            port.stopListening()
        raise SystemExit(
            f"grandcentral: cannot listen on {description}: {why}. Is another gateway running? "
            f"The address is set in {self._configuration.path}."
        )

    @staticmethod
    def _pause(port: Any) -> None:
        port.stopReading()

    def startService(self) -> None:
        self.privilegedStartService()
        super().startService()
        if self._read_again is not None:
            self._reactor.callWhenRunning(self._hear_signals, self._read_again)  # after the reactor has set its own handlers
        self._opening = Deferred.fromCoroutine(self._open())
        self._opening.addCallbacks(self.opened.callback, self._could_not_open)

    async def _open(self) -> None:
        parts = self._parts
        assert parts is not None
        await parts.manifest.open()
        await parts.table.open()
        if not self.running:  # we were told to end, and the table goes on opening when it is cancelled in its last step
            raise CancelledError
        parts.machine.disks = await parts.backends.disks()
        if parts.workers is not None:
            self._listen_for_workers(parts.workers)
            await parts.workers.crew.start()
        parts.janitor.start()
        parts.warmth.start()
        parts.provisioning.start()
        if parts.doors is not None:
            parts.doors.start()
        for port in self._ports:
            port.startReading()  # type: ignore[attr-defined]
        where = _where(self._configuration)
        self._log.info(events.GATEWAY_OPEN, version=__version__, listen=where, admin=self._configuration.admin.listen)
        self._systemd.ready(f"serves {where}")
        self._watchdog = self._systemd.live(parts.clock)

    def _listen_for_workers(self, workers: Crowd) -> None:
        where = control(self._configuration.gateway.state)
        where.unlink(missing_ok=True)  # of a gateway that was killed: the lock says that it is no more
        before = os.umask(0o177)  # nobody else may pretend to be a worker
        try:
            address = places.address(where)
            port = self._reactor.listenUNIX(address, HubFactory(workers.hub), mode=0o600)
        finally:
            os.umask(before)
        self._ports.append(port)

    def _could_not_open(self, failure: Failure) -> None:
        closing = failure.check(CancelledError)  # before it was open
        if not closing:
            self._log.failure(events.GATEWAY_CANNOT_OPEN, failure=failure, why=failure.getErrorMessage())
        self.opened.errback(failure)
        self.opened.addErrback(lambda _: None)  # logged above; whoever waits for it has added his own before
        if not closing:
            self._reactor.callLater(0, self._reactor.stop)

    def _hear_signals(self, read_again: Callable[[], Configuration]) -> None:
        """To be told to end is no failure: the exit status is 0, where the reactor's own handlers would have us die of it."""
        signal.signal(signal.SIGHUP, lambda *_: self._reactor.callFromThread(self.reload, read_again))
        if signal.getsignal(signal.SIGUSR1) is signal.SIG_DFL:  # logrotate's: the access log notices by itself
            signal.signal(signal.SIGUSR1, lambda *_: None)
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: self._reactor.callFromThread(self._end))

    def _end(self) -> None:
        try:
            self._reactor.stop()
        except ReactorNotRunning:
            self._log.debug(events.GATEWAY_ENDING)

    # -- another configuration --------------------------------------------------------------------------------------------

    def reload(self, read_again: Callable[[], Configuration]) -> Deferred[None]:
        """Read the configuration again: a wrong one changes nothing, and each problem is logged. Fires when it is in use here;
        workers are replaced after that."""
        if not self.opened.called:
            return self.opened.addCallback(lambda _: self.reload(read_again))
        return Deferred.fromCoroutine(self._reload(read_again))

    async def _reload(self, read_again: Callable[[], Configuration]) -> None:
        assert self._parts is not None
        self._systemd.reloading()
        try:
            configuration = _as_far_as_possible(self._configuration, read_again(), self._log)
        except Invalid as invalid:
            for problem in invalid.problems:
                self._log.error(events.CONFIGURATION_WRONG, problem=problem)
        else:
            self._configuration = configuration
            await self._parts.reconfigure(configuration)
            self._log.info(events.CONFIGURATION_READ, path=configuration.path)
        self._systemd.ready(f"serves {_where(self._configuration)}")

    # -- closing ----------------------------------------------------------------------------------------------------------

    def stopService(self) -> Deferred[None]:
        """Take no new connections, let requests in flight finish, close. What runs is left running, for the next gateway."""
        super().stopService()
        return Deferred.fromCoroutine(self._close())

    async def _close(self) -> None:
        parts = self._parts
        if parts is None:
            return
        self._systemd.stopping()
        lines = self._ports[-1:] if parts.workers is not None and self.opened.called else []  # needed until workers have ended
        if self._opening is not None:
            self._opening.cancel()
        steps: list[Callable[[], object]] = [port.stopListening for port in self._ports if port not in lines]
        steps += [parts.janitor.stop, parts.warmth.stop, parts.prewarming.stop, parts.provisioning.stop]
        if parts.doors is not None:
            steps.append(parts.doors.stop)
        if parts.workers is not None:
            steps.append(partial(parts.workers.crew.stop, float(self._configuration.http["grace"])))  # type: ignore[arg-type]
        steps += [*(port.stopListening for port in lines), parts.table.close, parts.manifest.close]
        if self._watchdog is not None:
            steps.append(self._watchdog.stop)
        if self._lock is not None:
            steps.append(partial(os.close, self._lock))
        for step in steps:
            try:
                await _maybe(step())
            except Exception:  # what comes after it has to be closed all the same
                self._log.failure(events.GATEWAY_CLOSES_BADLY)
        self._log.info(events.GATEWAY_CLOSED)


def _as_far_as_possible(before: Configuration, after: Configuration, log: Logger) -> Configuration:
    """What a running gateway can go on with. Says what it cannot, and keeps that."""
    fixed = {
        "gateway.listen": (before.gateway.listen, after.gateway.listen),
        "listen of the apps": (_own(before.doors), _own(after.doors)),
        "gateway.state": (before.gateway.state, after.gateway.state),
        "gateway.workers": (before.gateway.workers, after.gateway.workers),
        "admin": (before.admin, after.admin),
        "provision.listen": (before.provision.listen, after.provision.listen),
        "docker": (before.docker, after.docker),
        "log.format": (before.log.format, after.log.format),
        "log.level": (before.log.level, after.log.level),
    }
    for setting, (old, new) in fixed.items():
        if old != new:
            log.warn(events.CONFIGURATION_FIXED, setting=setting)
    kept = before.gateway
    gateway = evolve(after.gateway, listen=kept.listen, state=kept.state, workers=kept.workers)
    requests = evolve(after.log, format=before.log.format, level=before.log.level)
    provision = evolve(after.provision, listen=before.provision.listen)
    fixed_parts = evolve(after, gateway=gateway, admin=before.admin, docker=before.docker, doors=before.doors)
    return evolve(fixed_parts, log=requests, provision=provision)


def _where(configuration: Configuration) -> str:
    """All that clients are listened for on."""
    own = (f"{door.endpoint} ({door.protocol})" for door in _own(configuration.doors))
    return ", ".join((*configuration.gateway.listen, *own))


def _own(doors: Iterable[Door]) -> tuple[Door, ...]:
    """The ports of apps."""
    return tuple(door for door in doors if door.protocol != "http")


async def _maybe(result: object) -> None:
    if isinstance(result, Awaitable):
        await result
