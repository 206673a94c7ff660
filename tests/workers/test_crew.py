"""The workers of a gateway as processes that come and go, without any process."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from twisted.internet.defer import Deferred, succeed
from twisted.internet.task import Clock

from grandcentral.core.model import Endpoint
from grandcentral.core.tickets import Ticket
from grandcentral.workers import places
from grandcentral.workers.assignment import Assignment
from grandcentral.workers.commands import Lend, TakeBack
from grandcentral.workers.crew import Crew
from grandcentral.workers.hub import Hub
from tests.stacks.world import World

from .rig import KEY, configuration


class FakeSockets:
    def __init__(self) -> None:
        self.opened = False
        self.closed = False

    def open(self) -> None:
        self.opened = True

    def recover(self, text: str, slot: int, descriptor: int) -> None:
        assert (text, descriptor) == ("tcp:80", 1000 + slot)

    def descriptors(self, slot: int) -> list[int]:
        return []

    def own(self, slot: int) -> list[tuple[str, int]]:
        return [("tcp:80", 1000 + slot)]

    def close(self) -> None:
        self.closed = True


class FakeLine:
    """The gateway's end of a line."""

    def __init__(self) -> None:
        self.told: list[str] = []
        self.lent: set[int] = set()  # slots

    def callRemote(self, command: Any, **arguments: Any) -> Deferred[dict[str, Any]]:
        if command is Lend:
            assert arguments["descriptor"] == 1000 + arguments["slot"]
            self.lent.add(arguments["slot"])
        elif command is TakeBack:
            self.lent.remove(arguments["slot"])
        else:
            self.told.append(command.__name__)
        return succeed({})


class Machine:
    """Processes by number. ``say_hello`` is what a worker does when it is up."""

    def __init__(self, state: Path, workers: int = 2) -> None:
        self.workers = workers
        self.state, self.clock, self.sockets = state, Clock(), FakeSockets()
        self.processes: dict[int, tuple[int, str]] = {}  # pid -> slot and digest
        self.signals: list[tuple[int, int]] = []
        self.deaf: set[int] = set()  # to SIGTERM
        self.lines: dict[int, FakeLine] = {}
        self.configuration = configuration()
        self.failure: OSError | None = None
        self.gateway()

    def gateway(self) -> None:
        self.hub = Hub(self.clock, World().table)
        self.crew = Crew(self.clock, self.hub, self.sockets, self.spawn, self.assignment, self.state, self.kill, self.alive)

    def assignment(self, slot: int) -> Assignment:
        return Assignment(slot, self.workers, self.configuration)

    def lent(self) -> dict[int, set[int]]:
        """Process id -> the slots whose sockets it accepts from besides its own."""
        return {pid: line.lent for pid, line in self.lines.items() if pid in self.processes and line.lent}

    def spawn(self, assignment: Assignment, descriptors: Sequence[int], ended: Callable[[int], None]) -> int:
        if self.failure is not None:
            raise self.failure
        pid = len(self.lines) + 100
        self.processes[pid] = assignment.slot, assignment.digest
        self.lines[pid] = FakeLine()
        self.tell = ended
        return pid

    def kill(self, pid: int, number: int) -> None:
        self.signals.append((pid, number))
        if number == signal.SIGKILL or pid not in self.deaf:
            self.die(pid)

    def alive(self, pid: int) -> bool:
        return pid in self.processes

    def die(self, pid: int) -> None:
        if self.processes.pop(pid, None) is None:
            raise ProcessLookupError(pid)
        self.tell(pid)

    def say_hello(self, pid: int, retiring: bool = False) -> None:
        slot, digest = self.processes[pid]
        self.lines[pid] = FakeLine()
        self.hub.hello(self.lines[pid], pid, slot, "0", digest, retiring)  # type: ignore[arg-type]

    def pass_time(self, seconds: float) -> None:
        self.clock.pump([0.05] * round(seconds / 0.05))

    def serving(self) -> dict[int, int]:
        return {worker["slot"]: worker["pid"] for worker in self.crew.seen() if worker["state"] == "serving"}

    def start(self) -> Deferred[None]:
        started = Deferred.fromCoroutine(self.crew.start())
        self.pass_time(0.1)
        return started

    def up(self) -> None:
        started = self.start()
        for pid in list(self.processes):
            self.say_hello(pid)
        self.pass_time(0.1)
        assert started.called


@pytest.fixture
def machine(tmp_path: Path) -> Iterator[Machine]:
    machine = Machine(tmp_path)
    yield machine
    for call in machine.clock.getDelayedCalls():
        call.cancel()


def test_it_is_up_when_every_slot_has_a_worker_that_said_hello(machine: Machine) -> None:
    machine.crew.bind()
    started = machine.start()
    assert machine.sockets.opened
    assert [slot for slot, _ in machine.processes.values()] == [0, 1]
    machine.say_hello(100)
    machine.pass_time(0.1)
    assert not started.called
    machine.say_hello(101)
    machine.pass_time(0.1)
    assert started.called
    assert machine.serving() == {0: 100, 1: 101}


def test_a_worker_that_dies_is_replaced_at_once_and_later_and_later_if_it_goes_on_dying(machine: Machine) -> None:
    machine.up()
    machine.pass_time(11)
    newest, delays = 100, []
    for _ in range(8):
        machine.die(newest)
        began = machine.clock.seconds()
        while len(machine.processes) < 2:
            machine.pass_time(0.05)
        delays.append(round(machine.clock.seconds() - began, 2))
        newest = max(machine.processes)
        machine.say_hello(newest)
    assert delays == [0.1, 0.2, 0.4, 0.8, 1.6, 3.2, 5.0, 5.0]
    machine.pass_time(11)
    machine.die(newest)
    machine.pass_time(0.2)
    assert len(machine.processes) == 2


def test_one_that_cannot_be_started_is_tried_again(machine: Machine) -> None:
    machine.failure = OSError("no more processes")
    machine.start()
    assert machine.processes == {}
    machine.failure = None
    machine.pass_time(1)
    assert len(machine.processes) == 2


def test_one_that_says_nothing_is_killed_and_replaced(machine: Machine) -> None:
    machine.start()
    machine.say_hello(100)
    machine.pass_time(15.5)
    assert machine.signals == [(101, signal.SIGKILL)]
    assert {slot for slot, _ in machine.processes.values()} == {0, 1}


def test_with_another_configuration_workers_are_replaced_one_by_one_and_none_retires_before_its_successor_serves(
    machine: Machine,
) -> None:
    machine.up()
    machine.configuration = configuration("https://{host}")
    machine.crew.roll()
    machine.pass_time(1)
    assert sorted(machine.processes) == [100, 101, 102]
    assert machine.lines[100].told == []
    machine.say_hello(102)
    assert machine.lines[100].told == ["Retire"]
    machine.pass_time(0.1)
    assert sorted(machine.processes) == [100, 101, 102, 103]
    assert machine.lines[101].told == []
    machine.say_hello(103)
    assert machine.lines[101].told == ["Retire"]
    machine.die(100)
    machine.die(101)
    machine.pass_time(20)
    assert sorted(machine.processes) == [102, 103]
    assert machine.serving() == {0: 102, 1: 103}


def test_a_successor_that_dies_leaves_the_old_one_serving_and_another_is_tried(machine: Machine) -> None:
    machine.up()
    machine.configuration = configuration("https://{host}")
    machine.crew.roll()
    machine.die(102)
    machine.pass_time(1)
    assert machine.serving() == {0: 100, 1: 101}
    machine.pass_time(5)
    assert sorted(machine.processes) == [100, 101, 103]


def test_an_old_one_that_dies_while_its_successor_starts_is_not_replaced_twice(machine: Machine) -> None:
    machine.up()
    machine.configuration = configuration("https://{host}")
    machine.crew.roll()
    machine.die(100)
    machine.pass_time(1)
    assert sorted(machine.processes) == [101, 102]
    machine.say_hello(102)
    assert machine.serving() == {0: 102, 1: 101}


def test_workers_of_an_earlier_gateway_are_waited_for_and_adopted(machine: Machine) -> None:
    machine.up()
    held = [places.share(places.slot_lock(machine.state, slot)) for slot in (0, 1)]
    assert held
    machine.gateway()
    machine.sockets.opened = False
    machine.crew.bind()
    assert not machine.sockets.opened
    machine.start()
    machine.pass_time(1)
    assert sorted(machine.processes) == [100, 101]
    machine.say_hello(100)
    machine.say_hello(101)
    machine.pass_time(5)
    assert sorted(machine.processes) == [100, 101]
    assert machine.serving() == {0: 100, 1: 101}


def test_nothing_is_put_to_sleep_before_they_are_back(machine: Machine) -> None:
    machine.up()
    held = [places.share(places.slot_lock(machine.state, slot)) for slot in (0, 1)]
    assert held
    machine.gateway()
    machine.start()
    machine.say_hello(100)
    answers: list[bool] = []
    unused = Ticket(KEY, 1, Endpoint("127.0.0.1", 80))
    machine.hub._drain(unused).addCallback(answers.append)
    assert answers == [False]


def test_one_that_does_not_come_back_is_replaced_and_told_to_retire_when_it_does(machine: Machine) -> None:
    machine.up()
    held = [places.share(places.slot_lock(machine.state, slot)) for slot in (0, 1)]
    assert held
    machine.gateway()
    machine.start()
    machine.say_hello(101)
    machine.pass_time(3.2)
    assert sorted(machine.processes) == [100, 101, 102]
    machine.say_hello(102)
    machine.say_hello(100)
    assert machine.lines[100].told == ["Retire"]


def test_one_of_another_configuration_is_adopted_and_then_replaced(machine: Machine) -> None:
    machine.up()
    machine.configuration = configuration("https://{host}")
    machine.gateway()
    machine.start()
    machine.pass_time(0.1)
    for pid in (100, 101):
        machine.say_hello(pid)
    machine.pass_time(1)
    assert len(machine.serving()) == 2
    assert len(machine.processes) > 2


def test_a_line_that_breaks_is_no_death_as_long_as_the_process_lives(machine: Machine) -> None:
    machine.up()
    member = machine.hub.members[100]
    machine.hub.broke(member, member.line)  # type: ignore[arg-type]
    machine.pass_time(2)
    assert 100 in machine.hub.members
    machine.say_hello(100)
    assert machine.serving() == {0: 100, 1: 101}
    machine.hub.broke(member, member.line)  # type: ignore[arg-type]
    del machine.processes[100]  # it is no child of ours: nobody tells us
    machine.pass_time(0.5)
    assert 100 not in machine.hub.members
    assert len(machine.processes) == 2


def test_the_sockets_of_a_worker_that_died_are_lent_to_another_until_it_is_replaced(machine: Machine) -> None:
    machine.up()
    assert machine.lent() == {}
    machine.die(100)
    assert machine.lent() == {101: {0}}
    machine.pass_time(0.2)
    assert machine.lent() == {101: {0}}
    machine.say_hello(102)
    assert machine.lent() == {}


def test_a_lender_that_dies_or_retires_hands_on_what_it_was_lent(tmp_path: Path) -> None:
    machine = Machine(tmp_path, workers=3)
    machine.up()
    machine.die(101)
    [(lender, slots)] = machine.lent().items()
    assert slots == {1}
    machine.die(lender)
    [other] = {100, 101, 102} - {101, lender}
    assert machine.lent() == {other: {1, machine.hub.members[other].slot ^ 2}}
    machine.pass_time(0.2)
    machine.die(other)
    assert machine.lent() == {}
    machine.pass_time(0.3)
    first, *rest = sorted(machine.processes)
    machine.say_hello(first)
    own = machine.processes[first][0]
    assert machine.lent() == {first: {0, 1, 2} - {own}}
    for pid in rest:
        machine.say_hello(pid)
    assert machine.lent() == {}
    for call in machine.clock.getDelayedCalls():
        call.cancel()


def test_a_lender_that_is_replaced_hands_it_on_before_it_retires(machine: Machine) -> None:
    machine.up()
    machine.die(100)
    machine.failure = OSError("no more processes")
    machine.configuration = configuration("https://{host}")
    machine.pass_time(0.2)
    assert machine.lent() == {101: {0}}
    machine.failure = None
    machine.crew.roll()
    successors = [pid for pid, (slot, _) in machine.processes.items() if slot == 1 and pid != 101]
    machine.say_hello(successors[0])
    assert machine.lent()[successors[0]] == {0}
    assert machine.lines[101].told == ["Retire"]


def test_the_next_gateway_hears_of_a_loan_and_takes_it_back_when_there_is_a_worker(machine: Machine) -> None:
    machine.up()
    machine.die(100)
    for call in machine.clock.getDelayedCalls():  # the first gateway is killed
        call.cancel()
    held = places.share(places.slot_lock(machine.state, 1))
    assert held
    machine.gateway()
    machine.start()
    machine.say_hello(101)
    machine.lines[101].lent.add(0)
    machine.hub.recovered(machine.hub.members[101], 1, "tcp:80", 1001)
    machine.hub.recovered(machine.hub.members[101], 0, "tcp:80", 1000)
    machine.pass_time(0.2)
    [newest] = set(machine.processes) - {101}
    assert machine.lent() == {101: {0}}
    machine.say_hello(newest)
    assert machine.lent() == {}


def test_in_the_end_all_are_told_and_those_that_take_too_long_are_killed(machine: Machine) -> None:
    machine.up()
    machine.deaf.add(101)
    stopped = Deferred.fromCoroutine(machine.crew.stop(10.0))
    assert machine.sockets.closed
    assert machine.signals == [(100, signal.SIGTERM), (101, signal.SIGTERM)]
    machine.pass_time(14)
    assert not stopped.called
    machine.pass_time(2)
    assert stopped.called
    assert machine.signals[-1] == (101, signal.SIGKILL)
    assert machine.processes == {}
