"""One stack: its state, its generation, those who wait for it, and the performing of effects.

What to do is core/lifecycle.py's; this module does it. Events are taken in one at a time, to the end, in the order in which
they came: an effect that ends at once (a fake, a fixed upstream) queues its news behind the effects still to be performed.

Note [Drain]: a request may be under way to a stack that was just found idle:

    a worker begins a request by a route it knows -> the janitor reads counts that are a second old: idle -> DRAINING
    the stack is halted                           -> the request is cut

So the door is closed first, then everybody who may have come through it is asked, and only when nobody has anything in flight
is the stack paused or halted. Whoever finds the door closed asks for the stack: that is WANTED, which calls the drain off, and
answers that still come are no news any more.

A long module, because it has one short method for each effect of the table.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from math import inf
from typing import Protocol

from attrs import asdict, define, field
from twisted.internet.defer import Deferred, succeed
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.internet.task import deferLater
from twisted.logger import Logger

from .. import events
from ..core import launching
from ..core.counters import StackCounters
from ..core.idleness import STOPPED, busy
from ..core.keys import Key
from ..core.lifecycle import TRANSITIONS, Effect, Event, State, step
from ..core.model import App, Endpoint, Found, Launch, Limits, LogTail, Progress, StackSnapshot, StackUse, Version
from ..core.problems import Invalid
from ..core.readiness import next_probe, timeout
from ..core.tickets import Ticket
from ..errors import (
    BackendUnavailable,
    EngineRefused,
    EngineUnavailable,
    Mishap,
    NothingKept,
    NotReady,
    NotSaved,
    Refusal,
    StackStopped,
    StartFailed,
)
from ..interfaces import IBackend, IProber
from .books import Books
from .operations import Operations
from .rested import NOWHERE, Rested
from .waiters import Waiters

HALT_RETRY = 2.0  # seconds between attempts to stop what may still run
SAVE_RETRY = (60.0, 3600.0)  # seconds for which a stack that could not be saved is let be, at first and at most
LOG_LINES = 50

# What runs in these states is for them alone: when one is left, it is no news any more.
_NO_TICKET = Ticket(Key(""), 0, NOWHERE, open=False)
_ADVICE = (Event.STOP_CHOSEN, Event.PAUSE_CHOSEN, Event.REMOVE_CHOSEN)
_GIVEN_UP = {
    *(State.STARTING, State.PROBING, State.REPROBING, State.DRAINING, State.DOZING),
    *(State.SAVING, State.CLOSING, State.REMOVING),
}
# Where a stack is at rest, or was until somebody wanted it again.
_RESTED = (State.COLD, State.FAILED, State.QUEUED, State.STARTING)

Standing = tuple["Stack", State, int]  # itself, its state, and how many operations there have been


class House(Protocol):
    """What a stack asks of the table it lives in."""

    limits: Limits
    counters: StackCounters
    token: Callable[[Key], str]

    async def given(self, key: Key) -> Mapping[str, str]: ...
    def ask_slot(self, stack: Stack) -> None: ...
    def leave_queue(self, stack: Stack) -> None: ...
    def slot_freed(self) -> None: ...
    def opened(self, stack: Stack, ticket: Ticket) -> None: ...
    def closed(self, stack: Stack) -> None: ...
    def settled(self, stack: Stack) -> None: ...
    def drained(self, ticket: Ticket) -> Deferred[bool]: ...
    def known(self, backend: str) -> Deferred[None]: ...
    def doubt(self, backend: str) -> None: ...


@define(eq=False)
class Stack:
    """``handle`` is the one way in; ``snapshot`` is the one way to look."""

    key: Key
    app: App
    version: Version
    address: tuple[str, str]  # its public host name and URL
    waiters: Waiters
    books: Books
    _backend: IBackend
    _prober: IProber
    _clock: IReactorTime
    _house: House
    pinned: bool = False
    state: State = field(default=State.COLD, init=False)
    generation: int = field(default=0, init=False)
    ticket: Ticket | None = field(default=None, init=False)
    ready_since: float | None = field(default=None, init=False)
    warm: bool = field(default=False, init=False)
    kept: bool = field(default=False, init=False)  # nothing of it runs, and it can be started again as it was
    spellings: tuple[Key, ...] = field(default=(), init=False)
    why: str = field(default="idle", init=False)  # it was last chosen to be put to sleep: see core.counters
    written: float = field(default=-inf, init=False)  # that is the last use of it that is written down (monotonic seconds)
    lookup_seconds: float = field(default=0.0, init=False)  # what the look-up before the next start took
    _endpoint: Endpoint | None = field(default=None, init=False)
    _cause: Mishap | Refusal | None = field(default=None, init=False)
    _worth_keeping: bool = field(default=False, init=False)  # this generation was ready once
    _made_of: Version | None = field(default=None, init=False)  # what is kept was made of
    _volumes_too: bool = field(default=False, init=False)  # remove those that are to be kept as well
    _let_be_until: float = field(default=0.0, init=False)  # monotonic seconds: it could not be saved
    _unsaved: int = field(default=0, init=False)  # attempts in a row to save it that failed
    _last_answer: str = field(default="it was not asked yet", init=False)
    _timer: IDelayedCall | None = field(default=None, init=False)  # of this state: dropped when the state is left
    _halt_timer: IDelayedCall | None = field(default=None, init=False)
    _operations: Operations = field(init=False)
    _inbox: list[tuple[Event, Mishap | Refusal | None]] = field(factory=list, init=False)  # a deque takes ten times as much
    _handling: bool = field(default=False, init=False)
    _watchers: list[Deferred[None]] = field(factory=list, init=False)
    _log = Logger(namespace="grandcentral.stacks")

    def __attrs_post_init__(self) -> None:
        self._operations = Operations(self.handle)

    # -- in ---------------------------------------------------------------------------------------------------------

    def handle(self, event: Event, cause: Mishap | Refusal | None = None) -> None:
        """Take in news. Raises IllegalTransition, and changes nothing, if this cannot happen in the present state."""
        self._inbox.append((event, cause))
        if self._handling:
            return
        self._handling = True
        try:
            while self._inbox:
                self._take(*self._inbox.pop(0))
        finally:
            self._handling = False

    def _take(self, event: Event, cause: Mishap | Refusal | None) -> None:
        before = self.state
        if event in _ADVICE and event not in TRANSITIONS[before]:
            return  # it was planned for the state that the stack was in
        self.state, effects = step(before, event)
        self._cause = cause
        if self.state is not before:
            self._log.debug(events.STACK_MOVED, key=self.key, before=before.value, after=self.state.value, news=event.value)
            self._house.counters.moved(before, self.state, event, self.why)
            self._drop_timer()
            if before in _GIVEN_UP and (before, self.state) != (State.SAVING, State.CLOSING):
                self._operations.abandon()
            if before is State.REMOVING:
                self._drop_halt_timer()
        for effect in effects:
            _PERFORM[effect](self)
        if self.state is not before and self.state in (State.COLD, State.FAILED):
            self.books.give_up()  # of one that queued
            self._house.settled(self)
        if self.state is not before and self.state in _RESTED:
            watchers, self._watchers = self._watchers, []
            for watcher in watchers:
                watcher.callback(None)

    def adopt(self, found: Found, last_used: float) -> None:
        """Take over what a backend found; the stack must be COLD. ``last_used`` is in monotonic seconds."""
        self.generation, self._endpoint = found.generation, found.endpoint
        self.version = self._made_of = found.version or self.version
        self._worth_keeping = found.kept or found.whole
        self.kept = found.kept and not found.running
        if self._worth_keeping:
            self.ticket = Ticket(self.key, self.generation, found.endpoint or NOWHERE, open=False, last_used=last_used)
        if found.whole:
            self.ready_since = last_used  # it has been up at least since then
            self.handle(Event.ADOPTED_PAUSED if found.paused else Event.ADOPTED)
        elif self.kept:
            self.handle(Event.ADOPTED_STOPPED)
            self._house.settled(self)
        else:
            self.handle(Event.FOUND_BROKEN)

    def rest(self) -> Rested | None:
        """What is to be remembered of it while it is at rest; None if it is not, or there is more to remember."""
        about_to_change = self._inbox or self._operations.under_way or len(self.waiters) or self.books.failures
        if self.state is not State.COLD or not self.kept or self.ticket is None or self._made_of is None or about_to_change:
            return None
        if not self._worth_keeping:  # it is about to be removed, by who has this object
            return None
        return Rested(self.key, self._made_of, self.ticket, self.used, self.written, self.spellings)

    def rouse(self, rested: Rested) -> None:
        """Be what is remembered; the stack must be COLD."""
        self.generation, self.ticket = rested.generation, rested.ticket
        self.version = self._made_of = rested.version
        self.ticket.last_used, self.written = rested.used, rested.written
        self.kept = self._worth_keeping = True

    def when_settled(self) -> Deferred[None]:
        """Fires when it is at rest, or has been and is wanted again; at once, if that is so.

        Fails with NotSaved if it is not to be, after all.
        """
        if self.state in (State.COLD, State.FAILED, State.QUEUED):
            return succeed(None)
        watcher: Deferred[None] = Deferred()
        self._watchers.append(watcher)
        return watcher

    def close(self) -> None:
        """Let go of timers and operations; what runs is left as it is."""
        self._operations.abandon()
        self._drop_timer()
        self._drop_halt_timer()

    def discard(self, volumes: bool) -> None:
        """Nothing of it is worth keeping any more; with ``volumes``, not even those that outlive stacks."""
        self._worth_keeping = False
        self._volumes_too |= volumes

    def lost_what_was_kept(self) -> None:
        """Somebody else has removed it."""
        self.kept = self._worth_keeping = False
        self._house.settled(self)

    def _drop_halt_timer(self) -> None:
        if self._halt_timer is not None and self._halt_timer.active():
            self._halt_timer.cancel()

    def _drop_timer(self) -> None:
        timer, self._timer = self._timer, None
        if timer is not None and timer.active():
            timer.cancel()

    # -- out --------------------------------------------------------------------------------------------------------

    @property
    def holds_slot(self) -> bool:
        """Whether it counts against ``max_stacks``; what always runs elsewhere does not."""
        return self.state.holds_slot and self.app.upstream is None

    @property
    def standing(self) -> Standing | None:
        """Where it is; None while the engine is about something. If it is the same later on, nothing has happened meanwhile."""
        return None if self._operations.under_way else (self, self.state, self._operations.turn)

    @property
    def used(self) -> float:
        """When it was last of use: core.idleness.last_use, cheaper than to look at a snapshot."""
        ticket = self.ticket or _NO_TICKET
        return max(ticket.last_used, ticket.last_byte, self.ready_since or 0.0)

    @property
    def unwritten(self) -> bool:
        """Whether it was used after what is written down, or is in use."""
        return self.ticket is not None and bool(self.used != self.written or self.ticket.in_flight)

    def use(self) -> StackUse:
        """Its use at this instant."""
        ticket = self.ticket or _NO_TICKET
        return StackUse(
            self.key,
            STOPPED if self.kept and self.state is State.COLD else self.state.value,
            self.generation,
            ticket.in_flight,
            ticket.streams,
            len(self.waiters),
            ticket.last_used,
            ticket.last_byte,
            self.ready_since,
            self.pinned,
            self.warm,
            max(ticket.keep_until, self._let_be_until),
            ticket.requests,
            self.version,
        )

    def snapshot(self) -> StackSnapshot:
        """All there is to see of it at this instant."""
        ticket, books = self.ticket or _NO_TICKET, self.books
        return StackSnapshot(
            **asdict(self.use(), recurse=False),
            bytes_in=ticket.bytes_in,
            bytes_out=ticket.bytes_out,
            endpoint=self.ticket.endpoint if self.ticket else None,
            phases=books.phases,
            failure=str(books.failure) if books.failure else None,
            failure_logs=books.failure.logs if books.failure else (),
            progress=str(books.timeline) if books.timeline else "",
        )

    def refusal(self) -> Refusal:
        """What those who wait are told: the news just taken in, or the failure that is remembered."""
        if self.state is State.CLOSING and self._cause is None:
            return StackStopped(self.key, retry_after=1)
        cause = self._cause or self.books.failure or Mishap("The reason is not known.")
        if isinstance(cause, Refusal):
            return cause
        if isinstance(cause, EngineUnavailable):
            return BackendUnavailable(cause.why, retry_after=self.books.retry_in)
        return StartFailed(self.key, cause, retry_after=self.books.retry_in)

    # -- effects: one method for each, named after it ------------------------------------------------------------------

    def _do_ask_slot(self) -> None:
        self.books.begin(self.lookup_seconds)
        self.lookup_seconds = 0.0
        self.books.note(Progress("queue"))
        self._house.ask_slot(self)

    def _do_leave_queue(self) -> None:
        self._house.leave_queue(self)

    def _do_free_slot(self) -> None:
        self._house.slot_freed()

    def _do_launch(self) -> None:
        if self.books.timeline is None:
            self.books.begin()
        self.books.note(Progress("queue", done=True))
        self.ready_since = None
        self._operations.behind_lock(self._launched, Event.LAUNCH_FAILED)

    async def _launched(self) -> Event:
        await self._house.known(self.app.backend)  # what an unknown engine may still run must be known first
        try:
            self._endpoint = await self._restarted() or await self._made_anew()
        except EngineUnavailable:
            self._house.doubt(self.app.backend)
            raise
        return Event.LAUNCHED

    async def _restarted(self) -> Endpoint | None:
        """None if there is nothing to start again; then nothing is left of it either."""
        if not self.kept:
            return None
        if self.version.same(self._made_of):
            self.books.depth = "stopped"
            try:
                endpoint = await self._backend.restart(await self._launch(), self.books.note)
            except NothingKept as gone:
                self._log.info(events.NOTHING_KEPT, key=self.key, why=str(gone))
            else:
                self.kept = False
                return endpoint
        await self._removed()
        return None

    async def _made_anew(self) -> Endpoint:
        self.books.depth = "cold"
        self.generation += 1
        self._house.counters.retire(self.ticket)
        self.ticket, self._made_of, self._worth_keeping = None, self.version, False
        return await self._backend.launch(await self._launch(), self.books.note)

    async def _launch(self) -> Launch:
        try:
            given = await self._house.given(self.key) if self.app.provisioned else launching.NOTHING
            token = self._house.token(self.key)
            return launching.launch(self.app, self.key, self.generation, self.version, *self.address, token, given)
        except Invalid as invalid:
            raise EngineRefused(f"The template cannot be used with this version: {invalid}") from None
        except Refusal as refusal:
            raise EngineRefused(str(refusal)) from None

    def _do_halt(self) -> None:
        if self.ticket is not None:  # a worker that an earlier gateway has left may know the way though our door never opened
            self._house.closed(self)
        self.books.give_up()
        self._operations.behind_lock(self._halted, Event.HALT_FAILED)

    async def _halted(self) -> Event:
        """What was ready once is kept, with its data, even if it has failed to start again; not if that failed twice."""
        if self._worth_keeping and self.books.failures < 2 and self.app.idle.remove != 0 and self.app.upstream is None:
            await self._backend.stop(self.key)
            self.kept = self._worth_keeping  # it may have been discarded meanwhile
        else:
            self.kept = False
        return Event.HALTED if self.kept else await self._removed()

    def _do_remove(self) -> None:
        self._operations.behind_lock(self._removed, Event.HALT_FAILED)

    async def _removed(self) -> Event:
        volumes = None
        while volumes is not self._volumes_too:  # an operator may want them removed, too, while the rest is
            volumes = self._volumes_too
            await self._backend.halt(self.key, self.books.failure is None, volumes)
        self.kept = self._worth_keeping = self._volumes_too = False
        return Event.HALTED

    def _do_save(self) -> None:
        self._operations.behind_lock(self._saved, Event.SAVE_FAILED)

    async def _saved(self) -> Event:
        if self.app.before_stop:
            self._endpoint = await self._backend.resume(self.key)
        for hook in self.app.before_stop:
            await self._backend.execute(self.key, hook, self.app.before_stop_within)
        self._unsaved = 0
        return Event.SAVED

    def _do_alarm(self) -> None:
        self._unsaved += 1
        first, most = SAVE_RETRY
        wait = min(most, first * 2.0 ** min(self._unsaved - 1, 10))
        self._let_be_until = self._clock.seconds() + wait
        cause = self._cause if isinstance(self._cause, Mishap) else Mishap("The reason is not known.")
        self._log.error(events.NOT_SAVED, key=self.key, why=str(cause), retry=wait)
        watchers, self._watchers = self._watchers, []
        for watcher in watchers:
            watcher.errback(NotSaved(self.key, cause))

    def _do_pause(self) -> None:
        self._operations.behind_lock(self._paused, Event.PAUSE_FAILED)

    async def _paused(self) -> None:
        try:
            await self._backend.pause(self.key)
        except EngineUnavailable:  # frozen or not, it is thawed when somebody wants it
            self._house.doubt(self.app.backend)

    def _do_resume(self) -> None:
        self._operations.behind_lock(self._resumed, Event.RESUME_FAILED)

    async def _resumed(self) -> Event | None:
        began = self._clock.seconds()
        try:
            self._endpoint = await self._backend.resume(self.key)
        except EngineUnavailable as away:
            self._house.doubt(self.app.backend)
            if self.state is State.RESUMING:  # and not stopped meanwhile
                self.handle(Event.CHECK_FAILED, away)
            return None
        if len(self.waiters):
            now = self._clock.seconds()
            self._house.counters.started("paused", None, now - began, {})
            if self.ticket is not None:
                self.ticket.last_used = now  # who has it woken may not use it at once, or in a way that keeps it awake
        return Event.RESUMED

    def _do_check(self) -> None:
        self._operations.behind_lock(self._checked, Event.CHECK_FAILED)

    async def _checked(self) -> Event:
        for found in await self._backend.survey():
            if found.key == self.key and found.generation == self.generation and found.endpoint is not None:
                self._endpoint = found.endpoint
                return Event.FOUND
        return Event.VANISHED

    def _do_probe(self) -> None:
        self.books.note(Progress("ready"))
        self._operations.begin(self._answered, Event.DEADLINE)

    async def _answered(self) -> Event:
        began = self._clock.seconds()
        while self.app.upstream is None:  # a fixed upstream is always ready
            assert self._endpoint is not None
            within = timeout(self._clock.seconds() - began)
            try:
                await self._prober.probe(self._endpoint, self.app.ready, self.address[0], within)
                break
            except NotReady as not_ready:
                self._last_answer = not_ready.why
                self.books.note(Progress("ready", detail=not_ready.why))
            await deferLater(self._clock, next_probe(self._clock.seconds() - began))
        self.books.note(Progress("ready", done=True))
        return Event.PROBE_PASSED

    def _do_drain(self) -> None:
        self._do_close()
        self._operations.begin(self._drained, Event.DRAIN_REFUSED)

    async def _drained(self) -> Event:
        """At once where all that use it are in this process; otherwise when each worker has answered. See Note [Drain].

        Workers that answer tell first what they know of its use: it may not have been idle for as long as it seemed.
        """
        assert self.ticket is not None
        why, used = self.why, self.used
        self.ticket.outlived = why == "age"
        max_age = self.app.idle.max_age if self.ticket.outlived else None
        in_use = busy(self._clock.seconds(), self.use(), self._house.limits, max_age)
        if in_use or not await self._house.drained(self.ticket) or (why == "idle" and self.used > used):
            return Event.DRAIN_REFUSED
        return Event.DRAINED

    def _do_close(self) -> None:
        if self.ticket is not None and self.ticket.open:
            self.ticket.open = False
            self._house.closed(self)

    def _do_open(self) -> None:
        assert self._endpoint is not None
        now = self._clock.seconds()
        if self.ticket is None:
            self.ticket = Ticket(self.key, self.generation, self._endpoint, last_used=now)
        if self.ready_since is None:
            self.ready_since = self.ticket.started = now
            self.ticket.phases = self.books.phases
        self._worth_keeping, self._volumes_too = True, False
        self.ticket.endpoint, self.ticket.open = self._endpoint, True
        self._house.opened(self, self.ticket)

    def _do_fire_waiters(self) -> None:
        assert self.ticket is not None
        self.waiters.fire(self.ticket)

    def _do_fail_waiters(self) -> None:
        self.waiters.fail(self.refusal())

    def _do_remember(self) -> None:
        mishap = self._cause if isinstance(self._cause, Mishap) else Mishap("The reason is not known.")
        retry = self.books.failed(self.key, self.generation, mishap)
        self._log.warn(events.START_FAILED, key=self.key, why=str(mishap), retry=retry)

    def _do_forget(self) -> None:
        if self.state is not State.READY:
            self.books.forgive()
            return
        seconds = self.books.succeeded(self.key, self.generation)
        if seconds is not None:
            self._log.info(events.STACK_READY, key=self.key, seconds=round(seconds, 3), phases=self.books.phases)

    def _do_arm_start(self) -> None:
        within = self.app.start_within
        self._arm(within, lambda: f"The start did not end within {within:g} s ({self.books.timeline}).")

    def _do_arm_ready(self) -> None:
        within = self.app.ready.within
        self._arm(within, lambda: f"It runs, but was not ready within {within:g} s: {self._last_answer}.")

    def _arm(self, seconds: float, why: Callable[[], str]) -> None:
        turn = self._operations.turn

        async def late() -> None:
            logs: tuple[LogTail, ...] = ()
            try:  # before the halt: the last lines go with the containers
                logs = await self._backend.logs(self.key, LOG_LINES).addTimeout(1.0, self._clock)
            except Exception as error:  # the deadline counts, not the logs; but say that they are missing
                self._log.warn(events.LOGS_MISSING, key=self.key, why=str(error) or type(error).__name__)
            if turn == self._operations.turn:
                self.handle(Event.DEADLINE, NotReady(why(), logs=logs))

        self._timer = self._clock.callLater(seconds, lambda: Deferred.fromCoroutine(late()))

    def _do_arm_retry(self) -> None:
        self._timer = self._clock.callLater(self.books.retry_in, self.handle, Event.RETRY_ELAPSED)

    def _do_arm_halt(self) -> None:
        self._halt_timer = self._clock.callLater(HALT_RETRY, self.handle, Event.HALT_RETRY)


_PERFORM: dict[Effect, Callable[[Stack], None]] = {effect: getattr(Stack, f"_do_{effect.name.lower()}") for effect in Effect}
