"""The stack table under any order of events: requests, departures, use, time, operators, deaths, absences, restarts, shortages,
and other configurations."""

from __future__ import annotations

from attrs import evolve
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, invariant, rule
from twisted.internet.defer import Deferred
from twisted.python.failure import Failure

from grandcentral import errors
from grandcentral.backends.memory import MemoryEngine
from grandcentral.core.keys import Key
from grandcentral.core.lifecycle import State
from grandcentral.core.model import App, Hook, IdlePolicy, Limits, Service, StackSpec
from grandcentral.core.tickets import Ticket

from .host import Host
from .world import Client, World

NAMES = [digit * 7 for digit in "01234"]
names = st.sampled_from(NAMES)
SPEC = StackSpec((Service("web"),), "web", 80, volumes=("data",))
BROKEN = StackSpec((Service("web", command=("exit", "1")),), "web", 80, volumes=("data",))
STARTING = ("queued", "starting", "probing", "checking", "probing again", "resuming", "stopping, wanted")
AWAKE = ("ready", "draining", "dozing", "saving", "paused", "resuming")
LIMITS = Limits(max_stacks=2, min_uptime=1.0, start_timeout=60.0, queue_timeout=10.0)
IDLE = IdlePolicy(pause=20.0, stop=50.0, remove=150.0)
SLOTS = 2  # never more
ROOM = 10 << 30  # bytes for stacks, each of which takes one GiB

configurations = st.sampled_from(
    [
        (LIMITS, IDLE),
        (evolve(LIMITS, max_starting=1), IDLE),
        (evolve(LIMITS, max_stacks=1, min_uptime=0.0), IDLE),
        (evolve(LIMITS, memory_min_free=1 << 30), IDLE),
        (LIMITS, evolve(IDLE, max_age=60.0)),
        (LIMITS, evolve(IDLE, stop=None)),
    ]
)


def unless(failure: Failure, *known: type[Exception]) -> None:
    """An order may fail so, or because it is not known what an engine runs that is away."""
    failure.trap(errors.BackendUnavailable, *known)


class Gateway(RuleBasedStateMachine):
    """Two slots, five versions, and everything that can happen to them."""

    clients: Bundle[Client] = Bundle("clients")
    uses: Bundle[tuple[Ticket, int, bool]] = Bundle("uses")

    def __init__(self) -> None:
        super().__init__()
        engine = MemoryEngine(memory={Key("app", name): 1 << 30 for name in NAMES})
        self.host = Host(engine=engine, size=ROOM)
        self.world = World(
            limits=LIMITS, idle=IDLE, spec=SPEC, before_stop=(Hook("web", "true"),), engine=engine, machine=self.host
        )
        self.world.open()
        self.lives = 0  # of the gateway
        self.everybody: list[Client] = []
        self.using: dict[int, Ticket] = {}
        self.excused: set[Key] = set()  # may go although in use: an operator, a death or a lost connection had it so
        self.pinned: dict[Key, float | None] = {}  # those that were awake then, and until when they must stay so (wall seconds)
        self.leased: dict[Key, float] = {}  # likewise, and be frozen neither (monotonic seconds)
        self.unsaved: set[Key] = set()  # likewise, as long as their commands fail
        self.written: dict[Key, int] = {}  # what stacks were given to keep
        self.touched: dict[Key, float] = {}  # and when they were of use
        self.halts = 0  # that were looked at
        self.volumes: set[Key] = set()  # that must be there
        self.warm: set[Key] = set()
        self.orders: list[tuple[Key, Deferred[None]]] = []  # of operators

    # -- clients --------------------------------------------------------------------------------------------------------

    @rule(target=clients, name=names)
    def ask(self, name: str) -> Client:
        client = self.world.ask(name)
        self.everybody.append(client)
        return client

    @rule(name=names, wakes=st.booleans())
    def visit(self, name: str, wakes: bool) -> None:
        """Come, wait for a while, look at a page and leave."""
        client = Client(self.world.table.ensure(Key("app", name), wakes))
        self.everybody.append(client)
        self.pass_time(1.0)
        if client.ticket is not None and client.ticket.open:
            client.ticket.begin(self.now)
            self.excused.discard(client.ticket.key)
            self.touched[client.ticket.key] = self.now
            client.ticket.end(self.now)
        self.write(name)

    @rule(client=consumes(clients))
    def leave(self, client: Client) -> None:
        if not client.answered:
            client.leave()
            assert client.answered

    @rule(target=uses, name=names, stream=st.booleans())
    def use(self, name: str, stream: bool) -> tuple[Ticket, int, bool]:
        """A stream is no reason to let a stack grow old; a request is."""
        ticket = self.world.table.peek(Key("app", name))
        if ticket is None:
            return Ticket(Key("app", name), 0, None, open=False), -1, False  # type: ignore[arg-type]
        ticket.begin(self.now)
        if stream:
            ticket.stream_opened(self.now)
        else:
            self.using[id(ticket)] = ticket
            self.excused.discard(ticket.key)
        self.touched[ticket.key] = self.now
        return ticket, self.lives, stream

    @rule(use=consumes(uses))
    def finish(self, use: tuple[Ticket, int, bool]) -> None:
        ticket, life, stream = use
        if life >= 0:
            if stream:
                ticket.stream_closed(self.now)
            ticket.end(self.now)

    def write(self, name: str) -> None:
        """Somebody leaves something in a stack that is ready: from then on it must be there whenever the stack is."""
        key = Key("app", name)
        ticket = self.world.table.peek(key)
        if ticket is not None:
            ticket.begin(self.now)
            ticket.end(self.now)
            self.touched[key] = self.now
            self.world.engine.data[key] += 1
            self.written[key] = self.world.engine.data[key]

    @rule(name=names, seconds=st.sampled_from([0.0, 10.0, 100.0]))
    def an_application_asks_for_time(self, name: str, seconds: float) -> None:
        ticket = self.world.table.peek(Key("app", name))
        if ticket is not None:
            ticket.lease(self.now, seconds)
            self.leased[ticket.key] = self.now + seconds

    @rule(name=names)
    def lose_a_connection(self, name: str) -> None:
        ticket = self.world.table.peek(Key("app", name))
        if ticket is not None:
            if self.world.prober.mishap is not None:  # it is probed again
                self.excuse(ticket.key)
                self.written.pop(ticket.key, None)
            self.world.table.lost(ticket)

    # -- time -------------------------------------------------------------------------------------------------------------

    @property
    def now(self) -> float:
        return self.world.clock.seconds()

    @rule(seconds=st.sampled_from([0.05, 0.1, 0.3]))
    def next_moment(self, seconds: float) -> None:
        self.pass_time(seconds)

    @rule(seconds=st.sampled_from([1.0, 6.0, 12.0, 25.0]))
    def a_while_later(self, seconds: float) -> None:
        self.pass_time(seconds)

    @rule(seconds=st.sampled_from([25.0, 60.0, 160.0]))
    def much_later(self, seconds: float) -> None:
        self.pass_time(seconds)

    def pass_time(self, seconds: float) -> None:
        """From one timer to the next."""
        until, clock = self.now + seconds, self.world.clock
        while self.now < until:
            clock.advance(max(0.0, min([until, *(call.getTime() for call in clock.getDelayedCalls())]) - self.now))
            self.what_is_removed_was_due()

    # -- workers ----------------------------------------------------------------------------------------------------------

    @rule(news=st.sampled_from(["take their time", "answer", "are busy", "are quick", "cannot be asked"]))
    def workers(self, news: str) -> None:
        self.world.unreachable = news == "cannot be asked"
        self.world.asking = news != "are quick"
        if news in ("answer", "are busy", "are quick"):
            self.world.answer(unused=news != "are busy")

    # -- operators --------------------------------------------------------------------------------------------------------

    @rule(order=st.sampled_from(["start", "stop", "stop by force", "remove", "remove with volumes"]), name=names)
    def operator(self, order: str, name: str) -> None:
        match order:
            case "start":
                self.start(name)
            case "stop" | "stop by force":
                self.stop(name, force=order != "stop")
            case "remove" | "remove with volumes":
                self.remove(name, volumes=order != "remove")

    @rule(those=st.sets(names, max_size=2), configuration=configurations, command=st.sampled_from(["true", "exit 1", "hang"]))
    def configuration(self, those: set[str], configuration: tuple[Limits, IdlePolicy], command: str) -> None:
        self.keep_warm(those)
        self.reconfigure(configuration)
        if self.world.before_stop != (Hook("web", command),):
            self.other_commands_before_a_stop(command)

    def excuse(self, *those: Key) -> None:
        """What happens to them now is none of the table's choosing."""
        for key in those:
            self.excused.add(key)
            self.pinned.pop(key, None)
            self.leased.pop(key, None)
            self.unsaved.discard(key)

    def remove(self, name: str, volumes: bool) -> None:
        key = Key("app", name)
        self.excuse(key)
        self.written.pop(key, None)
        if volumes:
            self.volumes.discard(key)
        done = self.world.table.remove(key, volumes).addErrback(unless, errors.AppGone)
        self.orders.append((key, done))

    def stop(self, name: str, force: bool) -> None:
        key = Key("app", name)
        self.excuse(key)
        done = self.world.table.stop(key, force).addErrback(unless, errors.NotSaved, errors.AppGone)
        self.orders.append((key, done))

    @rule(name=names, pinned=st.sampled_from([True, True, False]), within=st.sampled_from([None, 10.0, 200.0]))
    def pin(self, name: str, pinned: bool, within: float | None) -> None:
        key, until = Key("app", name), None if within is None else self.now + self.world.wall_offset + within
        self.world.table.pin(key, pinned, until)
        self.pinned.pop(key, None)
        if pinned and self.world.state(name) in AWAKE:
            self.pinned[key] = until

    def start(self, name: str) -> None:
        self.everybody.append(Client(self.world.table.start(Key("app", name))))

    def keep_warm(self, those: set[str]) -> None:
        self.warm = {Key("app", name) for name in those}
        self.world.table.keep_warm(self.warm)

    def reconfigure(self, configuration: tuple[Limits, IdlePolicy]) -> None:
        self.world.limits, self.world.idle = configuration
        self.configure(evolve(self.world.table.apps["app"], idle=self.world.idle))

    def other_commands_before_a_stop(self, command: str) -> None:
        self.world.before_stop = (Hook("web", command),)
        self.configure(evolve(self.world.table.apps["app"], before_stop=self.world.before_stop))
        self.unsaved.clear()

    def an_app_goes_and_comes_back(self, seconds: float) -> None:
        app = self.world.table.apps["app"]
        self.excuse(*(Key("app", name) for name in NAMES))
        self.written.clear()
        self.configure()
        self.pass_time(seconds)
        self.configure(app)

    def configure(self, *apps: App) -> None:
        world = self.world
        done = world.table.reconfigure(
            {app.name: app for app in apps}, {"memory": world.backend}, {"app": world.versions}, world.limits
        )
        went_wrong: list[object] = []
        assert Deferred.fromCoroutine(done).addErrback(went_wrong.append).called
        assert not went_wrong

    # -- trouble ----------------------------------------------------------------------------------------------------------

    @rule(what=st.sampled_from(["a death", "no engine", "a clock", "no memory", "an app goes", "silence", "a bad version"]),
          name=names, lost=st.sets(names, max_size=2), seconds=st.sampled_from([0.05, 1.0, 100_000.0]))  # fmt: skip
    def trouble(self, what: str, name: str, lost: set[str], seconds: float) -> None:
        """Each begins, or ends if it has begun."""
        world = self.world
        match what:
            case "a death":
                self.a_service_dies(name)
            case "no engine" if world.engine.away is None:
                self.the_engine_goes()
            case "no engine":
                self.the_engine_returns(lost)
            case "a clock" if world.table.surveyed("app"):  # or it is not known what was used when
                world.wall_offset += seconds if lost else -seconds
            case "no memory":
                self.memory_gets_short_or_not(ROOM if self.host.size < ROOM else len(lost) << 30)
            case "an app goes":
                self.an_app_goes_and_comes_back(min(seconds, 2.0))
            case "silence":
                self.it_stops_answering_probes(world.prober.mishap is None)
            case "a bad version":
                self.the_application_changes(world.template.spec is SPEC)

    def memory_gets_short_or_not(self, left: int) -> None:
        """Something else on the machine takes all but this, or gives it back."""
        self.host.size = left + self.world.engine.occupied() * (1 << 30)

    def a_service_dies(self, name: str) -> None:
        key = Key("app", name)
        if key in self.world.engine.stacks:
            self.may_fail({name})
            self.excuse(key)
            self.world.backend.kill(key, "web")

    def may_fail(self, those: set[str]) -> None:
        """One that fails to start again, and again, is made anew."""
        for name in those:
            if self.world.state(name) not in ("ready", "paused", "stopped"):
                self.written.pop(Key("app", name), None)

    def the_application_changes(self, broken: bool) -> None:
        self.world.template.spec = BROKEN if broken else SPEC

    def it_stops_answering_probes(self, silent: bool) -> None:
        """All may fail to start again and again."""
        self.world.prober.mishap = errors.NotReady("it answered 503") if silent else None
        self.written.clear()
        self.excuse(*(Key("app", name) for name in NAMES))

    def the_engine_goes(self) -> None:
        self.world.engine.away = errors.EngineUnavailable("The engine does not answer.")

    def the_engine_returns(self, lost: set[str]) -> None:
        self.world.engine.away = None
        for name in lost & {key.name for key in self.world.engine.stacks}:
            self.may_fail({name})
            self.excuse(Key("app", name))
            self.world.engine.stacks[Key("app", name)].running.clear()
        self.world.table._surveys.renew("memory")

    @rule()
    def the_gateway_is_killed_and_started_again(self) -> None:
        for client in self.everybody:
            client.leave()  # their connections are gone
        self.everybody.clear()
        self.using.clear()
        self.leased.clear()
        self.unsaved.clear()
        self.orders.clear()
        self.world.close()
        self.world.asked.clear()
        self.world.boot()
        self.world.open()
        self.world.table.keep_warm(self.warm)
        if self.world.prober.mishap is not None:  # what is found is probed
            self.excuse(*self.pinned)
        self.lives += 1

    def protections_end(self) -> None:
        wall = self.now + self.world.wall_offset
        self.pinned = {key: until for key, until in self.pinned.items() if until is None or until > wall}
        self.leased = {key: until for key, until in self.leased.items() if until > self.now}

    # -- what must hold, always -------------------------------------------------------------------------------------------

    @invariant()
    def never_more_stacks_than_slots(self) -> None:
        assert self.world.engine.peak <= SLOTS
        taken, _ = self.world.table.capacity()
        assert taken <= SLOTS

    @invariant()
    def no_launch_without_a_halt_in_between(self) -> None:
        assert self.world.engine.doubled == []

    @invariant()
    def what_is_in_use_runs(self) -> None:
        for ticket in self.using.values():
            if ticket.in_flight > ticket.streams and ticket.key not in self.excused:
                assert not self.world.engine.stacks[ticket.key].stopped, ticket

    @invariant()
    def what_is_pinned_or_wants_to_be_awake_or_cannot_be_saved_is_not_stopped(self) -> None:
        self.protections_end()
        running = {key for key, it in self.world.engine.stacks.items() if not it.stopped}
        assert {*self.pinned, *self.leased, *self.unsaved} <= running
        assert not any(self.world.engine.stacks[key].paused for key in self.leased)
        if self.world.before_stop != (Hook("web", "true"),):
            self.unsaved |= {stack.key for stack in self.world.table.snapshot() if stack.state in ("ready", "paused")} & running

    @invariant()
    def what_is_removed_was_due(self) -> None:
        """Data goes with what nobody has used for long enough, and with nothing else that was not popped from ``written``."""
        self.protections_end()
        halts = self.world.engine.halts
        for key in halts[self.halts :]:
            if self.written.pop(key, None) is not None:
                assert self.now - self.touched[key] >= 150.0 - 1e-6, key  # of seconds that were added up
                assert key not in {*self.pinned, *self.warm}
        self.halts = len(halts)

    @invariant()
    def what_was_written_is_still_there(self) -> None:
        for key, written in self.written.items():
            assert self.world.engine.data[key] == written, key

    @invariant()
    def volumes_outlive_stacks(self) -> None:
        there = {key for key, _ in self.world.engine.kept_volumes}
        assert self.volumes <= there
        self.volumes |= {stack.key for stack in self.world.table.snapshot() if stack.state == "ready"} & there

    @invariant()
    def no_order_is_forgotten(self) -> None:
        """Who has a stack stopped is told when it is, not when it is stopped again."""
        self.orders = [(key, done) for key, done in self.orders if not done.called]
        assert not {key for key, _ in self.orders} & {ticket.key for ticket in self.world.table._directory.doors.values()}

    @invariant()
    def each_stack_is_in_one_place(self) -> None:
        directory = self.world.table._directory
        assert not directory.stacks.keys() & directory.rested.keys()
        assert directory._sorted == sorted(one.key for one in directory)
        for one in directory:
            assert one.key in one.spellings
            assert all(directory.find(spelling) is one for spelling in one.spellings)
        assert not any(rested.ticket.open for rested in directory.rested.values())
        assert all(key.app in self.world.table.apps for key in directory.rested)

    @invariant()
    def what_is_kept_and_wanted_by_nobody_rests(self) -> None:
        for stack in self.world.table._directory.stacks.values():
            at_rest = stack.state is State.COLD and stack.kept and not stack.books.failures
            assert not at_rest or len(stack.waiters) or stack._operations.under_way

    @invariant()
    def the_held_are_counted(self) -> None:
        table = self.world.table
        seated = sum(len(stack.waiters) for stack in table._directory.stacks.values())
        assert table._room.taken == seated + table._look_ups.waiting()

    @invariant()
    def who_waits_waits_for_something(self) -> None:
        for stack in self.world.table.snapshot():
            if stack.state not in STARTING:
                assert stack.waiting == 0, stack

    @invariant()
    def what_the_door_is_open_to_is_ready(self) -> None:
        for key, ticket in self.world.table._directory.doors.items():
            assert ticket.open
            assert self.world.table._directory.find(key).state.value == "ready"

    def teardown(self) -> None:
        """When trouble ends and time passes, everybody is answered; unused, unpinned and no longer warm, everything sleeps, and
        is removed in the end."""
        world = self.world
        world.prober.mishap, world.template.spec, self.host.size = None, SPEC, 2 * ROOM
        world.limits, world.idle = LIMITS, IDLE
        self.configure(evolve(world.table.apps["app"], idle=IDLE, before_stop=()))
        world.asking = world.unreachable = False
        world.answer(True)
        if world.engine.away is not None:
            self.the_engine_returns(set())
        for ticket in {id(one.ticket): one.ticket for one in world.table._directory if one.ticket}.values():
            while ticket.streams:
                ticket.stream_closed(self.now)
            while ticket.in_flight:
                ticket.end(self.now)
        for name in NAMES:
            world.table.pin(Key("app", name), False)
        self.pinned.clear()
        self.keep_warm(set())
        self.pass_time(5)
        world.clock.advance(max([stack.keep_until - self.now for stack in world.table.snapshot()] + [60.0]))
        for _ in range(60):
            world.clock.advance(10)
        assert all(client.answered for client in self.everybody)
        assert world.engine.stacks == {}
        assert world.table.capacity() == (0, SLOTS)
        world.close()
        assert not [call for call in world.clock.getDelayedCalls() if call.active()]


TestGateway = Gateway.TestCase
TestGateway.settings = settings(
    max_examples=60, stateful_step_count=40, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
