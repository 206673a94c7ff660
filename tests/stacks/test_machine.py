"""The stack table under any order of events: requests, departures, use, time, operators, deaths, absences and restarts."""

from __future__ import annotations

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, invariant, precondition, rule

from grandcentral import errors
from grandcentral.core.keys import Key
from grandcentral.core.model import Hook, IdlePolicy, Service, StackSpec
from grandcentral.core.tickets import Ticket

from .world import LIMITS, ONE_SERVICE, Client, World

NAMES = [digit * 7 for digit in "01234"]
names = st.sampled_from(NAMES)
STARTING = ("queued", "starting", "probing", "checking", "probing again", "resuming", "stopping, wanted")
BROKEN = StackSpec((Service("web", command=("exit", "1")),), "web", 80)


class Gateway(RuleBasedStateMachine):
    """Two slots, five versions, and everything that can happen to them."""

    clients: Bundle[Client] = Bundle("clients")
    uses: Bundle[tuple[Ticket, int]] = Bundle("uses")

    def __init__(self) -> None:
        super().__init__()
        self.world = World(
            limits=LIMITS.__class__(max_stacks=2, min_uptime=1.0, start_timeout=60.0, queue_timeout=10.0),
            idle=IdlePolicy(pause=20.0, stop=50.0, remove=None),
            before_stop=(Hook("web", "true"),),
        )
        self.world.open()
        self.lives = 0  # of the gateway
        self.everybody: list[Client] = []
        self.using: dict[int, Ticket] = {}
        self.written: dict[Key, int] = {}  # what stacks were given to keep
        self.excused: set[Key] = set()  # may go although in use: an operator, a death or a lost connection had it so

    # -- clients --------------------------------------------------------------------------------------------------------

    @rule(target=clients, name=names)
    def ask(self, name: str) -> Client:
        client = self.world.ask(name)
        self.everybody.append(client)
        return client

    @rule(client=consumes(clients))
    def leave(self, client: Client) -> None:
        if not client.answered:
            client.leave()
            assert client.answered

    @rule(target=uses, name=names)
    def use(self, name: str) -> tuple[Ticket, int]:
        ticket = self.world.table.peek(Key("app", name))
        if ticket is None:
            return Ticket(Key("app", name), 0, None, open=False), -1  # type: ignore[arg-type]
        ticket.begin(self.world.clock.seconds())
        self.using[id(ticket)] = ticket
        self.excused.discard(ticket.key)
        return ticket, self.lives

    @rule(name=names)
    def write(self, name: str) -> None:
        """Somebody leaves something in a stack that is ready: from then on it must be there whenever the stack is."""
        key = Key("app", name)
        if self.world.table.peek(key) is not None and key in self.world.engine.data:
            self.world.engine.data[key] += 1
            self.written[key] = self.world.engine.data[key]

    @rule(use=consumes(uses))
    def finish(self, use: tuple[Ticket, int]) -> None:
        ticket, life = use
        if life >= 0:
            ticket.end(self.world.clock.seconds())

    @rule(name=names)
    def lose_a_connection(self, name: str) -> None:
        ticket = self.world.table.peek(Key("app", name))
        if ticket is not None:
            self.world.table.lost(ticket)

    # -- time -------------------------------------------------------------------------------------------------------------

    @rule(seconds=st.sampled_from([0.05, 0.1, 0.3, 1.0, 6.0, 25.0, 60.0]))
    def pass_time(self, seconds: float) -> None:
        self.world.pass_time(seconds)

    # -- workers ----------------------------------------------------------------------------------------------------------

    @rule()
    def workers_begin_to_take_their_time(self) -> None:
        self.world.asking = True

    @rule(unused=st.booleans())
    def workers_answer(self, unused: bool) -> None:
        self.world.answer(unused)

    # -- operators --------------------------------------------------------------------------------------------------------

    @rule(name=names, volumes=st.booleans())
    def remove(self, name: str, volumes: bool) -> None:
        self.excused.add(Key("app", name))
        self.written.pop(Key("app", name), None)
        self.world.table.remove(Key("app", name), volumes)

    @rule(name=names, force=st.booleans())
    def stop_by_force_or_not(self, name: str, force: bool) -> None:
        self.excused.add(Key("app", name))
        self.world.table.stop(Key("app", name), force).addErrback(lambda failure: failure.trap(errors.NotSaved))

    @rule(name=names, pinned=st.booleans())
    def pin(self, name: str, pinned: bool) -> None:
        self.world.table.pin(Key("app", name), pinned)

    @rule(name=names)
    def start(self, name: str) -> None:
        self.everybody.append(Client(self.world.table.start(Key("app", name))))

    # -- trouble ----------------------------------------------------------------------------------------------------------

    @rule(name=names)
    def a_service_dies(self, name: str) -> None:
        key = Key("app", name)
        if key in self.world.engine.stacks:
            self.excused.add(key)
            self.may_fail({name})
            self.world.backend.kill(key, "web")

    def may_fail(self, those: set[str]) -> None:
        """One that fails to start again, and again, is made anew."""
        for name in those:
            if self.world.state(name) not in ("ready", "paused", "stopped"):
                self.written.pop(Key("app", name), None)

    @rule(broken=st.booleans())
    def the_application_changes(self, broken: bool) -> None:
        self.world.template.spec = BROKEN if broken else ONE_SERVICE

    @rule(silent=st.booleans())
    def it_stops_answering_probes(self, silent: bool) -> None:
        self.world.prober.mishap = errors.NotReady("it answered 503") if silent else None
        self.written.clear()  # without an answer, all may fail to start again and again

    @precondition(lambda self: self.world.engine.away is None)
    @rule()
    def the_engine_goes(self) -> None:
        self.world.engine.away = errors.EngineUnavailable("The engine does not answer.")

    @precondition(lambda self: self.world.engine.away is not None)
    @rule(lost=st.sets(names))
    def the_engine_returns(self, lost: set[str]) -> None:
        self.world.engine.away = None
        for name in lost & {key.name for key in self.world.engine.stacks}:
            self.excused.add(Key("app", name))
            self.may_fail({name})
            self.world.engine.stacks[Key("app", name)].running.clear()
        self.world.table._surveys.renew("memory")

    @rule()
    def the_gateway_is_killed_and_started_again(self) -> None:
        for client in self.everybody:
            client.leave()  # their connections are gone
        self.everybody.clear()
        self.using.clear()
        self.world.close()
        self.world.asked.clear()
        self.world.boot()
        self.world.open()
        self.lives += 1

    # -- what must hold, always -------------------------------------------------------------------------------------------

    @invariant()
    def never_more_stacks_than_slots(self) -> None:
        assert self.world.engine.peak <= 2
        taken, _ = self.world.table.capacity()
        assert taken <= 2

    @invariant()
    def no_launch_without_a_halt_in_between(self) -> None:
        assert self.world.engine.doubled == []

    @invariant()
    def what_is_in_use_runs(self) -> None:
        for ticket in self.using.values():
            if ticket.in_flight and ticket.key not in self.excused:
                assert not self.world.engine.stacks[ticket.key].stopped, ticket

    @invariant()
    def what_was_written_is_still_there(self) -> None:
        for key, written in self.written.items():
            assert self.world.engine.data[key] == written, key

    @invariant()
    def the_held_are_counted(self) -> None:
        table = self.world.table
        seated = sum(len(stack.waiters) for stack in table._stacks.values())
        assert table._room.taken == seated + table._look_ups.waiting()

    @invariant()
    def who_waits_waits_for_something(self) -> None:
        for stack in self.world.table.snapshot():
            if stack.state not in STARTING:
                assert stack.waiting == 0, stack

    @invariant()
    def what_the_door_is_open_to_is_ready(self) -> None:
        for key, ticket in self.world.table._doors.items():
            assert ticket.open
            assert self.world.table._spelt[key].state.value == "ready"

    def teardown(self) -> None:
        """When trouble ends and time passes, everybody is answered and, unused and unpinned, everything sleeps."""
        world = self.world
        world.prober.mishap, world.template.spec = None, ONE_SERVICE
        world.asking = False
        world.answer(True)
        if world.engine.away is not None:
            self.the_engine_returns(set())
        for ticket in self.using.values():
            while ticket.in_flight:
                ticket.end(world.clock.seconds())
        for name in NAMES:
            world.table.pin(Key("app", name), False)
        world.pass_time(400)
        assert all(client.answered for client in self.everybody)
        assert all(stack.stopped for stack in world.engine.stacks.values())
        assert world.table.capacity() == (0, 2)
        world.close()
        assert not [call for call in world.clock.getDelayedCalls() if call.active()]


TestGateway = Gateway.TestCase
TestGateway.settings = settings(
    max_examples=60, stateful_step_count=40, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
