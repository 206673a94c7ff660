"""PostgreSQL's own clients, through the gateway, to PostgreSQL servers that are started for them."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Any

import psycopg
import pytest

from tests.gateway import eventually

from .databases import PASSWORD, Database, Servers, psql

Serve = Any


@pytest.fixture
def servers(tmp_path: Path) -> Iterator[Servers]:
    there = Servers(tmp_path)
    yield there
    there.remove()


@pytest.fixture
def serve(servers: Servers) -> Iterator[Serve]:
    """Starts a gateway over servers, which are stopped at the end."""
    with ExitStack() as stack:
        yield lambda **how: stack.enter_context(servers.serve("postgresql", **how))


@pytest.fixture(scope="module", params=[0, 2])
def db(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Database]:
    """What tests share that ask for nothing in particular; the parameter is how many workers there are."""
    there = Servers(tmp_path_factory.mktemp("postgresql"))
    try:
        with there.serve("postgresql", workers=request.param) as database:
            yield database
    finally:
        there.remove()


with_workers = pytest.mark.parametrize("db", [2], indirect=True)


@pytest.mark.failure(18)
def test_a_server_is_started_for_the_first_client_and_each_user_has_its_own(db: Database) -> None:
    first = psql(db.conninfo(0), "SELECT current_user", "CREATE TABLE ours AS SELECT 1 AS it")
    assert (first.stdout, first.stderr) == (f"{db.users[0]}\nSELECT 1\n", "")
    assert [db.state(0), db.state(1)] == ["ready", "cold"]
    second = psql(db.conninfo(1), "SELECT to_regclass('ours')", "SELECT current_user")
    assert second.stdout == f"\n{db.users[1]}\n"
    with psycopg.connect(db.conninfo(0)) as connection:
        assert connection.execute("SELECT it FROM ours").fetchall() == [(1,)]
    eventually(lambda: db.running.stacks()[db.users[0]]["streams"] == 0)


@pytest.mark.failure(18)
@with_workers
def test_only_users_that_there_are_lead_anywhere(db: Database) -> None:
    user, before = db.users[0], db.running.stacks().keys()
    for name in ("0000000", user.upper(), "169.254.169.254", "postgres.internal", "localhost", f'"{user}"', "postgres"):
        with pytest.raises(psycopg.OperationalError) as refused:
            psycopg.connect(host="127.0.0.1", port=db.port, user=name, password=PASSWORD, dbname=user)
        assert "FATAL:  This user has no database here." in str(refused.value)
    assert db.running.stacks().keys() == before
    wrong = psql(db.conninfo(0, password="guess"), "SELECT 1")
    assert "password authentication failed" in wrong.stderr
    asked = psql(db.conninfo(0, sslmode="require"), "SELECT 1")
    assert "server does not support SSL" in asked.stderr


@pytest.mark.failure(18)
def test_a_query_is_cancelled_by_whichever_worker_hears_of_it(db: Database) -> None:
    for _ in range(6 if db.running.workers else 1):  # the kernel chooses the workers
        with psycopg.connect(db.conninfo(0)) as one, psycopg.connect(db.conninfo(0), autocommit=True) as other:
            caught: list[Exception] = []
            sleeper = threading.Thread(target=sleep, args=[one, caught])
            sleeper.start()
            eventually(partial(sleeps, other, one.info.backend_pid))
            one.cancel()
            sleeper.join(30)
            assert [type(each) for each in caught] == [psycopg.errors.QueryCanceled]
            assert other.execute("SELECT 1").fetchone() == (1,)


def sleep(connection: psycopg.Connection[Any], caught: list[Exception]) -> None:
    try:
        connection.execute("SELECT pg_sleep(60)")
    except psycopg.Error as error:
        caught.append(error)


def sleeps(other: psycopg.Connection[Any], pid: int) -> bool:
    return other.execute("SELECT wait_event FROM pg_stat_activity WHERE pid = %s", [pid]).fetchone() == ("PgSleep",)


@pytest.mark.failure(20)
@with_workers
def test_a_slow_reader_of_much_does_not_fill_the_gateway(db: Database) -> None:
    psql(db.conninfo(0), "SELECT 1")
    size = 64 * 1024 * 1024
    before, counted = memory(db), bytes_out(db)
    rows = f"COPY (SELECT repeat(chr(97 + i % 26), 1023) FROM generate_series(1, {size // 1024}) i) TO STDOUT"
    with psycopg.connect(db.conninfo(0)) as connection, connection.cursor().copy(rows) as copy:
        blocks = iter(copy)
        received = len(next(blocks))
        passed_on = stands_still(lambda: bytes_out(db) - counted)
        assert memory(db) - before < 4 * 1024 * 1024
        assert passed_on < 16 * 1024 * 1024, "what the reader does not take stays with the server"
        received += sum(map(len, blocks))
    assert received == size
    assert memory(db) - before < 4 * 1024 * 1024
    eventually(lambda: bytes_out(db) - counted >= size)


def bytes_out(db: Database) -> int:
    return int(db.running.stacks()[db.users[0]]["bytes_out"])


def stands_still(number: Callable[[], int]) -> int:
    """What a number is when it has been the same for longer than workers take to report."""
    seen: list[tuple[float, int]] = []

    def still() -> bool:
        seen.append((time.monotonic(), number()))
        same = [when for when, value in seen if value == seen[-1][1]]
        return seen[-1][1] > 0 and same[-1] - same[0] > 2.5

    eventually(still)
    return seen[-1][1]


def memory(db: Database) -> int:
    """Resident bytes of whoever passes bytes on."""
    pids = [worker["pid"] for worker in db.running.crew()] or [db.running.process.pid]  # type: ignore[union-attr]
    return sum(4096 * int(Path(f"/proc/{pid}/statm").read_text().split()[1]) for pid in pids)


@pytest.mark.failure(9)
def test_a_session_that_is_idle_keeps_its_server_awake(serve: Serve) -> None:
    db: Database = serve(workers=1, app='idle = { stop = "1s" }', more='[limits]\nmin_uptime = "0s"\n')
    with psycopg.connect(db.conninfo(0), autocommit=True) as connection:
        psql(db.conninfo(1), "SELECT 1")
        eventually(lambda: db.state(1) in ("cold", "stopped"), what="the sleep of one that nobody uses")
        assert db.state(0) == "ready"
        assert connection.execute("SELECT 1").fetchone() == (1,)


@pytest.mark.failure(9)
def test_a_session_that_was_forgotten_keeps_nothing_awake_for_ever(serve: Serve) -> None:
    limits = '[limits]\nmin_uptime = "0s"\nmax_stream_idle = "2s"\n'
    db: Database = serve(workers=1, app='idle = { stop = "1s" }', more=limits)
    with psycopg.connect(db.conninfo(0), autocommit=True) as connection:
        eventually(lambda: db.state(0) in ("cold", "stopped"))
        with pytest.raises(psycopg.OperationalError, match="terminating connection"):
            connection.execute("SELECT 1")


def test_a_session_that_was_forgotten_wakes_what_was_paused_under_it(serve: Serve) -> None:
    db: Database = serve(
        workers=1,
        app='idle = { pause = "1s", stop = "1h" }',
        more='[limits]\nmin_uptime = "0s"\nmax_stream_idle = "2s"\n',
    )
    with psycopg.connect(db.conninfo(0), autocommit=True) as connection:
        pid = connection.info.backend_pid
        eventually(lambda: db.state(0) == "paused")
        assert connection.execute("SELECT pg_backend_pid()").fetchone() == (pid,)


@pytest.mark.failure(13)
def test_a_start_that_takes_longer_than_clients_are_held_is_told_and_goes_on(serve: Serve) -> None:
    db: Database = serve(delay=4, more='[limits]\nstart_timeout = "1s"\n')
    refused = psql(db.conninfo(0), "SELECT 1")
    assert f"FATAL:  db/{db.users[0]} is not ready after 1 s" in refused.stderr
    with pytest.raises(psycopg.OperationalError) as told:
        psycopg.connect(db.conninfo(0))
    assert "The start goes on; ask again." in str(told.value)
    eventually(lambda: db.state(0) == "ready")
    assert psql(db.conninfo(0), "SELECT 1").stdout == "1\n"


@pytest.mark.failure(5)
def test_a_server_that_cannot_start_says_why_to_its_client(serve: Serve, servers: Servers) -> None:
    db: Database = serve()
    (servers.data / "password").unlink()
    refused = psql(db.conninfo(0), "SELECT 1")
    assert f"FATAL:  db/{db.users[0]} did not start: " in refused.stderr
    assert "HINT:  The last lines of web:" in refused.stderr
    assert "could not open file" in refused.stderr


@with_workers
def test_many_clients_at_once_cause_one_start(db: Database) -> None:
    psql(db.conninfo(0), "SELECT 1")
    db.stop(0)
    said: list[Any] = []

    def ask() -> None:
        with psycopg.connect(db.conninfo(0)) as connection:
            said.append(connection.execute("SELECT pg_postmaster_start_time()").fetchone())

    clients = [threading.Thread(target=ask) for _ in range(15)]
    for client in clients:
        client.start()
    for client in clients:
        client.join(60)
    assert len(said) == 15
    assert len(set(said)) == 1


@with_workers
def test_a_server_that_was_killed_is_started_again_for_the_next_client(db: Database) -> None:
    with psycopg.connect(db.conninfo(0), autocommit=True) as connection:
        [[directory]] = connection.execute("SHOW data_directory").fetchall()
        os.kill(int(Path(directory, "postmaster.pid").read_text().split()[0]), signal.SIGKILL)
        eventually(lambda: not answers(connection))
    assert psql(db.conninfo(0), "SELECT 1").stdout == "1\n"


def answers(connection: psycopg.Connection[Any]) -> bool:
    try:
        return connection.execute("SELECT 1").fetchone() == (1,)
    except psycopg.OperationalError:
        return False
