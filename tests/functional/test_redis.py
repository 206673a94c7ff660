"""Redis' own clients, through the gateway, to Redis servers that are started for them."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
import redis

from tests.gateway import eventually

from .databases import PASSWORD, Database, Servers

Serve = Any


@pytest.fixture
def serve(tmp_path: Path) -> Iterator[Serve]:
    """Starts a gateway over servers, which are stopped at the end."""
    servers = Servers(tmp_path)
    with ExitStack() as stack:
        stack.callback(servers.remove)
        yield lambda **how: stack.enter_context(servers.serve("redis", **how))


@pytest.fixture(scope="module")
def db(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Database]:
    """What tests share that ask for nothing in particular."""
    servers = Servers(tmp_path_factory.mktemp("redis"))
    try:
        with servers.serve("redis", workers=2) as database:
            yield database
    finally:
        servers.remove()


def client(db: Database, user: int | str = 0, **more: Any) -> Any:
    name = user if isinstance(user, str) else db.users[user]
    return redis.Redis(port=db.port, **{"username": name, "password": PASSWORD, "socket_timeout": 60, "retry": None, **more})


@pytest.mark.failure(19)
@pytest.mark.parametrize("protocol", [2, 3])
def test_a_server_is_started_for_the_first_client_and_each_user_has_its_own(db: Database, protocol: int) -> None:
    for user in (0, 1):
        if db.state(user) == "ready":
            db.stop(user)
    one, two = client(db, 0, protocol=protocol), client(db, 1, protocol=protocol)
    assert one.set("whose", "one")
    assert [db.state(0), db.state(1) in ("cold", "stopped")] == ["ready", True]
    assert (one.get("whose"), two.get("whose")) == (b"one", None)
    assert one.acl_whoami() in (db.users[0], db.users[0].encode())
    with one.pipeline() as pipeline:
        assert pipeline.set("x", 1).incr("x").get("x").execute() == [True, 2, b"2"]


@pytest.mark.failure(19)
def test_it_can_be_typed_by_hand_and_all_at_once(db: Database) -> None:
    with socket.create_connection(("127.0.0.1", db.port), 60) as typed, typed.makefile("rb") as answers:
        typed.sendall(f"\r\nPING\r\nauth {db.users[0]} wrong\r\n".encode())
        assert answers.readline() == b"-NOAUTH Authentication required.\r\n"
        assert answers.readline().startswith(b"-WRONGPASS invalid username-password pair")
        typed.sendall(f"auth {db.users[0]} '{PASSWORD}'\r\nset x 5\r\nget x\r\nquit\r\n".encode())
        assert answers.read() == b"+OK\r\n+OK\r\n$1\r\n5\r\n+OK\r\n"


@pytest.mark.failure(19)
def test_only_users_that_there_are_lead_anywhere(db: Database) -> None:
    before = db.running.stacks().keys()
    for name in ("0000000", db.users[0].upper(), "169.254.169.254", "redis.internal", f"'{db.users[0]}'", "default"):
        with pytest.raises(redis.AuthenticationError, match="invalid username-password pair"):
            client(db, name).ping()
    with pytest.raises(redis.AuthenticationError, match="A user name is needed here"):
        client(db, username=None, protocol=2).ping()
    assert db.running.stacks().keys() == before


@pytest.mark.failure(13)
def test_a_start_that_takes_longer_than_clients_are_held_is_told_as_a_reason_to_try_again(serve: Serve) -> None:
    db: Database = serve(delay=4, more='[limits]\nstart_timeout = "1s"\n')
    with pytest.raises(redis.BusyLoadingError, match="is not ready after 1 s"):
        client(db).ping()
    eventually(lambda: db.state(0) == "ready")
    assert client(db).ping()


@pytest.mark.failure(9)
def test_a_subscriber_that_hears_nothing_keeps_its_server_awake(serve: Serve) -> None:
    db: Database = serve(app='idle = { stop = "1s" }', more='[limits]\nmin_uptime = "0s"\n')
    subscriber = client(db).pubsub()
    subscriber.subscribe("news")
    client(db, 1).ping()
    eventually(lambda: db.state(1) in ("cold", "stopped"), what="the sleep of one that nobody uses")
    assert db.state(0) == "ready"
    subscriber.close()
    eventually(lambda: db.state(0) in ("cold", "stopped"))


def test_what_was_written_is_there_after_the_server_has_slept(db: Database) -> None:
    client(db).set("kept", "yes")
    db.stop(0)
    assert client(db).get("kept") == b"yes"
