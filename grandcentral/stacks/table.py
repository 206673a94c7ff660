"""The stack table: every stack that is not cold, found by any spelling of its key.

A request for a ready stack is one look-up in a dictionary (``peek``). Everything else goes through ``ensure``: the version is
looked up once for all who ask, its canonical name says which stack is meant, and those who wait are seated there.

What requests, operators, the janitor, backends and the stacks themselves ask of the table is in one module because it is all
about the same few dictionaries; how look-ups, queues, surveys and adoption work is in modules of their own beside it.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from functools import partial

from attrs import define, evolve, field
from twisted.internet.defer import Deferred, fail, succeed
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger
from zope.interface import implementer

from .. import events
from ..core import launching
from ..core.counters import StackCounters
from ..core.history import Start
from ..core.keys import Key
from ..core.lifecycle import Event, State
from ..core.model import App, Limits, LogTail, StackSnapshot, StackUse, Version
from ..core.rates import Rates, household
from ..core.tickets import Ticket
from ..errors import (
    AmbiguousVersion,
    AppGone,
    Asleep,
    InvalidVersion,
    Mishap,
    OutOfHours,
    Refusal,
    ShuttingDown,
    StackStopped,
    StartTimeout,
    TooManyStarts,
    TooManyWaiting,
)
from ..interfaces import IBackend, IMachine, IManifest, IProber, ISharedStacks, IStackControl, IVersions
from . import provisioned
from .adoption import Adoption, Standings
from .books import Books
from .diary import Diary
from .directory import Directory
from .incidents import log_mishap, log_unwritten
from .ledger import Ledger
from .leftovers import Leftovers
from .lookups import LookUp, LookUps
from .orders import Orders, engine_away
from .pins import Pins
from .queue import SlotQueue
from .rested import Rested
from .stack import Stack
from .surveys import Surveys
from .waiters import Room, Waiters

_ASLEEP = {
    *(State.COLD, State.PAUSED, State.DRAINING, State.DOZING, State.SAVING, State.STOPPING, State.REMOVING),
}
_NEEDS_START = {State.COLD, State.STOPPING, State.REMOVING}
FORGET_FAILURE = 3600.0  # seconds after which a failure no longer counts towards the back-off


def _copied(backends: Mapping[str, IBackend]) -> dict[str, IBackend]:
    return dict(backends)


def _moved(before: App, now: App | None) -> bool:
    """Whether what runs of it is no longer this app's."""
    return now is None or (now.backend, now.upstream) != (before.backend, before.upstream)


@implementer(ISharedStacks, IStackControl)
@define(eq=False, kw_only=True)
class StackTable:
    """One for each gateway.

    ``clock.seconds()`` is monotonic; ``wall()`` is seconds since the epoch, used for the manifest only. ``address(key)``
    gives the public host name and URL of a key, ``token(key)`` what its services prove themselves with. Apps without an entry
    in ``versions`` take any name as it is.

    ``on_close(ticket)`` is called when a stack is no longer to be used at the ticket's endpoint; more than once does no harm.
    ``on_drain(ticket)`` is asked before it is paused or stopped for being idle: its Deferred fires with whether nobody uses it.
    """

    _clock: IReactorTime
    _wall: Callable[[], float]
    apps: Mapping[str, App]
    _backends: dict[str, IBackend] = field(converter=_copied)
    versions: Mapping[str, IVersions]
    _prober: IProber
    _manifest: IManifest
    machine: IMachine
    _address: Callable[[Key], tuple[str, str]]
    token: Callable[[Key], str]
    limits: Limits
    _directory: Directory = field(init=False)
    pins: Pins = field(init=False)
    _diary: Diary = field(init=False)
    _orders: Orders = field(init=False)
    _look_ups: LookUps = field(init=False)
    _warm: frozenset[Key] = field(default=frozenset(), init=False)
    _leftovers: Leftovers = field(init=False)
    _adoption: Adoption = field(init=False)
    _room: Room = field(init=False)
    _rates: Rates = field(init=False)
    ledger: Ledger = field(init=False)
    _queue: SlotQueue = field(init=False)
    _surveys: Surveys[Standings] = field(init=False)
    counters: StackCounters = field(factory=StackCounters, init=False)
    _closing: bool = field(default=False, init=False)
    peek: Callable[[Key], Ticket | None] = field(init=False)
    on_close: Callable[[Ticket], None] = field(default=lambda ticket: None, init=False)
    on_drain: Callable[[Ticket], Deferred[bool]] = field(default=lambda ticket: succeed(True), init=False)
    _log = Logger(namespace="grandcentral.stacks")

    def __attrs_post_init__(self) -> None:
        self._directory = Directory(self._made)
        self.peek = self._directory.doors.get
        self.pins = Pins(self._wall, self._manifest)
        self._diary = Diary(self._clock, self._wall, self._manifest, self._directory, lambda: self.limits)
        self._room = Room(self.limits.max_held)
        self._rates = Rates(self.limits.starts_per_client)
        self.ledger = Ledger(self._clock, self.machine, self._backends, self.uses)
        self._queue = SlotQueue(
            self._clock, self.limits, lambda: self.capacity()[0], self._holders, self._give_way, self.ledger
        )
        self._look_ups = LookUps(self._clock, self._waiters, self._identify, self._seat)
        self._leftovers = Leftovers(self._clock, self._backends)
        self._adoption = Adoption(
            self._clock, self._wall, self._directory, lambda: self.apps, self._leftovers, self._drop
        )
        self._surveys = Surveys(self._backends, self._adoption.standing, self._adoption.reconcile)
        self._orders = Orders(
            lambda: self.apps, self._directory, self.pins, self._surveys.known, self._resolve, self.settled
        )
        for name in self._backends:
            self._watch(name)

    def _watch(self, name: str) -> None:
        self._backends[name].watch(self._vanished, partial(self._surveys.renew, name))

    async def open(self) -> None:
        """Read what was pinned and used, and adopt what still runs. An engine that is away is surveyed when it returns."""
        await self.pins.open()
        self._adoption.last_used = await self._manifest.last_used()
        for name, backend in self._backends.items():
            await backend.open()
            self._surveys.renew(name)
        await self._surveys.tried()

    async def close(self) -> None:
        """Refuse whoever waits; leave what runs as it is."""
        self._closing = True
        self._directory.doors.clear()
        self._queue.close()
        self._look_ups.close()
        self._leftovers.close()
        for stack in list(self._directory.stacks.values()):
            stack.close()
            stack.waiters.fail(ShuttingDown(retry_after=5))
        await self._diary.write()
        for versions in self.versions.values():
            await versions.close()
        for backend in self._backends.values():
            await backend.close()

    async def reconfigure(
        self, apps: Mapping[str, App], backends: Mapping[str, IBackend], versions: Mapping[str, IVersions], limits: Limits
    ) -> None:
        """Go on with another configuration. What runs of an app that has gone, or is now run by somebody else, is stopped; what
        runs of an app that has otherwise changed stays as it is until its next start.

        ``backends`` has at least those there were: what they run is theirs until it is stopped. Fires when new ones are open.
        """
        for rested in list(self._directory.rested.values()):
            if _moved(self.apps[rested.key.app], apps.get(rested.key.app)):
                self._directory.rouse(rested)
        dropped = [one for one in self.versions.values() if one not in versions.values()]
        before, self.apps, self.versions = self.apps, apps, versions
        self.limits = self._queue.limits = limits
        self._room.limit = limits.max_held
        if self._rates.per_minute != limits.starts_per_client:
            self._rates = Rates(limits.starts_per_client)
        new = [name for name in backends if name not in self._backends]
        self._backends.update(backends)
        moved = [one for one in self._directory.stacks.values() if _moved(one.app, apps.get(one.key.app))]
        for stack in moved:
            stack.discard(volumes=False)  # all of them before any is stopped: what that sets free may put others to rest
        for stack in self._directory.stacks.values():
            app = apps.get(stack.key.app)
            if app is not None and app.backend == stack.app.backend:
                stack.app = app
        for stack in moved:
            Deferred.fromCoroutine(self._orders.take_away(stack, volumes=False)).addErrback(log_mishap, stack.key)
        for name in apps.keys() - before.keys():
            self._log.info(events.APP_ADDED, app=name)
        for name in before.keys() - apps.keys():
            self._log.info(events.APP_GONE, app=name)
        for name in new:
            self._watch(name)
            await self._backends[name].open()
            self._surveys.renew(name)
        self._queue.look()
        for one in dropped:
            await one.close()

    # -- IStacks ------------------------------------------------------------------------------------------------------

    def ensure(self, key: Key, wakes: bool = True, client: str = "") -> Deferred[Ticket]:
        return self._ensure(key, wakes, client, asked=False)

    def _ensure(self, key: Key, wakes: bool, client: str, asked: bool) -> Deferred[Ticket]:
        """:param asked: by an operator, who may start what requests may not."""
        if self._closing:
            return fail(ShuttingDown(retry_after=5))
        if key.app not in self.apps:
            return fail(AppGone(key.app))
        ticket = self._directory.doors.get(key)
        if ticket is not None:
            return succeed(ticket)
        found = self._directory.find(key)
        if found is None and not wakes:
            found = self._known_otherwise(key)
        stack = found if isinstance(found, Stack) else None  # one at rest is looked up, and roused then
        if stack is not None and self._moves(stack):
            return fail(StackStopped(stack.key, retry_after=1))
        if not asked and (stack is None or stack.state in _ASLEEP) and self._look_ups.since(key) is None:
            refusal = self._lets_sleep(key, stack, wakes, client)
            if refusal is not None:
                return fail(refusal)
        try:
            if stack is None or stack.state is State.COLD:
                return self._look_ups.join(key, self.limits.start_timeout, lambda: self._too_late(key))
            place = stack.waiters.add(self.limits.start_timeout, lambda: self._too_late(key))
        except TooManyWaiting as full:
            return fail(full)
        stack.handle(Event.WANTED)
        return place

    def _known_otherwise(self, key: Key) -> Stack | Rested | None:
        """What is meant by a spelling that nobody has used yet: no look-up is made for who does not wake."""
        try:
            found = self._orders.meant(key)
        except AmbiguousVersion:
            return None
        if found is not None:
            self._directory.spell(found, key)
        return found

    def _lets_sleep(self, key: Key, stack: Stack | None, wakes: bool, client: str) -> Refusal | None:
        """Why a request does not wake a stack that sleeps; None: it does."""
        if not wakes:
            return Asleep(key, retry_after=30)
        hours, now = self.apps[key.app].hours, self._wall()
        if hours is not None and not hours.open(now):
            return OutOfHours(key, hours.text, retry_after=hours.next_open(now) - now)
        if self._rates.per_minute and client and (stack is None or stack.state in _NEEDS_START):
            wait = self._rates.take(household(client), self._clock.seconds())
            if wait:
                return TooManyStarts(client, self._rates.per_minute, retry_after=wait)
        return None

    def lost(self, ticket: Ticket) -> None:
        stack = self._directory.stacks.get(ticket.key)
        if stack is not None and stack.ticket is ticket and stack.state is State.READY and stack.app.upstream is None:
            stack.handle(Event.LOST)

    def ticket(self, key: Key, generation: int) -> Ticket | None:
        found = self._directory.get(key)
        ticket = found.ticket if found is not None else None
        return ticket if ticket is not None and ticket.generation == generation else None

    def surveyed(self, app: str) -> bool:
        return app not in self.apps or self._surveys.is_known(self.apps[app].backend)

    def progress(self, key: Key) -> tuple[str, float] | None:
        stack, now = self._directory.find(key), self._clock.seconds()
        if isinstance(stack, Stack) and stack.books.timeline is not None:
            place = self._queue.place(stack)
            text = f"number {place} in the queue for a slot" if place else str(stack.books.timeline)
            return text, now - stack.books.began
        since = self._look_ups.since(key)
        return ("asking whether this version exists", now - since) if since is not None else None

    def _too_late(self, key: Key) -> Refusal:
        doing, _ = self.progress(key) or ("starting", 0.0)
        return StartTimeout(key, self.limits.start_timeout, doing, retry_after=5)

    def _seat(self, key: Key, version: Version, look_up: LookUp) -> None:
        if key.app not in self.apps:  # or while the engine was surveyed
            look_up.waiters.fail(AppGone(key.app))
            return
        stack = self._directory.stack(Key(key.app, version.name), version)
        if self._moves(stack):
            look_up.waiters.fail(StackStopped(stack.key, retry_after=1))
            return
        self._directory.spell(stack, key)
        if stack.state is State.COLD:
            stack.version, stack.lookup_seconds = version, self._clock.seconds() - look_up.began
        stack.waiters.take_over(look_up.waiters)
        stack.handle(Event.WANTED)  # even if all have left: a start goes on

    def _identify(self, key: Key) -> Deferred[Version]:
        return Deferred.fromCoroutine(self._identified(key))

    async def _identified(self, key: Key) -> Version:
        version = await self._resolve(key)
        if key.app not in self.apps:  # it went while its version was looked up
            raise AppGone(key.app)
        await self._surveys.known(self.apps[key.app].backend)
        await self._leftovers.gone(Key(key.app, version.name))
        return version

    def _resolve(self, key: Key) -> Deferred[Version]:
        versions = self.versions.get(key.app)
        return versions.resolve(key.name) if versions else succeed(Version(key.name))

    # -- IStackControl ------------------------------------------------------------------------------------------------

    def snapshot(self) -> tuple[StackSnapshot, ...]:
        awake = (stack.snapshot() for stack in self._directory.stacks.values())
        resting = (one.snapshot(key in self.pins, key in self._warm) for key, one in self._directory.rested.items())
        cold = (key for key in sorted(self.pins) if self._directory.get(key) is None)
        shown = (*awake, *resting, *(StackSnapshot(key, State.COLD.value, pinned=True) for key in cold))
        return tuple(evolve(one, pinned_until=self.pins.until(one.key)) if one.pinned else one for one in shown)

    def stop(self, key: Key, force: bool = False) -> Deferred[None]:
        self.apps[key.app]
        return Deferred.fromCoroutine(self._orders.stop(key, force))

    def remove(self, key: Key, volumes: bool = False) -> Deferred[None]:
        self.apps[key.app]
        return Deferred.fromCoroutine(self._orders.remove(key, volumes))

    def start(self, key: Key) -> Deferred[Ticket]:
        """Like ``ensure``, for an operator: a remembered failure is forgotten first."""
        try:
            self._orders.check_name(key)
            stack = self._orders.meant(key)
        except (AmbiguousVersion, InvalidVersion) as refusal:
            return fail(refusal)
        if isinstance(stack, Stack) and stack.state is State.FAILED:
            stack.handle(Event.RETRY_ASKED)
        return self._ensure(key, wakes=True, client="", asked=True)

    def pin(self, key: Key, pinned: bool, until: float | None = None) -> Deferred[None]:
        self.apps[key.app]
        return Deferred.fromCoroutine(self._orders.pin(key, pinned, until))

    def logs(self, key: Key, lines: int) -> Deferred[tuple[LogTail, ...]]:
        backend = self._backends[self.apps[key.app].backend]
        try:
            stack = self._orders.meant(key)
        except AmbiguousVersion as ambiguous:
            return fail(ambiguous)
        return backend.logs(key if stack is None else stack.key, lines).addErrback(engine_away)

    def traffic(self) -> tuple[int, int]:
        """Bytes from clients to stacks, and back, since the gateway began."""
        return self.counters.traffic(one.ticket for one in self._directory if one.ticket is not None)

    def capacity(self) -> tuple[int, int]:
        return sum(stack.holds_slot for stack in self._directory.stacks.values()), self.limits.max_stacks

    # -- for versions ---------------------------------------------------------------------------------------------------

    def learned(self, app: str, version: Version) -> None:
        """What a version was built from has become known, which was resolved before."""
        found = self._directory.get(Key(app, version.name))
        if found is not None and found.version.digest == version.digest:
            found.version = version

    def uses(self, unused: float = 0.0) -> tuple[StackUse, ...]:
        """Of those that are not at rest, and have not been of use for so many seconds; cheaper than ``snapshot``."""
        latest = self._clock.seconds() - unused
        return tuple(stack.use() for stack in self._directory.stacks.values() if stack.used <= latest)

    def resting(self, unused: float = 0.0) -> tuple[StackUse, ...]:
        """Of those at rest that have not been of use for so many seconds."""
        latest = self._clock.seconds() - unused
        old = [one for one in self._directory.rested.values() if one.used <= latest]
        return tuple(one.use(one.key in self.pins, one.key in self._warm) for one in old)

    # -- for the janitor ----------------------------------------------------------------------------------------------

    def choose(self, event: Event, key: Key, generation: int, why: str = "idle") -> None:
        """PAUSE_CHOSEN, STOP_CHOSEN or REMOVE_CHOSEN: put a stack to sleep, or deeper, if it is still as the plan saw it.

        :param why: one of core.counters.REASONS.
        """
        found = self._directory.get(key)
        if found is None or found.generation != generation or key in self.pins:
            return
        if isinstance(found, Rested) and event is not Event.REMOVE_CHOSEN:
            return
        stack = self._directory.stack(key, found.version)
        stack.why = why
        awake, paused = stack.state is State.READY, stack.state is State.PAUSED and event is Event.STOP_CHOSEN
        if event is Event.REMOVE_CHOSEN:
            if stack.state is State.COLD and stack.kept:
                stack.handle(event)
        elif awake or paused:
            stack.handle(event)

    def keep_warm(self, keys: Collection[Key]) -> None:
        """Mark these stacks as warm, also those that are yet to be, and no others."""
        self._warm = frozenset(keys)
        for stack in self._directory.stacks.values():
            stack.warm = stack.key in self._warm

    def fetch(self, key: Key, version: Version) -> Deferred[None]:
        """Have at hand what a start of this version would fetch first. Fails like IBackend.fetch. Raises problems.Invalid."""
        app = self.apps[key.app]
        launch = launching.launch(app, key, 0, version, *self._address(key), self.token(key))
        return self._backends[app.backend].fetch(launch, lambda progress: None)

    def remember_use(self) -> Deferred[None]:
        """See Diary.write."""
        return self._diary.write()

    def queued(self) -> int:
        """How many stacks wait for a slot."""
        return len(self._queue)

    def reclaim(self) -> Deferred[int]:
        """Remove what was fetched for versions that no stack is of, stopped and pinned ones included. Fires with bytes."""
        return Deferred.fromCoroutine(self._reclaim())

    async def _reclaim(self) -> int:
        needed = {one.version for one in self._directory}
        for key in [key for key in self.pins if self._directory.get(key) is None]:
            known = await self._manifest.known_versions(key.app, key.name)
            needed.update(version for version in known if version.name == key.name)
        freed = 0
        for name, backend in list(self._backends.items()):
            try:
                freed += await backend.reclaim(needed)
            except Mishap as mishap:
                self._log.warn(events.NOT_RECLAIMED, backend=name, why=str(mishap))
        return freed

    def left(self) -> Deferred[dict[Key, float | None]]:
        """What has volumes and is_vacant: by key, when it was last used (wall seconds); None if that is not written down."""
        return Deferred.fromCoroutine(self._left())

    async def _left(self) -> dict[Key, float | None]:
        there: dict[Key, str] = {}
        for name, backend in list(self._backends.items()):
            try:
                there.update(dict.fromkeys(await backend.volumes(), name))
            except Mishap as mishap:
                self._log.warn(events.NOT_RECLAIMED, backend=name, why=str(mishap))
        used = await self._manifest.last_used()
        ours = (key for key, name in there.items() if key.app in self.apps and self.apps[key.app].backend == name)
        return {key: used.get(key) for key in ours if self.is_vacant(key)}

    def is_vacant(self, key: Key) -> bool:
        """Whether it is known that there is no stack of it, not even a stopped one, nor a pin, nor a wish to keep it warm."""
        wanted = self._directory.get(key) is not None or key in self._warm or key in self.pins
        return self.surveyed(key.app) and not wanted

    def note_use(self, uses: Mapping[Key, float]) -> Deferred[None]:
        """Write down uses, in wall seconds."""
        return self._manifest.touch(uses).addErrback(log_unwritten, "the gateway") if uses else succeed(None)

    def tidy(self) -> None:
        """Drop what is over: pins, and failures that are long ago."""
        self.pins.tidy()
        for stack in self._directory.stacks.values():
            stack.pinned = stack.key in self.pins
        self._forget_failures()

    def _forget_failures(self) -> None:
        now = self._clock.seconds()
        for stack in list(self._directory.stacks.values()):
            if stack.state is State.COLD and now - stack.books.retry_at > FORGET_FAILURE:
                stack.books.forgive()
                self.settled(stack)

    # -- for stacks: stack.House ----------------------------------------------------------------------------------------

    def ask_slot(self, stack: Stack) -> None:
        if stack.app.upstream is not None:
            stack.handle(Event.SLOT_GRANTED)
        else:
            self._queue.join(stack)

    def leave_queue(self, stack: Stack) -> None:
        self._queue.leave(stack)

    def slot_freed(self) -> None:
        self._queue.look()

    def opened(self, stack: Stack, ticket: Ticket) -> None:
        self._directory.opened(stack, ticket)

    def closed(self, stack: Stack) -> None:
        self._directory.closed(stack)
        if stack.ticket is not None:
            self.on_close(stack.ticket)  # its address may be another stack's next

    def settled(self, stack: Stack) -> None:
        if self._directory.stacks.get(stack.key) is not stack:
            return
        rested = stack.rest()
        if rested is not None:
            self._directory.put_to_rest(stack, rested)
        elif stack.state is State.COLD and stack.books.failures == 0 and not stack.kept and not len(stack.waiters):
            self._drop(stack)

    def drained(self, ticket: Ticket) -> Deferred[bool]:
        return self.on_drain(ticket)

    async def given(self, key: Key) -> Mapping[str, str]:
        """What its provision gives to a stack. Raises NotProvisioned: a start that was let in before the row went ends here."""
        return (await provisioned.find(self._manifest, key, self._wall())).variables

    def known(self, backend: str) -> Deferred[None]:
        return self._surveys.known(backend)

    def doubt(self, backend: str) -> None:
        self._surveys.doubt(backend)

    # -- the rest -------------------------------------------------------------------------------------------------------

    def _waiters(self) -> Waiters:
        return Waiters(self._clock, self.limits.max_held_per_stack, self._room)

    def _made(self, key: Key, version: Version) -> Stack:
        app = self.apps[key.app]
        stack = Stack(
            key=key,
            app=app,
            version=version,
            address=self._address(key),
            waiters=self._waiters(),
            books=Books(self._clock, self._wall, self._record),
            backend=self._backends[app.backend],
            prober=self._prober,
            clock=self._clock,
            house=self,
            pinned=key in self.pins,
        )
        stack.warm = key in self._warm
        return stack

    def _moves(self, stack: Stack) -> bool:
        """Whether its app is another backend's by now: until it has stopped here, it cannot start there."""
        return stack.app.backend != self.apps[stack.key.app].backend

    def _drop(self, one: Stack | Rested) -> None:
        self.counters.retire(one.ticket)
        if one.unwritten:  # what it has left is forgotten by its last use
            self.note_use({one.key: self._wall() - self._clock.seconds() + one.used})
        self._directory.drop(one)

    def _record(self, start: Start) -> None:
        self.counters.started(start.depth, start.failure, self._wall() - start.began, start.phases)
        self._manifest.record_start(start).addErrback(log_unwritten, start.key.app)

    def _holders(self) -> list[StackUse]:
        return [stack.use() for stack in self._directory.stacks.values() if stack.holds_slot]

    def _give_way(self, key: Key) -> bool:
        """Whether it does: a worker that cannot be asked just now may be using it."""
        stack = self._directory.stacks[key]
        self.choose(Event.STOP_CHOSEN, key, stack.generation, "room")
        return stack.state not in (State.READY, State.PAUSED)

    def _vanished(self, key: Key, generation: int, mishap: Mishap) -> None:
        stack = self._directory.stacks.get(key)
        if stack is not None and stack.state.holds_slot and stack.generation == generation:
            self._log.info(events.STACK_VANISHED, key=key, why=str(mishap))
            stack.handle(Event.VANISHED, mishap)
