"""Locks, addresses and processes."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from grandcentral.workers import places
from grandcentral.workers.sockets import Sockets


def test_a_lock_is_held_once_and_the_holder_is_named(tmp_path: Path) -> None:
    lock = places.hold(tmp_path / "lock")
    with pytest.raises(places.Taken) as taken:
        places.hold(tmp_path / "lock")
    assert taken.value.holder == str(os.getpid())
    os.close(lock)
    os.close(places.hold(tmp_path / "lock"))


def test_a_successor_waits_for_a_lock_that_is_let_go(tmp_path: Path) -> None:
    first = places.hold(tmp_path / "lock")
    naps = []

    def nap(seconds: float) -> None:
        naps.append(seconds)
        if len(naps) == 3:
            os.close(first)

    os.close(places.hold(tmp_path / "lock", 60.0, nap))
    assert len(naps) == 3


def test_a_secret_is_made_once_for_nobody_else_to_read_and_stays_the_same(tmp_path: Path) -> None:
    path = tmp_path / "tokens.secret"
    path.with_suffix(".new").write_bytes(b"half of o")  # of a gateway that was killed while it made one
    secret = places.secret(path)
    assert len(secret) == places.SECRET_SIZE
    assert places.secret(path) == secret == path.read_bytes()
    assert path.stat().st_mode & 0o777 == 0o600
    assert [file.name for file in tmp_path.iterdir()] == ["tokens.secret"]
    assert places.secret(tmp_path / "other.secret") != secret


def test_a_damaged_secret_is_not_used(tmp_path: Path) -> None:
    path = tmp_path / "tokens.secret"
    path.write_bytes(b"short")
    with pytest.raises(ValueError, match=r"tokens\.secret has 5 bytes"):
        places.secret(path)


def test_a_shared_lock_is_seen_as_long_as_one_has_it(tmp_path: Path) -> None:
    assert not places.held(tmp_path / "lock")
    first, second = places.share(tmp_path / "lock"), places.share(tmp_path / "lock")
    os.close(first)
    assert places.held(tmp_path / "lock")
    os.close(second)
    assert not places.held(tmp_path / "lock")


def test_a_socket_can_be_reached_however_deep_it_is(tmp_path: Path) -> None:
    deep = tmp_path / ("d" * 100) / "workers.sock"
    deep.parent.mkdir()
    with socket.socket(socket.AF_UNIX) as listening, socket.socket(socket.AF_UNIX) as client:
        listening.bind(places.address(deep))
        listening.listen()
        client.connect(places.address(deep))
    assert deep.is_socket()
    assert places.address(Path("/run/workers.sock")) == "/run/workers.sock"


def test_a_process_that_has_ended_is_not_alive_even_before_its_parent_has_heard_of_it() -> None:
    child = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    assert places.alive(child.pid)
    assert child.stdin is not None
    child.stdin.close()
    os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
    assert not places.alive(child.pid)
    child.wait()
    assert not places.alive(child.pid)


class TestSockets:
    def test_each_worker_has_one_of_its_own_on_one_port(self) -> None:
        sockets = Sockets(["tcp:0:interface=127.0.0.1"], 3)
        sockets.open()
        descriptors = [sockets.descriptors(slot)[0] for slot in range(3)]
        ports = {socket.socket(fileno=os.dup(descriptor)).getsockname()[1] for descriptor in descriptors}
        assert len(set(descriptors)) == 3
        assert len(ports) == 1
        sockets.close()

    def test_a_port_that_somebody_else_shares_is_not_ours_to_share(self) -> None:
        first = Sockets(["tcp:0:interface=127.0.0.1"], 1)
        first.open()
        with socket.socket(fileno=os.dup(first.descriptors(0)[0])) as one:
            port = one.getsockname()[1]
        with pytest.raises(OSError, match="in use"):
            Sockets([f"tcp:{port}:interface=127.0.0.1"], 1).open()
        first.close()

    def test_what_a_worker_sends_back_is_kept_if_it_is_missing(self) -> None:
        text = "tcp:0:interface=127.0.0.1"
        first, next_one = Sockets([text], 2), Sockets([text], 2)
        first.open()
        next_one.recover(text, 1, os.dup(first.descriptors(1)[0]))
        with socket.socket(fileno=os.dup(next_one.descriptors(1)[0])) as one, socket.socket() as client:
            client.connect(one.getsockname())
        for useless in ((text, 1), (text, 7), ("tcp:1", 0)):
            descriptor = os.dup(first.descriptors(0)[0])
            next_one.recover(*useless, descriptor)
            with pytest.raises(OSError, match="descriptor"):
                os.fstat(descriptor)
        first.close()
        next_one.close()

    def test_a_unix_socket_is_shared_left_behind_ones_are_removed_and_ones_in_use_are_not(self, tmp_path: Path) -> None:
        text = f"unix:{tmp_path}/gateway.sock:mode=600"
        with socket.socket(socket.AF_UNIX) as dead:
            dead.bind(f"{tmp_path}/gateway.sock")
        sockets = Sockets([text], 2)
        sockets.open()
        assert sockets.descriptors(0) == sockets.descriptors(1)
        assert (tmp_path / "gateway.sock").stat().st_mode & 0o777 == 0o600
        with pytest.raises(OSError, match="in use"):
            Sockets([text], 2).open()
        sockets.close()
        assert not (tmp_path / "gateway.sock").exists()
