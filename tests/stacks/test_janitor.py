"""The janitor on a clock: depths of sleep, opening hours, memory and disks that run out."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

import pytest
from attrs import evolve
from twisted.internet.defer import Deferred, fail
from twisted.logger import globalLogPublisher
from twisted.python.failure import Failure

from grandcentral import events
from grandcentral.backends.memory import MemoryBackend, MemoryEngine
from grandcentral.core.hours import Hours
from grandcentral.core.keys import Key
from grandcentral.core.model import IdlePolicy, Limits, Usage
from grandcentral.core.needs import ENOUGH, RECENT
from grandcentral.core.pressure import Memory
from grandcentral.errors import EngineUnavailable
from grandcentral.machine.fake import FakeMachine
from grandcentral.stacks.janitor import AVERAGED, DISK_INTERVAL
from grandcentral.stacks.ledger import GUESS, WITHIN

from .host import Host
from .world import LIMITS, World

A, B, C = "aaaaaaa", "bbbbbbb", "ccccccc"
SLEEPS = IdlePolicy(pause=100.0, stop=600.0, remove=2000.0)
SHORT = evolve(LIMITS, max_stacks=9, min_uptime=0.0, memory_min_free=1000)
FULL = evolve(LIMITS, disk_min_free=1000)

Begin = Callable[..., World]


@pytest.fixture
def begin() -> Iterator[Begin]:
    """A world with these limits and this policy."""
    worlds: list[World] = []

    def made(limits: Limits = LIMITS, idle: IdlePolicy = SLEEPS, machine: FakeMachine | None = None) -> World:
        world = World(limits=limits, idle=idle, machine=machine or FakeMachine())
        worlds.append(world)
        world.open()
        return world

    yield made
    for world in worlds:
        world.close()


@pytest.fixture
def logged() -> Iterator[list[str]]:
    """What is logged, by format."""
    seen: list[str] = []

    def observe(event: dict) -> None:
        seen.append(event.get("log_format") or "")

    globalLogPublisher.addObserver(observe)
    yield seen
    globalLogPublisher.removeObserver(observe)


def states(world: World, *names: str) -> list[str]:
    return [world.state(name) for name in names]


def takes(world: World, **memory: int) -> None:
    """What stacks take of memory, by the first letter of their name."""
    world.engine.memory.update({Key("app", letter * 7): size for letter, size in memory.items()})


def counting(monkeypatch: pytest.MonkeyPatch) -> list[None]:
    """One None for each time that stacks are weighed."""
    weighed: list[None] = []
    usage = MemoryBackend.usage

    def counted(backend: MemoryBackend) -> Deferred[Mapping[Key, Usage]]:
        weighed.append(None)
        return usage(backend)

    monkeypatch.setattr(MemoryBackend, "usage", counted)
    return weighed


class TestDepths:
    def test_a_stack_nobody_uses_is_paused_then_stopped_then_removed(self, begin: Begin) -> None:
        world = begin()
        world.ready(A)
        seen = []
        for _ in range(2020):
            world.clock.advance(1.0)
            seen += [world.state(A)] if seen[-1:] != [world.state(A)] else []
        settled = [state for state in seen if state in ("ready", "paused", "stopped", "cold")]
        assert settled == ["ready", "paused", "stopped", "cold"]
        assert world.engine.stacks == {}

    def test_what_was_stopped_is_not_removed_when_it_was_used_again(self, begin: Begin) -> None:
        world = begin()
        world.ready(A)
        world.clock.pump([5.0] * 130)
        assert world.state(A) == "stopped"
        world.ready(A)
        world.clock.pump([5.0] * 390)
        assert world.state(A) == "stopped"
        assert [key for key, _ in world.engine.launches] == [Key("app", A)]


class TestMaxAge:
    def test_a_stack_that_has_been_up_for_long_enough_is_stopped_between_two_requests(self, begin: Begin) -> None:
        world = begin(idle=IdlePolicy(stop=None, max_age=300.0))
        ticket = world.ready(A)
        ticket.begin(world.clock.seconds())
        world.clock.pump([5.0] * 70)
        assert world.state(A) == "ready"
        ticket.end(world.clock.seconds())
        world.clock.pump([5.0] * 2)
        assert world.state(A) == "stopped"

    def test_a_stream_does_not_keep_it(self, begin: Begin, logged: list[str]) -> None:
        world = begin(idle=IdlePolicy(stop=None, max_age=300.0))
        ticket = world.ready(A)
        ticket.begin(world.clock.seconds())
        ticket.stream_opened(world.clock.seconds())
        for _ in range(59):
            world.clock.advance(5.0)
            ticket.last_byte = world.clock.seconds()
        assert world.state(A) == "ready"
        world.clock.pump([5.0] * 3)
        assert world.state(A) == "stopped"
        assert events.STACK_OLD in logged


class TestHours:
    def test_outside_of_them_an_idle_stack_is_stopped_soon(self, begin: Begin) -> None:
        world = begin(idle=IdlePolicy(stop=3600.0))
        app = evolve(world.table.apps["app"], hours=Hours.parse("13:46-14:00"))
        world.table.apps = {"app": app}
        world.wall_offset = 1_000_000.0 - world.clock.seconds()  # 13:46:40 UTC
        world.ready(A)
        world.clock.pump([5.0] * 100)
        assert world.state(A) == "ready"
        world.clock.pump([5.0] * 70)  # it is 14:00:50
        assert world.state(A) == "stopped"


class TestMemory:
    def test_while_enough_is_available_nobody_goes(self, begin: Begin) -> None:
        world = begin(SHORT)
        world.ready(A)
        takes(world, a=500)
        world.machine.memory_now = Memory(10_000, 1000)
        world.clock.pump([1.0] * 20)
        assert world.state(A) == "ready"

    def test_when_it_is_not_the_longest_idle_go_within_two_seconds_and_no_more_than_it_takes(self, begin: Begin) -> None:
        machine = Host(engine=MemoryEngine(), size=2**40)
        world = begin(SHORT, machine=machine)
        machine.engine = world.engine
        for name in (A, B, C):
            world.ready(name)
        machine.size = 1500
        takes(world, a=400, b=400, c=400)
        world.pass_time(2.1)
        assert states(world, A, B, C) == ["stopped", "stopped", "ready"]
        assert world.table.counters.stops["memory"] == 2

    def test_paused_ones_go_and_busy_ones_stay(self, begin: Begin) -> None:
        world = begin(SHORT)
        busy = world.ready(A)
        busy.begin(world.clock.seconds())
        world.ready(B)
        world.clock.pump([5.0] * 22)
        assert states(world, A, B) == ["ready", "paused"]
        takes(world, a=500, b=500)
        world.machine.memory_now = Memory(10_000, 0)
        world.pass_time(3.0)
        assert states(world, A, B) == ["ready", "stopped"]

    def test_one_stack_at_a_time_for_what_stalls_and_time_to_see_what_that_did(self, begin: Begin) -> None:
        world = begin(SHORT)
        for name in (A, B):
            world.ready(name)
        takes(world, a=400, b=400)
        world.machine.memory_now = Memory(10_000, 2000, stalled=50.0)
        world.pass_time(AVERAGED - 1.0)
        assert states(world, A, B) == ["stopped", "ready"]
        world.pass_time(4.0)
        assert states(world, A, B) == ["stopped", "stopped"]

    def test_an_app_that_takes_less_than_it_did_is_known_to_need_less(self, begin: Begin) -> None:
        world = begin(SHORT)
        known: list[int] = []
        for memory in (900, *[100] * (RECENT + 1)):
            takes(world, a=memory)
            world.ready(A)
            world.clock.pump([5.0] * (ENOUGH + 1))
            accounts = world.table.ledger.accounts()
            assert accounts is not None
            known.append(accounts.need("app"))
            world.table.stop(Key("app", A))
            world.pass_time(5.0)
        assert known == [900] * (RECENT + 1) + [100]

    def test_a_machine_that_does_not_tell_stops_nobody(self, begin: Begin) -> None:
        world = begin(SHORT)
        world.ready(A)
        world.machine.memory_now = None
        world.clock.pump([1.0] * 20)
        assert world.state(A) == "ready"

    def test_without_a_limit_nothing_is_weighed(self, begin: Begin, monkeypatch: pytest.MonkeyPatch) -> None:
        world = begin()
        monkeypatch.setattr(MemoryBackend, "usage", lambda backend: pytest.fail("weighed"))
        world.clock.pump([1.0] * 20)

    def test_stacks_are_weighed_every_five_seconds(self, begin: Begin, monkeypatch: pytest.MonkeyPatch) -> None:
        world = begin(SHORT)
        weighed = counting(monkeypatch)
        world.clock.pump([1.0] * 11)
        assert len(weighed) == 3

    def test_an_engine_that_does_not_say_is_told_of_once_and_what_was_known_holds(
        self, begin: Begin, monkeypatch: pytest.MonkeyPatch, logged: list[str]
    ) -> None:
        world = begin(SHORT)
        for name in (A, B):
            world.ready(name)
        takes(world, a=400, b=400)
        world.clock.pump([1.0] * 6)
        monkeypatch.setattr(MemoryBackend, "usage", lambda backend: fail(EngineUnavailable("It is away.")))
        world.machine.memory_now = Memory(10_000, 700)
        world.pass_time(1.5)
        world.machine.memory_now = Memory(10_000, 1100)
        world.clock.pump([1.0] * 20)
        assert states(world, A, B) == ["stopped", "ready"]
        assert logged.count(events.USAGE_UNKNOWN) == 1

    def test_one_that_never_answers_holds_up_one_round_and_no_other_work(
        self, begin: Begin, monkeypatch: pytest.MonkeyPatch, logged: list[str]
    ) -> None:
        world = begin(SHORT)
        world.ready(A)
        takes(world, a=400)
        world.clock.pump([1.0] * 6)
        monkeypatch.setattr(MemoryBackend, "usage", lambda backend: Deferred())
        world.machine.memory_now = Memory(10_000, 700)
        world.clock.pump([1.0] * int(WITHIN))
        assert world.state(A) == "ready"
        world.clock.pump([1.0] * 5)
        assert world.state(A) == "stopped"
        assert events.USAGE_UNKNOWN in logged

    def test_what_is_said_of_a_stack_that_was_started_meanwhile_is_not_believed(
        self, begin: Begin, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        world = begin(SHORT)
        asked: list[Deferred[dict[Key, Usage]]] = []

        def usage(backend: MemoryBackend) -> Deferred[dict[Key, Usage]]:
            asked.append(Deferred())
            return asked[-1]

        monkeypatch.setattr(MemoryBackend, "usage", usage)
        for _ in range(2 * ENOUGH):
            world.ready(A)
            world.pass_time(2.0)
            world.table.stop(Key("app", A))
            world.pass_time(1.0)
            world.ready(A)
            asked.pop().callback({Key("app", A): Usage(400)})
            accounts = world.table.ledger.accounts()
            assert accounts is not None
            assert (dict(accounts.usage), accounts.need("app")) == ({}, GUESS)
            world.table.stop(Key("app", A))
            world.pass_time(1.0)

    def test_a_janitor_that_was_stopped_meanwhile_does_no_more(self, begin: Begin, monkeypatch: pytest.MonkeyPatch) -> None:
        world = begin(SHORT)
        world.ready(A)
        takes(world, a=400)
        world.clock.pump([1.0] * 6)
        weighed: Deferred[dict[Key, Usage]] = Deferred()
        monkeypatch.setattr(MemoryBackend, "usage", lambda backend: weighed)
        world.machine.memory_now = Memory(10_000, 700)
        world.clock.pump([1.0] * 2)
        world.janitor.stop()
        weighed.callback({})
        world.pass_time(1.0)
        assert world.state(A) == "ready"


class TestDisks:
    def stopped(self, world: World, *names: str) -> None:
        for name in names:
            world.ready(name)
            world.table.stop(Key("app", name))
            world.pass_time(1.0)
        assert states(world, *names) == ["stopped"] * len(names)

    def test_while_there_is_room_nothing_is_touched(self, begin: Begin) -> None:
        world = begin(FULL)
        self.stopped(world, A)
        world.clock.pump([5.0] * 5)
        assert world.engine.reclaims == []
        assert world.state(A) == "stopped"

    def test_what_no_stack_needs_goes_first_and_if_that_is_enough_nothing_else(
        self, begin: Begin, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        world = begin(FULL)
        self.stopped(world, A)
        world.machine.disk_now = 999
        reclaim = MemoryBackend.reclaim

        def frees(backend: MemoryBackend, keep: object) -> Deferred[int]:
            world.machine.disk_now = 2000
            return reclaim(backend, keep)  # type: ignore[arg-type]

        monkeypatch.setattr(MemoryBackend, "reclaim", frees)
        world.clock.pump([1.0] * 25)
        assert len(world.engine.reclaims) == 1
        assert world.state(A) == "stopped"

    def test_then_stopped_stacks_two_at_a_time_the_least_recently_used_first(self, begin: Begin) -> None:
        world = begin(evolve(FULL, max_stacks=9))
        self.stopped(world, A, B, C)
        world.machine.disk_now = 0
        world.pass_time(DISK_INTERVAL + 0.5)
        assert states(world, A, B, C) == ["cold", "cold", "stopped"]
        assert world.table.counters.removals["disk"] == 2
        world.machine.disk_now = 2000
        world.pass_time(DISK_INTERVAL)
        assert world.state(C) == "stopped"

    def test_images_of_stacks_that_are_there_and_of_pins_are_kept(self, begin: Begin) -> None:
        world = begin(FULL)
        pinned = Key("app", B)
        world.table.pin(pinned, True)
        version = world.versions.versions[B]
        world.manifest.remember_version("app", version)
        self.stopped(world, A)
        world.ready(C)
        world.machine.disk_now = 0
        world.pass_time(DISK_INTERVAL + 0.5)
        kept = {one.name for one in world.engine.reclaims[0]}
        assert kept == {A, B, C}

    def test_pinned_stacks_stay(self, begin: Begin) -> None:
        world = begin(FULL)
        self.stopped(world, A)
        world.table.pin(Key("app", A), True)
        world.machine.disk_now = 0
        world.clock.pump([1.0] * 30)
        assert world.state(A) == "stopped"

    def test_what_users_keep_stays(self, begin: Begin) -> None:
        world = begin(FULL)
        self.stopped(world, A)
        world.table.apps = {"app": evolve(world.table.apps["app"], provisioned=True)}
        world.machine.disk_now = 0
        world.clock.pump([1.0] * 30)
        assert world.engine.reclaims
        assert world.state(A) == "stopped"

    def test_a_full_disk_and_no_engine_is_logged_and_tried_again(
        self, begin: Begin, monkeypatch: pytest.MonkeyPatch, clean_reactor: list[Failure], logged: list[str]
    ) -> None:
        world = begin(FULL)
        world.machine.disk_now = 0
        with monkeypatch.context() as patched:
            patched.setattr(MemoryBackend, "reclaim", lambda backend, keep: fail(EngineUnavailable("It is away.")))
            world.clock.pump([1.0] * int(DISK_INTERVAL + 2))
        world.clock.pump([1.0] * int(DISK_INTERVAL + 2))
        assert len(world.engine.reclaims) == 1
