"""The queue for slots on a clock: its order, start storms, and starts that memory has no room for."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
from attrs import evolve

from grandcentral import errors
from grandcentral.backends.memory import MemoryEngine
from grandcentral.core.keys import Key
from grandcentral.core.model import Limits, Service, StackSpec, Version
from grandcentral.core.problems import Invalid, Problem

from .host import Host
from .world import LIMITS, ONE_SERVICE, Client, World

A, B, C, D = "aaaaaaa", "bbbbbbb", "ccccccc", "ddddddd"
MIB = 2**20
MEMORY = evolve(LIMITS, max_stacks=9, memory_min_free=100 * MIB)

Begin = Callable[..., World]


@pytest.fixture
def begin() -> Iterator[Begin]:
    """A world with these limits; ``size`` is the memory of its machine in MiB, of which each stack takes ``each``."""
    worlds: list[World] = []

    def made(limits: Limits = LIMITS, size: int = 0, each: int = 0, spec: StackSpec = ONE_SERVICE) -> World:
        engine = MemoryEngine(memory={Key("app", digit * 7): each * MIB for digit in "0123456789abcdef"})
        world = World(limits=limits, engine=engine, machine=Host(engine=engine, size=size * MIB), spec=spec)
        worlds.append(world)
        world.open()
        return world

    yield made
    for world in worlds:
        world.close()


def states(world: World, *names: str) -> list[str]:
    return [world.state(name) for name in names]


def refusal(client: Client) -> errors.AtCapacity:
    assert isinstance(client.error, errors.AtCapacity), client.error
    return client.error


class TestOrder:
    def test_who_came_first_starts_first(self, begin: Begin) -> None:
        world = begin(evolve(LIMITS, max_stacks=1))
        tickets = [world.ready(A)]
        clients = [world.ask(name) for name in (B, C)]
        world.pass_time(6)
        assert [client.answered for client in clients] == [True, False]
        assert tickets[0].open is False

    def test_who_has_waited_for_too_long_is_told_his_place_and_why(self, begin: Begin) -> None:
        world = begin(evolve(LIMITS, max_stacks=1, min_uptime=1000.0))
        world.ready(A)
        clients = [world.ask(name) for name in (B, C)]
        world.pass_time(LIMITS.queue_timeout + 0.5)
        assert [refusal(client).place for client in clients] == [1, 2]
        assert "none of the stacks that run can give way yet. This was number 2 in the queue." in str(clients[1].error)

    def test_one_that_is_let_be_on_request_is_like_one_in_use_nobody_waits_for_it(self, begin: Begin) -> None:
        world = begin(evolve(LIMITS, max_stacks=1))
        world.ready(A).keep_until = 1000.0
        world.pass_time(6)
        assert "in use or pinned" in refusal(world.ask(B)).why

    def test_whoever_is_told_that_there_is_no_room_may_ask_again_at_once(self, begin: Begin) -> None:
        world = begin(evolve(LIMITS, max_stacks=1, min_uptime=1000.0))
        world.ready(A)
        again: list[Client] = []
        client = world.table.ensure(Key("app", B))
        client.addErrback(lambda failure: again.append(world.ask(B)))
        world.pass_time(LIMITS.queue_timeout + 0.5)
        assert len(again) == 1
        assert not again[0].answered
        assert world.state(B) == "queued"


class TestBranches:
    def test_a_newer_commit_takes_the_place_of_an_older_one_of_its_branch(self, begin: Begin) -> None:
        world = begin(evolve(LIMITS, max_stacks=2))
        for name, branch, created in ((A, "main", 1.0), (B, "topic", 1.0), (C, "topic", 2.0)):
            world.versions.versions[name] = Version(name, branch=branch, created=created)
        for name in (A, B):
            world.ready(name)
        world.pass_time(6)
        world.ready(C)
        assert states(world, A, B, C) == ["ready", "cold", "ready"]


class TestStartStorms:
    def test_no_more_start_at_once_than_may_and_all_are_served(self, begin: Begin) -> None:
        world = begin(evolve(LIMITS, max_stacks=9, max_starting=2))
        clients = [world.ask(digit * 7) for digit in "01234567"]
        most = 0
        for _ in range(100):
            world.clock.advance(0.05)
            most = max(most, sum(stack.state in ("starting", "probing") for stack in world.table.snapshot()))
        assert most == 2
        assert all(client.ticket for client in clients)


class TestMemory:
    def test_a_start_that_would_not_fit_has_the_least_recently_used_make_room(self, begin: Begin) -> None:
        world = begin(MEMORY, size=1000, each=400)
        for name in (A, B):
            world.ready(name)
        world.pass_time(6)  # to be weighed, and old enough
        world.ready(C)
        assert states(world, A, B, C) == ["cold", "ready", "ready"]

    def test_what_has_started_only_just_is_counted_as_what_it_will_take(self, begin: Begin) -> None:
        world = begin(evolve(MEMORY, min_uptime=0.0), size=1000, each=400)
        world.ready(A)
        world.pass_time(6)
        world.engine.memory[Key("app", B)] = 0  # as yet
        world.ready(B)
        third = world.ask(C)
        world.pass_time(0.2)
        assert world.state(A) in ("draining", "saving", "stopping", "cold")
        world.pass_time(1)
        assert third.ticket is not None
        assert world.state(B) == "ready"

    def test_while_those_in_use_leave_no_room_it_waits_and_is_told_why_not(self, begin: Begin) -> None:
        world = begin(MEMORY, size=500, each=300)
        ticket = world.ready(A)
        ticket.begin(world.clock.seconds())
        world.pass_time(6)
        client = world.ask(B)
        world.pass_time(LIMITS.queue_timeout - 0.5)
        assert not client.answered
        world.pass_time(1)
        assert "there is not enough memory" in str(refusal(client))
        assert world.state(A) == "ready"

    def test_it_starts_as_soon_as_there_is_room_after_all(self, begin: Begin) -> None:
        world = begin(MEMORY, size=500, each=300)
        ticket = world.ready(A)
        ticket.begin(world.clock.seconds())
        world.pass_time(6)
        client = world.ask(B)
        world.pass_time(5)
        ticket.end(world.clock.seconds())
        world.pass_time(2)
        assert client.ticket is not None

    def test_the_first_start_of_all_is_let_in_whatever_it_takes(self, begin: Begin) -> None:
        world = begin(MEMORY, size=50, each=30)
        world.ready(A)

    def test_what_the_template_allows_counts_until_it_is_known_what_an_app_takes(self, begin: Begin) -> None:
        spec = StackSpec((Service("web", memory=600 * MIB),), "web", 80)
        world = begin(evolve(MEMORY, min_uptime=0.0), size=1000, each=10, spec=spec)
        ticket = world.ready(A)
        ticket.begin(world.clock.seconds())
        second = world.ask(B)
        world.pass_time(3)
        assert not second.answered
        world.pass_time(3)
        assert second.ticket is not None

    def test_a_crowd_of_an_app_that_nothing_is_known_of_is_let_in_only_as_it_becomes_known(self, begin: Begin) -> None:
        world = begin(evolve(MEMORY, max_stacks=20), size=800, each=100)
        for digit in "0123456789":
            world.ask(digit * 7)
        world.pass_time(1.0)
        assert world.engine.occupied() == 2  # as far as one can guess
        world.pass_time(LIMITS.queue_timeout)
        assert world.engine.occupied() == 7
        assert isinstance(world.machine, Host)
        assert world.machine.least == 100 * MIB

    def test_a_template_that_cannot_be_used_says_so_when_it_starts(self, begin: Begin) -> None:
        world = begin(MEMORY, size=1000)
        world.template.invalid = Invalid([Problem("no service", "compose.yaml")])
        client = world.ask(A)
        world.pass_time(1)
        assert isinstance(client.error, errors.StartFailed)

    def test_a_machine_that_does_not_tell_limits_nothing(self, begin: Begin, monkeypatch: pytest.MonkeyPatch) -> None:
        world = begin(MEMORY, size=500, each=300)
        monkeypatch.setattr(Host, "memory", lambda host: None)
        for name in (A, B, C):
            world.ready(name)

    def test_more_hungry_stacks_than_fit_are_served_in_turn_and_memory_never_runs_out(self, begin: Begin) -> None:
        world = begin(evolve(MEMORY, max_stacks=20), size=700, each=100)
        for round_of_requests in range(2):
            for digit in "0123456789abcdef":
                client = world.ask(digit * 7)
                world.pass_time(LIMITS.min_uptime + 3)
                assert client.ticket is not None, (round_of_requests, digit, client.error)
                client.ticket.begin(world.clock.seconds())
                client.ticket.end(world.clock.seconds())
        assert isinstance(world.machine, Host)
        assert world.machine.least >= 100 * MIB
        assert world.engine.occupied() == 6
