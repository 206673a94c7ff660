"""The pool of idle connections: last in, first out, bounded, and gone with its endpoint."""

from __future__ import annotations

from attrs import define

from grandcentral.core.model import Endpoint
from grandcentral.relay.pool import Pool

HERE = Endpoint("10.0.0.1", 3000)
THERE = Endpoint("10.0.0.2", 3000)


@define(eq=False)
class Connection:
    idle_since: float = 0.0
    closed: bool = False

    def close(self) -> None:
        self.closed = True


def test_the_connection_used_last_is_the_next_one() -> None:
    pool: Pool[Connection] = Pool()
    older, newer = Connection(), Connection()
    pool.give(pool.shelf(HERE), older, 1.0)
    pool.give(pool.shelf(HERE), newer, 2.0)
    assert pool.shelf(HERE).idle == [older, newer]
    assert pool.shelf(THERE).idle == []
    assert (older.idle_since, newer.idle_since) == (1.0, 2.0)


def test_what_is_over_the_limit_is_closed() -> None:
    pool: Pool[Connection] = Pool(limit=2)
    connections = [Connection() for _ in range(3)]
    for connection in connections:
        pool.give(pool.shelf(HERE), connection, 0.0)
    assert [connection.closed for connection in connections] == [False, False, True]
    assert pool.idle_count == 2


def test_a_sweep_closes_what_was_idle_for_too_long_and_nothing_else() -> None:
    pool: Pool[Connection] = Pool(idle=4.0)
    old, young = Connection(), Connection()
    pool.give(pool.shelf(HERE), old, 0.0)
    pool.give(pool.shelf(HERE), young, 3.0)
    pool.sweep(4.5)
    assert (old.closed, young.closed) == (True, False)
    assert pool.shelf(HERE).idle == [young]


def test_one_that_closed_by_itself_is_not_handed_out() -> None:
    pool: Pool[Connection] = Pool()
    shelf = pool.shelf(HERE)
    connection = Connection()
    pool.give(shelf, connection, 0.0)
    pool.discard(shelf, connection)
    pool.discard(shelf, connection)
    assert shelf.idle == []


def test_a_forgotten_endpoint_takes_nothing_back() -> None:
    pool: Pool[Connection] = Pool()
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
    pool: Pool[Connection] = Pool()
    connections = [Connection(), Connection()]
    for endpoint, connection in zip((HERE, THERE), connections, strict=True):
        pool.give(pool.shelf(endpoint), connection, 0.0)
    pool.close()
    assert all(connection.closed for connection in connections)
    assert pool.idle_count == 0
