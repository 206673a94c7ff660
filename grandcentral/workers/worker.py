"""One worker: its listening ports, its frontend, its line to the gateway; and how it ends."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Sequence
from typing import Any, Protocol

from attrs import define, field
from twisted.internet.defer import Deferred, succeed
from twisted.internet.interfaces import IReactorTime
from twisted.internet.protocol import ClientFactory, connectionDone
from twisted.internet.task import LoopingCall, deferLater
from twisted.logger import Logger
from twisted.python.failure import Failure

from .. import __version__, events
from ..core.counters import HttpCounters
from ..core.keys import Key
from ..wire.postgresql_server import SessionKey
from .assignment import Assignment
from .commands import Activity, Closed, Drain, Hello, Interrupt, Lend, Line, Listening, Retire, TakeBack
from .stacks import RemoteStacks

BEAT = 1.0  # seconds
RECONNECT = 0.1  # seconds
SETTLE = 0.05  # seconds
BATCH = 100  # stacks in one Activity: a value of AMP has at most 64 KiB


class Front(Protocol):
    """What a worker asks of a frontend."""

    @property
    def connections(self) -> int: ...
    def interrupt_here(self, session: SessionKey, message: bytes) -> Deferred[Any]: ...
    def counted(self) -> HttpCounters: ...
    def start(self) -> None: ...
    def retire(self) -> Deferred[None]: ...
    def stop(self) -> Deferred[None]: ...


class Port(Protocol):
    """A listening port of Twisted's."""

    def stopListening(self) -> Any: ...


@define(eq=False)
class Worker:
    """``ports`` accept already, in the order of the configuration's ``doors``; with each comes the descriptor that it was
    given, and ``listen(endpoint, descriptor)`` makes one more, or raises KeyError for an endpoint that we do not know.

    ``connect(factory)`` begins to connect to the gateway; ``ended()`` is called when a worker that was told to retire has done
    so. For ``stop`` that is the caller's business.
    """

    _clock: IReactorTime
    _assignment: Assignment
    _stacks: RemoteStacks
    _front: Front
    _ports: Sequence[tuple[int, Port]]
    _listen: Callable[[str, int], Port]
    _connect: Callable[[ClientFactory], object]
    _ended: Callable[[], None]
    _pid: int = field(factory=os.getpid)
    _lent: dict[int, list[tuple[str, int, Port]]] = field(factory=dict, init=False)  # by slot
    _line: WorkerLine | None = field(default=None, init=False)
    _retiring: bool = field(default=False, init=False)
    _stopping: bool = field(default=False, init=False)
    _beating: LoopingCall = field(init=False)
    _log = Logger(namespace="grandcentral.workers")

    def __attrs_post_init__(self) -> None:
        self._beating = LoopingCall(self.beat)
        self._beating.clock = self._clock

    def start(self) -> None:
        self._front.start()
        self._beating.start(BEAT, now=False).addErrback(self._bug)
        self._connect(_Lines(self))

    def retire(self) -> None:
        """Accept nobody any more; end when those who are connected have left."""
        if not (self._retiring or self._stopping):
            self._retiring = True
            self._stop_listening().addCallback(lambda _: self._front.retire()).addCallback(self._retired)

    def _retired(self, _: None) -> None:
        if not self._stopping:
            self._ended()

    def stop(self) -> Deferred[None]:
        """The same within the time that the configuration gives. Fires when every connection is closed."""
        self._stopping = True
        return self._stop_listening().addCallback(lambda _: self._front.stop()).addCallback(self._stopped)

    def _stop_listening(self) -> Deferred[None]:
        """Fires when those whom the event loop has accepted by now are clients of the frontend."""
        for descriptor, port in self._ports:
            _close(descriptor, port)
        self._ports = ()
        for slot in list(self._lent):
            self.give_back(slot)
        return deferLater(self._clock, SETTLE)

    def _stopped(self, _: None) -> None:
        self.tell()
        if self._beating.running:
            self._beating.stop()

    # -- the line ---------------------------------------------------------------------------------------------------------

    def connected(self, line: WorkerLine) -> None:
        assignment = self._assignment
        if self._line is not None:
            self._log.info(events.WORKER_RETURNED, slot=assignment.slot)
        self._line = line
        line.callRemote(
            Hello,
            pid=self._pid,
            slot=assignment.slot,
            version=__version__,
            digest=assignment.digest,
            retiring=self._retiring,
        )
        for door, (descriptor, _) in zip(assignment.configuration.doors, self._ports, strict=False):
            line.callRemote(Listening, endpoint=door.endpoint, descriptor=descriptor)
        for slot, sockets in self._lent.items():
            for endpoint, descriptor, _ in sockets:
                line.callRemote(Listening, endpoint=endpoint, descriptor=descriptor, slot=slot)
        self._stacks.connected(line)
        self.tell()

    def disconnected(self) -> None:
        self._stacks.disconnected()
        if not self._stopping:
            self._log.warn(events.WORKER_LOST_GATEWAY, slot=self._assignment.slot)
        self.reconnect()

    def reconnect(self) -> None:
        if not self._stopping:
            self._clock.callLater(RECONNECT, self._connect, _Lines(self))

    def borrow(self, slot: int, endpoint: str, descriptor: int) -> None:
        """Accept from a socket of a slot that has no worker."""
        if self._retiring or self._stopping:
            os.close(descriptor)
            return
        try:
            port = self._listen(endpoint, descriptor)
        except KeyError:  # of an app that the gateway has come to know after us
            os.close(descriptor)
        else:
            self._lent.setdefault(slot, []).append((endpoint, descriptor, port))

    def give_back(self, slot: int) -> None:
        """It has one again."""
        for _, descriptor, port in self._lent.pop(slot, ()):
            _close(descriptor, port)

    def interrupt(self, session: SessionKey, message: bytes) -> Deferred[Any]:
        """Have the other workers pass on a cancel request; fires when that is over. Without a gateway nobody is asked."""
        line = self._line
        if line is None or not line.open:
            return succeed(None)
        asked = line.callRemote(Interrupt, process=session.process, secret=session.secret, message=message)
        return asked.addErrback(lambda _: None)  # the line broke, or a gateway of an earlier version does not know how to

    def interrupt_here(self, session: SessionKey, message: bytes) -> Deferred[Any]:
        """The same, asked of us."""
        return self._front.interrupt_here(session, message)

    def close(self, key: Key, generation: int) -> None:
        self._stacks.close(key, generation)

    def drain(self, key: Key, generation: int, outlived: bool) -> bool:
        """Whether the stack is in use; if it is, the gateway hears first what we know of its use."""
        in_use = self._stacks.drain(key, generation, outlived)
        self.tell()
        return in_use

    def _bug(self, failure: Failure) -> None:
        self._log.failure(events.BUG, failure, incident="-", what="telling the gateway what is in use")

    def beat(self) -> None:
        self.tell()
        self._stacks.inquire()

    def tell(self) -> None:
        """Report what was done since the last time."""
        line = self._line
        if line is None or not line.open:
            return
        news = list(self._stacks.news())
        for start in range(0, max(len(news), 1), BATCH):
            line.callRemote(
                Activity,
                stacks=news[start : start + BATCH],
                connections=self._front.connections,
                requests=self._stacks.requests,
                held=self._stacks.held,
                counters=json.dumps(self._front.counted().plain()),
            )


class WorkerLine(Line):
    """The worker's end."""

    open = False

    def __init__(self, worker: Worker) -> None:
        super().__init__()
        self._worker = worker

    def connectionMade(self) -> None:
        self.open = True
        self._worker.connected(self)

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        self.open = False
        self._worker.disconnected()
        super().connectionLost(reason)

    @Closed.responder
    def closed(self, key: str, generation: int) -> dict[str, Any]:
        self._worker.close(Key.parse(key), generation)
        return {}

    @Drain.responder
    def drain(self, key: str, generation: int, outlived: bool | None = None) -> dict[str, Any]:
        return {"busy": self._worker.drain(Key.parse(key), generation, bool(outlived))}

    @Interrupt.responder
    def interrupt(self, process: int, secret: bytes, message: bytes) -> Deferred[dict[str, Any]]:
        return self._worker.interrupt_here(SessionKey(process, secret), message).addCallback(lambda _: {})

    @Lend.responder
    def lend(self, slot: int, endpoint: str, descriptor: int) -> dict[str, Any]:
        self._worker.borrow(slot, endpoint, descriptor)
        return {}

    @TakeBack.responder
    def take_back(self, slot: int) -> dict[str, Any]:
        self._worker.give_back(slot)
        return {}

    @Retire.responder
    def retire(self) -> dict[str, Any]:
        self._worker.retire()
        return {}


def _close(descriptor: int, port: Port) -> None:
    port.stopListening()
    os.close(descriptor)


class _Lines(ClientFactory):
    """One attempt to connect."""

    noisy = False

    def __init__(self, worker: Worker) -> None:
        self._worker = worker

    def buildProtocol(self, addr: object) -> WorkerLine:
        return WorkerLine(self._worker)

    def clientConnectionFailed(self, connector: object, reason: Failure) -> None:
        self._worker.reconnect()
