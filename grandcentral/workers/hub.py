"""The gateway's end of its lines to workers: wakes stacks for them, adds up what they use, and asks them before one sleeps.

Note [The latest word]: answers that extend a stack's lease or give it back go through different workers, which report once a
second, in any order:

    "600" through one worker, then "0" through another -> reported "0", then "600": it would be kept awake for nothing
    "0" through one worker, then "600" through another -> reported "600", then "0": it would be put to sleep

So neither the largest nor the last report counts, but the one that was heard last; the clock is the same in all processes. A
worker that is asked to let a stack go has reported before it answers, and does not let go of one whose lease it has heard.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from attrs import define, field
from twisted.internet.defer import CancelledError, Deferred, DeferredList, gatherResults, succeed
from twisted.internet.interfaces import IAddress, IReactorTime
from twisted.internet.protocol import Factory, connectionDone
from twisted.logger import Logger
from twisted.python.failure import Failure

from .. import events
from ..core.counters import HttpCounters
from ..core.keys import Key
from ..core.tickets import Ticket
from ..errors import Refusal, ShuttingDown
from ..interfaces import ISharedStacks
from . import refusals
from .commands import Activity, Closed, Drain, Hello, Interrupt, Lend, Line, Listening, Lost, Progress, Retire, TakeBack, Wake

ANSWER_WITHIN = 3.0  # seconds; a worker that takes longer is taken for busy

_GAUGES = ("in_flight", "streams")
_COUNTERS = ("requests", "bytes_in", "bytes_out")
_TIMES = ("last_used", "last_byte")


@define(eq=False)
class Member:
    """A worker process. ``line`` is None before its Hello, and when the line is broken."""

    pid: int
    slot: int
    digest: str
    since: float  # monotonic seconds
    version: str = ""
    retiring: bool = False
    line: HubLine | None = None
    greeted: bool = False  # it has said Hello, and so may be using stacks
    connections: int = 0
    requests: int = 0
    held: int = 0
    counters: HttpCounters = field(factory=HttpCounters)
    use: dict[tuple[Key, int], tuple[Ticket | None, Mapping[str, Any]]] = field(factory=dict)  # as last reported

    def lend(self, slot: int, endpoint: str, descriptor: int) -> None:
        """Have it listen on a socket of a slot that is not its own. It may not be able to, if it is of another version."""
        if self.line is not None:
            self.line.callRemote(Lend, slot=slot, endpoint=endpoint, descriptor=descriptor).addErrback(lambda _: None)

    def give_back(self, slot: int) -> None:
        if self.line is not None:
            self.line.callRemote(TakeBack, slot=slot).addErrback(lambda _: None)  # it has ended, or never had them

    def retire(self) -> None:
        """Have it accept nobody any more, and end when it is done."""
        self.retiring = True
        if self.line is not None:
            self.line.callRemote(Retire)


@define(eq=False)
class Hub:
    """``greeted(member)`` is called when a worker says Hello, ``lost(member)`` when its line breaks, and
    ``recovered(member, slot, endpoint, descriptor)`` with each socket it listens on, its own or one it was lent. Who spawns a
    worker adds it to ``members``; who knows that it has ended calls ``gone``.
    """

    _clock: IReactorTime
    _stacks: ISharedStacks
    greeted: Callable[[Member], None] = field(default=lambda member: None, init=False)
    lost: Callable[[Member], None] = field(default=lambda member: None, init=False)
    recovered: Callable[[Member, int, str, int], None] = field(default=lambda member, slot, *socket: None, init=False)
    members: dict[int, Member] = field(factory=dict, init=False)  # by process id
    complete: bool = field(default=True, init=False)  # no worker of an earlier gateway is missing that may be using stacks
    _past: HttpCounters = field(factory=HttpCounters, init=False)  # of those that have ended

    def __attrs_post_init__(self) -> None:
        self._stacks.on_close = self._close
        self._stacks.on_drain = self._drain

    def hello(self, line: HubLine, pid: int, slot: int, version: str, digest: str, retiring: bool) -> Member:
        member = self.members.get(pid)
        if member is None:
            member = self.members[pid] = Member(pid, slot, digest, self._clock.seconds())
        member.line, member.version, member.greeted = line, version, True
        member.retiring = member.retiring or retiring
        self.greeted(member)
        return member

    def broke(self, member: Member, line: HubLine) -> None:
        if member.line is line:
            member.line = None
            self.lost(member)

    def gone(self, pid: int) -> Member | None:
        """This process has ended, and everything that it had in flight with it."""
        member = self.members.pop(pid, None)
        if member is not None:
            self._past += member.counters.ended()
            for ticket, last in member.use.values():
                if ticket is not None:
                    for name in _GAUGES:
                        setattr(ticket, name, getattr(ticket, name) - last[name])
        return member

    def counted(self) -> HttpCounters:
        """What all workers have counted, as far as they have said."""
        return sum((member.counters for member in self.members.values()), self._past)

    # -- for lines --------------------------------------------------------------------------------------------------------

    def wake(self, key: Key, wakes: bool, client: str) -> Deferred[Ticket]:
        return self._stacks.ensure(key, wakes, client)

    def lose(self, key: Key, generation: int) -> None:
        ticket = self._stacks.ticket(key, generation)
        if ticket is not None:
            self._stacks.lost(ticket)

    def progress(self, key: Key) -> tuple[str, float] | None:
        return self._stacks.progress(key)

    def interrupt(self, asker: Member | None, process: int, secret: bytes, message: bytes) -> Deferred[Any]:
        """Ask every other worker to pass on a cancel request if the session is one of its own. Fires when all have answered."""
        lines = [member.line for member in self.members.values() if member is not asker and member.line is not None]
        asked = [line.callRemote(Interrupt, process=process, secret=secret, message=message) for line in lines]
        return DeferredList([one.addErrback(lambda _: None) for one in asked])  # it has ended, or does not know how to

    def count(self, member: Member, reports: Iterable[Mapping[str, Any]]) -> None:
        """Bring the tickets, which are the sums of what all workers count, up to date with what one of them says."""
        for report in reports:
            key, generation = Key.parse(report["key"]), report["generation"]
            ticket = self._stacks.ticket(key, generation)
            before, last = member.use.get((key, generation), (None, {}))
            if report["open"] and not _leads_to(report, ticket) and member.line and self._stacks.surveyed(key.app):
                # What it knows from an earlier gateway is not so any more: somebody else may be there by now.
                member.line.callRemote(Closed, key=str(key), generation=generation)
            if ticket is not None:
                # A stack that was started anew has a new ticket, which knows nothing of what went on under the old one.
                known = last if ticket is before else {}
                for name in _GAUGES:
                    setattr(ticket, name, getattr(ticket, name) + report[name] - known.get(name, 0))
                for name in _COUNTERS:
                    setattr(ticket, name, getattr(ticket, name) + report[name] - last.get(name, 0))
                for name in _TIMES:
                    setattr(ticket, name, max(getattr(ticket, name), report[name]))
                leased = report["leased"]
                if leased is not None and leased > ticket.leased:  # See Note [The latest word]
                    ticket.keep_until, ticket.leased = report["keep_until"], leased
            if report["open"] or report["in_flight"]:
                member.use[key, generation] = ticket, report
            else:
                member.use.pop((key, generation), None)

    # -- for the table ----------------------------------------------------------------------------------------------------

    def _close(self, ticket: Ticket) -> None:
        for member in self.members.values():
            if member.line is not None:
                member.line.callRemote(Closed, key=str(ticket.key), generation=ticket.generation)

    def _drain(self, ticket: Ticket) -> Deferred[bool]:
        """Whether nobody uses it: fires when every worker has said so, or one has not within ANSWER_WITHIN seconds."""
        if not self.complete:
            return succeed(False)
        answers = [self._ask(member, ticket) for member in self.members.values() if member.greeted]
        return gatherResults(answers).addCallback(all)

    def _ask(self, member: Member, ticket: Ticket) -> Deferred[bool]:
        if member.line is None:  # it may live, and serve by what it knows, until we know better
            return succeed(False)
        answer = member.line.callRemote(
            Drain, key=str(ticket.key), generation=ticket.generation, outlived=ticket.outlived
        )
        answer.addTimeout(ANSWER_WITHIN, self._clock)
        return answer.addCallbacks(lambda box: not box["busy"], lambda _: False)


def _leads_to(report: Mapping[str, Any], ticket: Ticket | None) -> bool:
    """Whether what a worker knows is where the stack is; a stack that was started again has the same generation as before."""
    here = ticket and (ticket.endpoint.host, ticket.endpoint.port)
    return ticket is not None and (report["host"] is None or (report["host"], report["port"]) == here)


_ROUTE = ("key", "generation", "host", "port", "started", "phases")


def _shown(ticket: Ticket) -> dict[str, Any]:
    here = ticket.endpoint
    route = (str(ticket.key), ticket.generation, here.host, here.port, ticket.started, json.dumps(dict(ticket.phases)))
    return {**dict(zip(_ROUTE, route, strict=True)), "refusal": None}


class HubLine(Line):
    """A line to one worker."""

    _log = Logger(namespace="grandcentral.workers")

    def __init__(self, hub: Hub) -> None:
        super().__init__()
        self._hub = hub
        self._member: Member | None = None
        self._waking: set[Deferred[Ticket]] = set()

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        for waking in tuple(self._waking):
            waking.cancel()
        super().connectionLost(reason)
        if self._member is not None:
            self._hub.broke(self._member, self)

    @Hello.responder
    def hello(self, pid: int, slot: int, version: str, digest: str, retiring: bool) -> dict[str, Any]:
        self._member = self._hub.hello(self, pid, slot, version, digest, retiring)
        return {}

    @Listening.responder
    def listening(self, endpoint: str, descriptor: int, slot: int | None) -> dict[str, Any]:
        assert self._member is not None
        self._hub.recovered(self._member, self._member.slot if slot is None else slot, endpoint, descriptor)
        return {}

    @Wake.responder
    def wake(self, key: str, wakes: bool | None, client: str | None) -> Deferred[dict[str, Any]]:
        waking = self._hub.wake(Key.parse(key), wakes is not False, client or "")
        answered: Deferred[dict[str, Any]] = Deferred()
        self._waking.add(waking)

        def ready(ticket: Ticket) -> None:
            self._waking.discard(waking)
            answered.callback(_shown(ticket))

        def refused(failure: Failure) -> None:
            self._waking.discard(waking)
            refusal = failure.value
            if not isinstance(refusal, Refusal):
                if not failure.check(CancelledError):  # the line broke: nobody hears the answer
                    self._log.failure(events.BUG, failure, incident="-", what=f"waking {key} for a worker")
                refusal = ShuttingDown(retry_after=1)
            answered.callback({**dict.fromkeys(_ROUTE), "refusal": refusals.encode(refusal)})

        waking.addCallbacks(ready, refused)
        return answered

    @Lost.responder
    def lost(self, key: str, generation: int) -> dict[str, Any]:
        self._hub.lose(Key.parse(key), generation)
        return {}

    @Progress.responder
    def progress(self, key: str) -> dict[str, Any]:
        text, seconds = self._hub.progress(Key.parse(key)) or (None, None)
        return {"text": text, "seconds": seconds}

    @Interrupt.responder
    def interrupt(self, process: int, secret: bytes, message: bytes) -> Deferred[dict[str, Any]]:
        return self._hub.interrupt(self._member, process, secret, message).addCallback(lambda _: {})

    @Activity.responder
    def activity(
        self, stacks: list[dict[str, Any]], connections: int, requests: int, held: int, counters: str | None
    ) -> dict[str, Any]:
        member = self._member
        assert member is not None
        member.connections, member.requests, member.held = connections, requests, held
        if counters is not None:
            member.counters = HttpCounters.of(json.loads(counters))
        self._hub.count(member, stacks)
        return {}


class HubFactory(Factory):
    """Lines for a listening port."""

    noisy = False

    def __init__(self, hub: Hub) -> None:
        self._hub = hub

    def buildProtocol(self, addr: IAddress | None) -> HubLine:
        return HubLine(self._hub)
