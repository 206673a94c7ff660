"""What the stack table counts, and what a ticket says of the start that made it."""

from __future__ import annotations

import pytest
from twisted.internet.defer import Deferred

from grandcentral.core.keys import Key
from grandcentral.core.model import Service, StackSpec

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
    assert {outcome: sum(starts[outcome].counts) for outcome in starts} == {"ready": 1, "failed": 1}
    assert 0 < starts["ready"].total < 2
    assert world.table.counters.stops["failed"] == 1


@pytest.mark.parametrize("reason", ["asked", "vanished", "idle"])
def test_stops_are_counted_by_reason(world: World, reason: str) -> None:
    ticket = world.ready()
    if reason == "asked":
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
