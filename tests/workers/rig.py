"""A gateway on a clock, over the fakes, with workers on lines in memory."""

from __future__ import annotations

from itertools import count
from pathlib import Path
from typing import Any

from attrs import define, field
from twisted.internet.defer import Deferred, succeed
from twisted.internet.error import ConnectionLost
from twisted.python.failure import Failure
from twisted.test.iosim import FakeTransport, IOPump, connect

from grandcentral.config.configuration import Admin, Configuration, Docker, Gateway, Log
from grandcentral.core.counters import HttpCounters
from grandcentral.core.keys import Key
from grandcentral.core.model import Limits
from grandcentral.wire.postgresql_server import SessionKey
from grandcentral.workers.assignment import Assignment
from grandcentral.workers.hub import Hub, HubFactory
from grandcentral.workers.stacks import RemoteStacks
from grandcentral.workers.worker import Worker
from tests.stacks.world import Client, World

KEY = Key("app", "0000000")
LIMITS = Limits(max_held_per_stack=3, max_held=5, start_timeout=60.0)


def configuration(url: str = "http://{host}") -> Configuration:
    gateway = Gateway(("tcp:80",), url, Path("/nowhere"), 2)
    log, docker = Log("text", "info"), Docker("unix:///nowhere", "x", "container")
    return Configuration(Path("gateway.toml"), gateway, Admin(""), LIMITS, {}, log, docker, {}, ())


@define(eq=False)
class FakeFront:
    """``leave`` is the last client's leaving."""

    connections: int = 0
    counters: HttpCounters = field(factory=HttpCounters)
    told: list[str] = field(factory=list)
    gone: Deferred[None] = field(factory=Deferred)
    sessions: dict[SessionKey, Deferred[None]] = field(factory=dict)  # and when a cancel request for them is delivered

    def interrupt_here(self, session: SessionKey, message: bytes) -> Deferred[None]:
        if session not in self.sessions:
            return succeed(None)
        self.told.append(f"interrupt {session.process} {message!r}")
        return self.sessions[session]

    def counted(self) -> HttpCounters:
        return self.counters

    def start(self) -> None:
        self.told.append("start")

    def retire(self) -> Deferred[None]:
        self.told.append("retire")
        return self.gone

    def stop(self) -> Deferred[None]:
        self.told.append("stop")
        return self.gone

    def leave(self) -> None:
        self.gone.callback(None)


_pids = count(1000)


class OneWorker:
    """A worker of the rig: ``ask`` is a client of it."""

    def __init__(self, rig: Rig, slot: int, limits: Limits) -> None:
        self.rig = rig
        self.pid = next(_pids)
        self.front = FakeFront()
        self.stacks = RemoteStacks(rig.world.clock, limits)
        self.forgotten: list[str] = []
        self.stacks.on_close = lambda endpoint: self.forgotten.append(str(endpoint))
        self.ended = 0
        self.held_up = False  # it does not come to connecting
        self.pump: IOPump | None = None
        self.worker = Worker(
            clock=rig.world.clock,
            assignment=Assignment(slot, 2, configuration()),
            stacks=self.stacks,
            front=self.front,
            ports=[],
            listen=self._listen,
            connect=self._connect,
            ended=self._ended,
            pid=self.pid,
        )

    def _connect(self, factory: Any) -> None:
        if self.rig.hub is None or self.held_up:
            factory.clientConnectionFailed(None, None)
            return
        server, client = HubFactory(self.rig.hub).buildProtocol(None), factory.buildProtocol(None)
        self.pump = connect(server, FakeTransport(server, True), client, FakeTransport(client, False), debug=False)

    def _ended(self) -> None:
        self.ended += 1

    def _listen(self, endpoint: str, descriptor: int) -> Any:
        raise AssertionError("no line of this rig has sockets")

    def ask(self, name: str = "0000000") -> Client:
        client = Client(self.stacks.ensure(Key("app", name)))
        self.rig.flush()
        return client

    def die(self) -> None:
        """kill -9."""
        self.hang_up()
        if self.worker._beating.running:
            self.worker._beating.stop()
        self.worker._stopping = True

    def hang_up(self) -> None:
        pump, self.pump = self.pump, None
        if pump is not None:
            for end in (pump.server, pump.client):
                end.connectionLost(Failure(ConnectionLost()))


class Rig:
    """``hub`` is None while there is no gateway."""

    def __init__(self, workers: int = 2, limits: Limits = LIMITS) -> None:
        self.world = World()
        self.world.open()
        self.hub: Hub | None = Hub(self.world.clock, self.world.table)
        self.workers = [OneWorker(self, slot, limits) for slot in range(workers)]
        for one in self.workers:
            one.worker.start()
        self.flush()

    def flush(self) -> None:
        """Everything that was sent arrives, and what is sent because of it."""
        while sum(one.pump.flush() for one in self.workers if one.pump is not None):
            pass

    def pass_time(self, seconds: float) -> None:
        until = self.world.clock.seconds() + seconds
        while self.world.clock.seconds() < until - 1e-9:
            self.world.pass_time(min(0.05, until - self.world.clock.seconds()))
            self.flush()

    def ready(self, worker: int = 0, name: str = "0000000") -> Any:
        """The ticket of a stack that has started, as this worker has it."""
        client = self.workers[worker].ask(name)
        self.pass_time(1)
        assert client.ticket is not None, client.error
        return client.ticket

    def kill_the_gateway(self) -> None:
        self.hub = None
        for one in self.workers:
            one.hang_up()
        self.world.close()

    def start_a_gateway(self) -> None:
        self.world.boot()
        self.world.open()
        self.hub = Hub(self.world.clock, self.world.table)

    def close(self) -> None:
        self.hub = None
        for one in self.workers:
            one.die()
        self.world.close()
        for call in self.world.clock.getDelayedCalls():
            call.cancel()
