"""The pool: idle connections last in, first out; new ones a few at a time; both bounded, and gone with their endpoint."""

from __future__ import annotations

from typing import Any

import pytest
from attrs import define, field
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.task import Clock

from grandcentral.core.model import Endpoint
from grandcentral.relay.pool import PATIENCE, TURN, UNPROVEN, Gone, Opening, Pool, Shelf

HERE = Endpoint("10.0.0.1", 3000)
THERE = Endpoint("10.0.0.2", 3000)


@define(eq=False)
class Connection:
    idle_since: float = 0.0
    closed: bool = False

    def close(self) -> None:
        self.closed = True


def test_the_connection_used_last_is_the_next_one() -> None:
    pool: Pool[Connection] = Pool(Clock())
    older, newer = Connection(), Connection()
    pool.give(pool.shelf(HERE), older, 1.0)
    pool.give(pool.shelf(HERE), newer, 2.0)
    assert pool.shelf(HERE).idle == [older, newer]
    assert pool.shelf(THERE).idle == []
    assert (older.idle_since, newer.idle_since) == (1.0, 2.0)


def test_what_is_over_the_limit_is_closed() -> None:
    pool: Pool[Connection] = Pool(Clock(), limit=2)
    connections = [Connection() for _ in range(3)]
    for connection in connections:
        pool.give(pool.shelf(HERE), connection, 0.0)
    assert [connection.closed for connection in connections] == [False, False, True]
    assert pool.idle_count == 2


def test_a_sweep_closes_what_was_idle_for_too_long_and_nothing_else() -> None:
    pool: Pool[Connection] = Pool(Clock(), idle=4.0)
    old, young = Connection(), Connection()
    pool.give(pool.shelf(HERE), old, 0.0)
    pool.give(pool.shelf(HERE), young, 3.0)
    pool.sweep(4.5)
    assert (old.closed, young.closed) == (True, False)
    assert pool.shelf(HERE).idle == [young]


def test_one_that_closed_by_itself_is_not_handed_out() -> None:
    pool: Pool[Connection] = Pool(Clock())
    shelf = pool.shelf(HERE)
    connection = Connection()
    pool.give(shelf, connection, 0.0)
    pool.discard(shelf, connection)
    pool.discard(shelf, connection)
    assert shelf.idle == []


def test_a_forgotten_endpoint_takes_nothing_back() -> None:
    pool: Pool[Connection] = Pool(Clock())
    shelf = pool.shelf(HERE)
    idle, busy = Connection(), Connection()
    pool.give(shelf, idle, 0.0)
    pool.forget(HERE)
    pool.forget(HERE)
    pool.give(shelf, busy, 1.0)
    assert idle.closed
    assert busy.closed
    assert pool.shelf(HERE) is not shelf


def test_close_forgets_every_endpoint() -> None:
    pool: Pool[Connection] = Pool(Clock())
    connections = [Connection(), Connection()]
    for endpoint, connection in zip((HERE, THERE), connections, strict=True):
        pool.give(pool.shelf(endpoint), connection, 0.0)
    pool.close()
    assert all(connection.closed for connection in connections)
    assert pool.idle_count == 0


# -- the line -------------------------------------------------------------------------------------------------------------


@define(eq=False)
class Door:
    """A pool, and who has come through to one of its endpoints."""

    clock: Clock = field(factory=Clock)
    pool: Pool[Connection] = field(init=False)
    shelf: Shelf[Connection] = field(init=False)
    openings: list[Opening] = field(factory=list)

    def __attrs_post_init__(self) -> None:
        self.pool = Pool(self.clock)
        self.shelf = self.pool.shelf(HERE)

    def fill(self) -> None:
        while (opening := self.pool.opening(self.shelf)) is not None:
            self.openings.append(opening)

    def wait(self, takes_used: bool = True) -> list[Any]:
        """Stand in line; what comes of it will be in the list."""
        return results(self.pool.stand_in_line(self.shelf, takes_used))


def results(deferred: Deferred[Any]) -> list[Any]:
    found: list[Any] = []
    deferred.addBoth(found.append)
    return found


@pytest.fixture
def door() -> Door:
    full = Door()
    full.fill()
    return full


def test_only_a_few_connections_are_opened_before_one_of_them_has_answered(door: Door) -> None:
    assert len(door.openings) == UNPROVEN
    first, second = door.wait(), door.wait()
    door.clock.advance(TURN)
    assert first == []
    door.pool.proved(door.shelf, door.openings[3])
    door.pool.proved(door.shelf, door.openings[3])
    assert first == [], "it may become idle in a moment"
    door.clock.advance(TURN)
    assert isinstance(first[0], Opening)
    assert second == []
    door.pool.ended(door.shelf, first[0])
    assert isinstance(second[0], Opening), "at once: it will not"


def test_a_connection_that_ends_after_its_proof_calls_the_line_too(door: Door) -> None:
    waiting = door.wait()
    door.pool.proved(door.shelf, door.openings[0])
    door.pool.ended(door.shelf, None)
    assert isinstance(waiting[0], Opening)


def test_nobody_overtakes_the_line(door: Door) -> None:
    door.wait()
    door.pool.proved(door.shelf, door.openings[0])
    assert door.pool.opening(door.shelf) is None
    door.pool.close()


def test_a_connection_that_becomes_idle_goes_to_the_first_who_may_take_it(door: Door) -> None:
    new_only, first, second = door.wait(takes_used=False), door.wait(), door.wait()
    connection = Connection()
    door.pool.give(door.shelf, connection, 0.0)
    assert (new_only, first, second) == ([], [connection], [])
    assert door.shelf.idle == []
    door.pool.give(door.shelf, connection, 0.0)
    door.pool.give(door.shelf, connection, 0.0)
    assert (new_only, second) == ([], [connection])
    assert door.shelf.idle == [connection]


def test_slow_applications_do_not_hold_up_the_line(door: Door) -> None:
    waiting = [door.wait() for _ in range(UNPROVEN + 1)]
    door.clock.advance(PATIENCE - 0.001)
    assert not any(waiting)
    door.clock.advance(TURN)
    assert [len(each) for each in waiting] == [1] * UNPROVEN + [0]
    door.clock.pump([TURN] * round(PATIENCE / TURN))
    assert isinstance(waiting[-1][0], Opening)
    assert door.clock.getDelayedCalls() == []


def test_without_a_line_there_is_no_timer_and_old_openings_are_forgotten(door: Door) -> None:
    assert door.clock.getDelayedCalls() == []
    door.clock.advance(PATIENCE)
    assert door.pool.opening(door.shelf) is not None


def test_who_cancels_leaves_the_line(door: Door) -> None:
    leaving = door.pool.stand_in_line(door.shelf, True)
    left = results(leaving)
    staying = door.wait()
    leaving.cancel()
    assert left[0].check(CancelledError)
    door.pool.ended(door.shelf, door.openings[0])
    assert len(staying) == 1


def test_a_thousand_refusals_in_a_row_do_not_nest(door: Door) -> None:
    deepest = depth = 0

    def refused(opening: Any) -> None:
        nonlocal depth, deepest
        depth += 1
        deepest = max(deepest, depth)
        door.pool.ended(door.shelf, opening)
        depth -= 1

    for _ in range(1000):
        door.pool.stand_in_line(door.shelf, True).addCallback(refused)
    door.pool.ended(door.shelf, door.openings[0])
    assert not door.shelf.line
    assert deepest == 1
    door.pool.close()


def test_the_line_of_a_forgotten_endpoint_is_sent_away(door: Door) -> None:
    waiting = door.wait()
    door.pool.forget(HERE)
    assert waiting[0].check(Gone)
    assert door.wait()[0].check(Gone)
    assert door.clock.getDelayedCalls() == []


def test_endpoints_do_not_wait_for_each_other(door: Door) -> None:
    assert door.pool.opening(door.pool.shelf(THERE)) is not None
