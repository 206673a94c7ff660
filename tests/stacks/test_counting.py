"""What the stack table counts, and what a ticket says of the start that made it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from attrs import evolve
from twisted.internet.defer import Deferred

from grandcentral.core.keys import Key
from grandcentral.core.lifecycle import Event
from grandcentral.core.model import IdlePolicy, Service, StackSpec, Version

from .world import World

KEY = Key("app", "0000000")


def test_a_ticket_knows_the_phases_of_its_start_and_when_it_ended(world: World) -> None:
    began = world.clock.seconds()
    ticket = world.ready()
    assert {"create", "ready"} <= set(ticket.phases)
    assert ticket.phases == world.table.snapshot()[0].phases
    assert began <= ticket.started <= world.clock.seconds()


def test_an_adopted_stack_has_no_start_to_tell_of(world: World) -> None:
    world.ready()
    world.close()
    world.boot()
    world.open()
    world.pass_time(1)
    ticket = world.table.peek(KEY)
    assert ticket is not None
    assert not ticket.phases
    assert ticket.started < 0


def test_starts_are_counted_by_outcome_with_their_durations(world: World) -> None:
    world.ready()
    world.template.spec = StackSpec((Service("web", command=("exit", "1")),), "web", 80)
    world.ask("1111111")
    world.pass_time(1)
    starts = world.table.counters.starts
    assert counts(world) == {("cold", "ready"): 1, ("cold", "failed"): 1}
    assert 0 < starts["cold", "ready"].total < 2
    assert 0 < world.table.counters.phases["cold", "create"].total < 2
    assert world.table.counters.stops["failed"] == 1


def counts(world: World) -> dict[tuple[str, str], int]:
    return {kind: sum(took.counts) for kind, took in world.table.counters.starts.items()}


@pytest.fixture
def keeping() -> Iterator[World]:
    """A world in which stacks that are stopped are kept."""
    world = World(idle=IdlePolicy(stop=600.0, remove=3600.0))
    world.open()
    yield world
    world.close()


def test_wakes_are_counted_by_the_depth_they_began_from(keeping: World) -> None:
    world = keeping
    world.ready()
    world.table.stop(KEY)
    world.pass_time(5)
    assert world.table.snapshot()[0].state == "stopped"
    ticket = world.ready()
    assert counts(world) == {("cold", "ready"): 1, ("stopped", "ready"): 1}
    assert [start.depth for start in world.manifest.starts(KEY, 10).result] == ["stopped", "cold"]
    world.table.choose(Event.PAUSE_CHOSEN, KEY, ticket.generation)
    world.pass_time(5)
    world.ready()
    assert counts(world) == {("cold", "ready"): 1, ("stopped", "ready"): 1, ("paused", "ready"): 1}
    assert world.table.counters.pauses["idle"] == 1


def test_an_operator_who_has_a_stack_removed_is_the_reason(keeping: World) -> None:
    world = keeping
    world.ready()
    world.table.stop(KEY)
    world.pass_time(5)
    world.table.remove(KEY)
    world.pass_time(5)
    assert world.table.counters.removals["operator"] == 1


def test_a_stack_whose_branch_becomes_known_while_it_is_stopped_is_still_the_same(keeping: World) -> None:
    """What is kept of it was made of the version as it was known then."""
    world = keeping
    world.ready()
    world.table.stop(KEY)
    world.pass_time(5)
    known = evolve(world.versions.versions["0000000"], branch="main", created=5.0)
    world.table.learned("app", known)
    world.versions.versions["0000000"] = known
    world.ready()
    (stack,) = world.table.snapshot()
    assert stack.version == known
    assert [start.depth for start in world.manifest.starts(KEY, 10).result] == ["stopped", "cold"]


def test_what_is_learned_of_another_image_is_not_learned_of_this_one(world: World) -> None:
    world.ready()
    world.table.learned("app", Version("0000000", digest="sha256:other", branch="main"))
    world.table.learned("app", Version("fffffff", branch="main"))
    (stack,) = world.table.snapshot()
    assert stack.version == world.versions.versions["0000000"]


def test_the_reason_of_whoever_chose_it_is_what_counts(world: World) -> None:
    ticket = world.ready()
    world.table.choose(Event.STOP_CHOSEN, KEY, ticket.generation, "memory")
    world.pass_time(5)
    assert world.table.counters.stops["memory"] == 1


@pytest.mark.parametrize("reason", ["operator", "vanished", "idle"])
def test_stops_are_counted_by_reason(world: World, reason: str) -> None:
    ticket = world.ready()
    if reason == "operator":
        world.table.stop(KEY)
    elif reason == "vanished":
        world.backend.kill(KEY, "web", 137)
    else:
        world.pass_time(world.idle.stop + 60)
    world.pass_time(5)
    assert world.table.counters.stops == {**dict.fromkeys(world.table.counters.stops, 0), reason: 1}
    assert ticket.open is False


def test_bytes_of_a_stack_that_has_gone_still_count(world: World) -> None:
    for round in (1, 2):
        ticket = world.ready()
        ticket.bytes_in += 10
        ticket.bytes_out += 100
        stopped: Deferred[None] = world.table.stop(KEY)
        world.pass_time(5)
        assert stopped.called
        assert world.table.traffic() == (10 * round, 100 * round)
