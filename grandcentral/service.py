"""The gateway as a Twisted service: opened in order, closed in reverse.

The listening sockets are bound before anything else, so that a port in use is said at once; they accept nobody until what
already runs has been found. Until then the kernel's backlog is the queue.
"""

from __future__ import annotations

from typing import Any

from twisted.application.service import IService, Service
from twisted.internet.defer import Deferred
from twisted.internet.endpoints import serverFromString
from twisted.internet.error import CannotListenError
from twisted.internet.interfaces import IListeningPort, IProtocolFactory
from twisted.logger import Logger
from twisted.python.failure import Failure

from . import __version__, events
from .assembly import Parts, assemble
from .config import Configuration
from .observe.service import LoggingService
from .options import Options

__all__ = ["Gateway", "Options", "makeService"]


def makeService(options: Options) -> IService:
    """What ``twistd grandcentral`` runs."""
    from twisted.internet import reactor

    service = LoggingService(options.observer)
    Gateway(reactor, options.configuration).setServiceParent(service)
    return service


class Gateway(Service):
    """``opened`` fires when requests are served, and fails if that did not come about."""

    def __init__(self, reactor: Any, configuration: Configuration) -> None:
        self.name = "grandcentral"
        self.opened: Deferred[None] = Deferred()
        self._reactor = reactor
        self._configuration = configuration
        self._ports: list[IListeningPort] = []
        self._parts: Parts | None = None
        self._opening: Deferred[None] | None = None
        self._log = Logger(namespace="grandcentral")

    def privilegedStartService(self) -> None:
        """Bind, while we still may. Ends the process with a sentence if a port cannot be had."""
        if self._parts is not None:
            return
        self._configuration.gateway.state.mkdir(parents=True, exist_ok=True)
        parts = self._parts = assemble(self._reactor, self._configuration)
        for description in self._configuration.gateway.listen:
            self._bind(description, parts.frontend)
        self._bind(self._configuration.admin.listen, parts.admin)

    def _bind(self, description: str, factory: IProtocolFactory) -> None:
        failures: list[Failure] = []
        binding = serverFromString(self._reactor, description).listen(factory)
        binding.addCallbacks(self._ports.append, failures.append)
        if not failures:
            self._pause(self._ports[-1])
            return
        for port in self._ports:
            port.stopListening()
        failure = failures[0]
        failure.trap(CannotListenError, OSError)
        why = getattr(failure.value, "socketError", failure.value)
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
        self._opening = Deferred.fromCoroutine(self._open())
        self._opening.addCallbacks(self.opened.callback, self._could_not_open)

    async def _open(self) -> None:
        parts = self._parts
        assert parts is not None
        await parts.manifest.open()
        await parts.table.open()
        parts.janitor.start()
        parts.frontend.start()
        for port in self._ports:
            port.startReading()  # type: ignore[attr-defined]
        where = ", ".join(self._configuration.gateway.listen)
        self._log.info(events.GATEWAY_OPEN, version=__version__, listen=where, admin=self._configuration.admin.listen)

    def _could_not_open(self, failure: Failure) -> None:
        self._log.failure(events.GATEWAY_CANNOT_OPEN, failure=failure, why=failure.getErrorMessage())
        self.opened.errback(failure)
        self.opened.addErrback(lambda _: None)  # logged above; whoever waits for it has added his own before
        self._reactor.callLater(0, self._reactor.stop)

    def stopService(self) -> Deferred[None]:
        """Take no new connections, let requests in flight finish, close. What runs is left running, for the next gateway."""
        super().stopService()
        return Deferred.fromCoroutine(self._close())

    async def _close(self) -> None:
        parts = self._parts
        if parts is None:
            return
        for port in self._ports:
            await _maybe(port.stopListening())
        parts.janitor.stop()
        await parts.frontend.stop()
        await parts.table.close()
        await parts.manifest.close()
        self._log.info(events.GATEWAY_CLOSED)


async def _maybe(result: object) -> None:
    if isinstance(result, Deferred):
        await result
