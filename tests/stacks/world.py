"""A whole gateway below the frontends, on a clock: the real table over the verified fakes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from attrs import define, field
from twisted.internet.defer import Deferred, fail, succeed
from twisted.internet.task import Clock
from zope.interface import implementer

from grandcentral.backends.memory import MemoryBackend, MemoryEngine
from grandcentral.core.keys import GIT_HASH, NAME, Key
from grandcentral.core.model import App, Endpoint, Hook, IdlePolicy, Limits, ReadyPolicy, Service, StackSpec, Version
from grandcentral.core.problems import Invalid
from grandcentral.core.tickets import Ticket
from grandcentral.errors import NotReady
from grandcentral.interfaces import IProber
from grandcentral.machine.fake import FakeMachine
from grandcentral.manifests.memory import MemoryManifest
from grandcentral.stacks.janitor import Janitor
from grandcentral.stacks.table import StackTable
from grandcentral.versions.memory import MemoryVersions
from grandcentral.versions.provisioned import ProvisionedVersions

LIMITS = Limits(max_stacks=3, min_uptime=5.0, start_timeout=60.0, queue_timeout=20.0)
IDLE = IdlePolicy(stop=600.0, remove=0.0)  # nothing is kept of what is stopped
ONE_SERVICE = StackSpec((Service("web"),), "web", 80)


@define
class FixedTemplate:
    """A template that renders to a stack given beforehand."""

    spec: StackSpec = ONE_SERVICE
    invalid: Invalid | None = None
    given: list[Mapping[str, str]] = field(factory=list)  # the variables of each time

    def render(self, variables: Mapping[str, str]) -> StackSpec:
        self.given.append(variables)
        if self.invalid is not None:
            raise self.invalid
        return self.spec


@implementer(IProber)
@define
class FakeProber:
    """Answers as ``mishap`` says; counts."""

    mishap: NotReady | None = None
    probes: int = 0

    def probe(self, endpoint: Endpoint, policy: ReadyPolicy, host: str, timeout: float) -> Deferred[None]:
        self.probes += 1
        return fail(self.mishap) if self.mishap is not None else succeed(None)


@define
class World:
    """``ask`` is a client; ``pass_time`` is time."""

    limits: Limits = LIMITS
    idle: IdlePolicy = IDLE
    spec: StackSpec = ONE_SERVICE
    before_stop: tuple[Hook, ...] = ()
    provisioned: bool = False  # the names are those of rows of the manifest
    engine: MemoryEngine = field(factory=MemoryEngine)
    clock: Clock = field(factory=Clock)
    manifest: MemoryManifest = field(factory=MemoryManifest)
    versions: MemoryVersions = field(factory=MemoryVersions)
    prober: FakeProber = field(factory=FakeProber)
    machine: FakeMachine = field(factory=FakeMachine)
    template: FixedTemplate = field(init=False)
    backend: MemoryBackend = field(init=False)
    table: StackTable = field(init=False)
    janitor: Janitor = field(init=False)
    wall_offset: float = 1_000_000.0
    asking: bool = False  # there are workers, which answer when they are made to
    unreachable: bool = False  # one of them, just now
    asked: list[Deferred[bool]] = field(factory=list)  # and have been asked whether a stack is unused

    def __attrs_post_init__(self) -> None:
        self.template = FixedTemplate(self.spec)
        for digit in "0123456789abcdef":
            self.versions.versions[digit * 7] = Version(digit * 7)
        self.manifest.open()
        self.boot()

    def boot(self) -> None:
        """A gateway as it is when just started; the engine, the manifest and the clock are those there were."""
        app = App(
            *("app", "memory"),
            version=NAME if self.provisioned else GIT_HASH,
            template=self.template,
            idle=self.idle,
            before_stop=self.before_stop,
            provisioned=self.provisioned,
        )
        self.backend = MemoryBackend(self.clock, self.engine)
        self.table = StackTable(
            clock=self.clock,
            wall=self.wall,
            apps={"app": app},
            backends={"memory": self.backend},
            versions={"app": ProvisionedVersions("app", self.manifest, self.wall) if self.provisioned else self.versions},
            prober=self.prober,
            manifest=self.manifest,
            machine=self.machine,
            address=lambda key: (f"{key.name}.test", f"http://{key.name}.test/"),
            token=lambda key: f"token of {key}",
            limits=self.limits,
        )
        self.table.on_drain = self.drain
        self.janitor = Janitor(self.clock, self.wall, self.table)

    def wall(self) -> float:
        return self.clock.seconds() + self.wall_offset

    def open(self) -> None:
        opened = Deferred.fromCoroutine(self.table.open())
        self.clock.advance(0)
        assert opened.called
        self.janitor.start()

    def close(self) -> None:
        self.janitor.stop()
        Deferred.fromCoroutine(self.table.close())

    def drain(self, ticket: Ticket) -> Deferred[bool]:
        """What the table asks before a stack is put to sleep."""
        if self.unreachable or not self.asking:
            return succeed(not self.unreachable)
        answer: Deferred[bool] = Deferred()
        self.asked.append(answer)
        return answer

    def answer(self, unused: bool) -> None:
        """The workers answer all that they were asked."""
        asked, self.asked = self.asked, []
        for answer in asked:
            if not answer.called:
                answer.callback(unused)

    def pass_time(self, seconds: float) -> None:
        """In small steps, so that what one timer sets off meets the next."""
        until = self.clock.seconds() + seconds
        while self.clock.seconds() < until - 1e-9:
            self.clock.advance(min(0.05, until - self.clock.seconds()))

    def ask(self, name: str = "0000000") -> Client:
        client = Client(self.table.ensure(Key("app", name)))
        return client

    def state(self, name: str = "0000000") -> str:
        for stack in self.table.snapshot():
            if stack.key.name == name:
                return stack.state
        return "cold"

    def ready(self, name: str = "0000000") -> Ticket:
        """A stack that has started."""
        client = self.ask(name)
        self.pass_time(1)
        assert client.ticket is not None, client.error
        return client.ticket


class Client:
    """Somebody who asked for a stack, and what became of it."""

    def __init__(self, waiting: Deferred[Ticket]) -> None:
        self.ticket: Ticket | None = None
        self.error: Any = None
        self._waiting = waiting
        waiting.addCallbacks(self._got, self._failed)

    def _got(self, ticket: Ticket) -> None:
        self.ticket = ticket

    def _failed(self, failure: Any) -> None:
        self.error = failure.value

    @property
    def answered(self) -> bool:
        return self.ticket is not None or self.error is not None

    def leave(self) -> None:
        self._waiting.cancel()
