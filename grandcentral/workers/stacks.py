"""The stacks as a worker knows them: those that were ready when it asked, until it hears otherwise.

Note [Who asks]: those who wait for one stack in one worker are one who waits at the gateway; but not all of them ask the same.
A request that does not wake is refused where one that wakes would be held, and what limits one client is no other's business:

    a tab polls, asked without waking -> somebody opens the page     -> "asleep" arrives, and is not his answer
    a client at its limit opens it    -> another client opens it too -> "too many starts" arrives, and is not his answer

So those who wait are grouped by what they would ask. One group asks, and who comes while a group that wakes is asking waits for
that; where only a group is asking that does not wake, one that does asks as well. A ticket is for everybody. What a group is
refused for its own reasons is told to that group alone, and the next one asks; other refusals are told to everybody.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from math import inf
from typing import Any, Protocol

from attrs import define, evolve, field
from twisted.internet.defer import Deferred, fail, succeed
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger
from twisted.python.failure import Failure
from zope.interface import implementer

from .. import events
from ..core.idleness import busy
from ..core.keys import Key
from ..core.model import Endpoint, Limits, StackUse
from ..core.tickets import Ticket
from ..errors import Mishap, Refusal, StartFailed, StartTimeout, TooManyStarts, TooManyWaiting
from ..interfaces import IStacks
from ..stacks.waiters import Room, Waiters
from . import refusals
from .commands import Lost, Progress, Wake

Generation = tuple[Key, int]
Question = tuple[bool, str]  # wakes, client: as IStacks.ensure has them
Groups = dict[Question, Waiters]
COUNTED = (
    *("in_flight", "streams", "requests", "bytes_in", "bytes_out", "last_used", "last_byte", "open"),
    *("keep_until", "leased"),
)


def share(limits: Limits, workers: int) -> Limits:
    """What one of so many workers may hold, so that all of them together hold what the configuration says."""
    held, held_per_stack = (-(-limit // workers) for limit in (limits.max_held, limits.max_held_per_stack))
    return evolve(limits, max_held=held, max_held_per_stack=held_per_stack)


class Asks(Protocol):
    """A line to the gateway."""

    def callRemote(self, commandType: Any, *a: Any, **kw: Any) -> Any: ...  # as twisted.protocols.amp has it


@implementer(IStacks)
@define(eq=False)
class RemoteStacks:
    """``limits`` are this worker's own; ``on_close(endpoint)`` is called when nothing is to be kept that leads there.

    Without a gateway, what is known is served and the rest is held: each who waits has his own deadline, and the next gateway
    is asked for what they wait for.
    """

    _clock: IReactorTime
    _limits: Limits
    on_close: Callable[[Endpoint], None] = field(default=lambda endpoint: None, init=False)
    peek: Callable[[Key], Ticket | None] = field(init=False)
    _doors: dict[Key, Ticket] = field(factory=dict, init=False)  # by every spelling
    _tickets: dict[Generation, Ticket] = field(factory=dict, init=False)  # by canonical key; closed ones too, while in use
    _held: dict[Key, Groups] = field(factory=dict, init=False)  # by spelling
    _asking: dict[Key, set[Question]] = field(factory=dict, init=False)  # what the present gateway is being asked
    _progress: dict[Key, tuple[str, float]] = field(factory=dict, init=False)
    _told: dict[Generation, tuple[Any, ...]] = field(factory=dict, init=False)  # what the gateway knows of each ticket
    _room: Room = field(init=False)
    _line: Asks | None = field(default=None, init=False)
    _past: int = field(default=0, init=False)  # requests counted by tickets that are no more
    _log = Logger(namespace="grandcentral.workers")

    def __attrs_post_init__(self) -> None:
        self.peek = self._doors.get
        self._room = Room(self._limits.max_held)

    @property
    def held(self) -> int:
        """How many requests wait here."""
        return self._room.taken

    @property
    def requests(self) -> int:
        """How many requests were begun here, ever."""
        return self._past + sum(ticket.requests for ticket in self._tickets.values())

    # -- IStacks ----------------------------------------------------------------------------------------------------------

    def ensure(self, key: Key, wakes: bool = True, client: str = "") -> Deferred[Ticket]:
        ticket = self._doors.get(key)
        if ticket is not None:
            return succeed(ticket)
        groups = self._held.setdefault(key, {})
        limit = self._limits.max_held_per_stack
        if sum(map(len, groups.values())) >= limit:
            return fail(TooManyWaiting(limit, retry_after=5))
        question = (wakes, client if wakes and self._limits.starts_per_client else "")
        waiters = groups.get(question)
        if waiters is None:
            waiters = groups[question] = Waiters(self._clock, limit, self._room)
        try:
            place = waiters.add(self._limits.start_timeout, lambda: self._too_late(key))
        except TooManyWaiting as full:
            self._tidy(key)
            return fail(full)
        self._ask(key)
        return place

    def lost(self, ticket: Ticket) -> None:
        if ticket.open:
            self._close(ticket)
            if self._line is not None:
                self._line.callRemote(Lost, key=str(ticket.key), generation=ticket.generation)

    def progress(self, key: Key) -> tuple[str, float] | None:
        return self._progress.get(key)

    def _too_late(self, key: Key) -> Refusal:
        doing, _ = self._progress.get(key) or ("the gateway does not answer" if self._line is None else "starting", 0.0)
        return StartTimeout(key, self._limits.start_timeout, doing, retry_after=5)

    # -- to the gateway ---------------------------------------------------------------------------------------------------

    def connected(self, line: Asks) -> None:
        """There is a gateway: it knows nothing of us yet."""
        self._line = line
        self._asking.clear()
        self._told.clear()
        for key in list(self._held):
            self._ask(key)

    def disconnected(self) -> None:
        """There is none any more."""
        self._line = None
        self._progress.clear()

    def _ask(self, key: Key) -> None:
        """For those who wait, if they are not asked for yet. See Note [Who asks]."""
        line = self._line
        groups = self._tidy(key)
        if line is None or not groups:
            return
        question = max(groups, key=_wakes)
        asking = self._asking.setdefault(key, set())
        if not asking or (_wakes(question) and not any(map(_wakes, asking))):
            asking.add(question)
            wakes, client = question
            asked = line.callRemote(Wake, key=str(key), wakes=wakes, client=client)
            asked.addCallbacks(self._answered, self._unanswered, (key, question, line), None, (key, question, line))
            asked.addErrback(lambda failure: self._log.failure(events.BUG, failure, incident="-", what=f"waking {key}"))

    def _tidy(self, key: Key) -> Groups:
        """Those groups in which still somebody waits."""
        groups = {question: waiters for question, waiters in self._held[key].items() if len(waiters)}
        if groups:
            self._held[key] = groups
        else:
            del self._held[key]
        return groups

    def _answered(self, answer: Mapping[str, Any], key: Key, question: Question, line: Asks) -> None:
        if line is not self._line:
            return
        self._asked(key, question)
        if answer["refusal"] is not None:
            self._refused(key, question, _decoded(key, answer["refusal"]))
            return
        ticket = self._open(Key.parse(answer["key"]), answer["generation"], Endpoint(answer["host"], answer["port"]))
        ticket.started, ticket.phases = answer["started"], json.loads(answer["phases"])
        self._doors[key] = ticket
        self._progress.pop(key, None)
        for waiters in self._held.pop(key, {}).values():
            waiters.fire(ticket)

    def _unanswered(self, failure: Failure, key: Key, question: Question, line: Asks) -> None:
        """The line broke, and the next gateway will be asked; or it has said that it cannot say."""
        if line is self._line:
            self._asked(key, question)
            self._refused(key, question, _unexplained(key))

    def _asked(self, key: Key, question: Question) -> None:
        self._asking[key].discard(question)
        if not self._asking[key]:
            del self._asking[key]

    def _refused(self, key: Key, question: Question, refusal: Refusal) -> None:
        groups = self._held.get(key)
        if groups is None:
            return
        if isinstance(refusal, StartTimeout):  # that of him who asked first: the others have deadlines of their own
            told = []
        elif isinstance(refusal, TooManyStarts) or not _wakes(question):
            told = [groups.pop(question)] if question in groups else []
        else:
            told = list(groups.values())
            groups.clear()
        self._ask(key)
        if key not in self._held:
            self._progress.pop(key, None)
        for waiters in told:
            waiters.fail(refusal)

    def _open(self, key: Key, generation: int, endpoint: Endpoint) -> Ticket:
        ticket = self._tickets.get((key, generation))
        if ticket is None:
            ticket = self._tickets[key, generation] = Ticket(key, generation, endpoint)
        ticket.endpoint, ticket.open = endpoint, True
        return ticket

    # -- from the gateway -------------------------------------------------------------------------------------------------

    def close(self, key: Key, generation: int) -> None:
        """Ask again before this stack is used."""
        ticket = self._tickets.get((key, generation))
        if ticket is not None:
            self._close(ticket)

    def drain(self, key: Key, generation: int, outlived: bool) -> bool:
        """Close it. Whether somebody still uses it; a stream is no use of a stack that has been up for long enough."""
        ticket = self._tickets.get((key, generation))
        if ticket is None:
            return False
        self._close(ticket)
        last_byte = -inf if outlived else ticket.last_byte
        use = StackUse(key, "draining", in_flight=ticket.in_flight, streams=ticket.streams, last_byte=last_byte)
        now = self._clock.seconds()
        return busy(now, use, self._limits) or ticket.keep_until > now

    def _close(self, ticket: Ticket) -> None:
        if ticket.open:
            ticket.open = False
            for spelling in [spelling for spelling, door in self._doors.items() if door is ticket]:
                del self._doors[spelling]
            self.on_close(ticket.endpoint)

    # -- once a second ----------------------------------------------------------------------------------------------------

    def news(self) -> Iterator[dict[str, Any]]:
        """What the gateway does not know yet of the use of each stack, as Activity wants it."""
        for generation, ticket in list(self._tickets.items()):
            counts = tuple(getattr(ticket, name) for name in COUNTED)
            if self._told.get(generation) != counts:
                self._told[generation] = counts
                key, number = generation
                where = {"host": ticket.endpoint.host, "port": ticket.endpoint.port}
                yield {"key": str(key), "generation": number, **where, **dict(zip(COUNTED, counts, strict=True))}
            if not (ticket.open or ticket.in_flight):  # the gateway forgets it too, when it hears that
                self._past += ticket.requests
                del self._tickets[generation], self._told[generation]

    def inquire(self) -> None:
        """Ask what may be told to those who wait."""
        line = self._line
        if line is not None:
            for key in self._held:
                asked = line.callRemote(Progress, key=str(key))
                asked.addCallbacks(self._heard, lambda _: None, (key,))  # no answer is no progress

    def _heard(self, answer: Mapping[str, Any], key: Key) -> None:
        if answer["text"] is not None and key in self._held:
            self._progress[key] = answer["text"], answer["seconds"]


def _wakes(question: Question) -> bool:
    return question[0]


def _unexplained(key: Key) -> Refusal:
    return StartFailed(key, Mishap("Something went wrong inside the gateway; its log says more."))


def _decoded(key: Key, text: bytes) -> Refusal:
    try:
        return refusals.decode(text)
    except ValueError:  # of another version than ours
        return _unexplained(key)
