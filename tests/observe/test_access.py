"""The access log: its two formats, what it escapes, and that nothing stops because it cannot be written."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from ipaddress import ip_network
from pathlib import Path
from typing import Any

import pytest
from twisted.internet.task import Clock

from grandcentral.core.keys import Key
from grandcentral.core.serving import client_of
from grandcentral.frontends.http.settings import HttpSettings
from grandcentral.observe import access
from grandcentral.observe.access import AccessLog
from tests.frontends.rig import OK, Gateway, Peer, get
from tests.gateway import eventually

PROXIES = (ip_network("10.0.0.0/8"),)
TRACE = b"traceparent: 00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
COMBINED = re.compile(
    r'(\S+) - - \[(\d\d/[A-Z][a-z][a-z]/\d{4}:\d\d:\d\d:\d\d \+0000)\] "((?:[^"\\]|\\x..)*)" (\d{3}) (\d+) '
    r'"((?:[^"\\]|\\x..)*)" "((?:[^"\\]|\\x..)*)" (\S+) held=([\d.]+) upstream=([\d.]+) total=([\d.]+) in=(\d+) trace=(\S+)\n'
)


class LoggedGateway(Gateway):
    """A gateway in memory whose access log is a real file."""

    def __init__(self, path: Path, format: str = "combined", **more: Any) -> None:
        super().__init__(HttpSettings(trusted_proxies=PROXIES), **more)
        front = type(self.front)
        self.path = path
        self.front = front(
            self.stacks,
            self.front.routes,
            self.clock,
            self._connect,
            self.front.settings,
            lambda: 1_800_000_000.0,
            AccessLog(self.clock, str(path), format, PROXIES, lambda: 1_800_000_000.25),
        )
        self.front.start()

    def lines(self) -> list[str]:
        """Every line, when the log is closed."""
        self.front.stop()
        self.clock.advance(60)
        return self.path.read_text().splitlines(keepends=True)


@contextmanager
def logged(*arguments: Any, **more: Any) -> Iterator[LoggedGateway]:
    gateway = LoggedGateway(*arguments, **more)
    try:
        yield gateway
    finally:
        gateway.front._requests.stop()


def exchange(gateway: Gateway, request: bytes, answer: bytes = OK, peer: str = "192.0.2.7") -> Peer:
    client = gateway.client(peer)
    client.send(request)
    if answer:
        gateway.origin[-1].send(answer)
    return client


def test_a_line_is_as_apache_has_it_with_our_own_facts_behind(tmp_path: Path) -> None:
    with logged(tmp_path / "log") as gateway:
        request = get(b"/a?b", b"Referer: http://r/", b"User-Agent: curl/8", TRACE, b"Content-Length: 3", method=b"POST")
        exchange(gateway, request + b"abc")
        assert gateway.lines() == [
            '192.0.2.7 - - [15/Jan/2027:08:00:00 +0000] "POST /a?b HTTP/1.1" 200 2 "http://r/" "curl/8" '
            "app/abc held=0.000 upstream=0.000 total=0.000 in=3 trace=4bf92f3577b34da6a3ce929d0e0e4736\n"
        ]


def test_json_has_the_same_and_the_host(tmp_path: Path) -> None:
    with logged(tmp_path / "log", "json") as gateway:
        exchange(gateway, get(b'/"\\', b"User-Agent: \xc3\xbc\xff"))
        [line] = gateway.lines()
        assert json.loads(line) == {
            "time": "2027-01-15T08:00:00.250Z",
            "client": "192.0.2.7",
            "host": "abc.review.test",
            "referer": "",
            "user_agent": "ü\\xff",
            "method": "GET",
            "target": '/"\\',
            "protocol": "HTTP/1.1",
            "status": 200,
            "stack": "app/abc",
            "bytes_in": 0,
            "bytes_out": 2,
            "held": 0.0,
            "upstream": 0.0,
            "total": 0.0,
            "trace_id": "",
        }


def test_a_log_says_nothing_in_the_words_of_the_one_before(tmp_path: Path) -> None:
    with logged(tmp_path / "access.log") as gateway:
        client = exchange(gateway, get(b"/", b"User-Agent: curl"))
        gateway.front.log_to(AccessLog(gateway.clock, str(tmp_path / "second"), "json"))
        client.send(get(b"/", b"User-Agent: curl"))
        gateway.origin[0].send(OK)
        assert len(gateway.lines()) == 1
    assert json.loads((tmp_path / "second").read_text())["user_agent"] == "curl"


def test_times_are_told_apart(tmp_path: Path) -> None:
    with logged(tmp_path / "log", "json", cold=True) as gateway:
        client = gateway.client()
        client.send(get())
        gateway.wait(5)
        gateway.stacks.wake()
        gateway.wait(2)
        gateway.origin[-1].send(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nab")
        gateway.wait(1)
        gateway.origin[-1].send(b"cd")
        [line] = map(json.loads, gateway.lines())
        assert (line["held"], line["upstream"], line["total"], line["bytes_out"]) == (5, 2, 8, 4)


def leaves(gateway: Gateway) -> None:
    client = gateway.client()
    client.send(get())
    client.finish()


def tunnel(gateway: Gateway) -> None:
    switch = b"HTTP/1.1 101 S\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n"
    client = exchange(gateway, get(b"/", b"Connection: upgrade", b"Upgrade: x"), switch)
    client.send(b"12345")
    gateway.origin[-1].break_off()


def breaks(gateway: Gateway) -> None:
    exchange(gateway, get(), b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nab")
    gateway.origin[-1].break_off()


@pytest.mark.parametrize(
    ("happens", "status", "target", "stack"),
    [
        (lambda gateway: exchange(gateway, get(host=b"nobody.test"), b""), 404, "/", ""),
        (lambda gateway: exchange(gateway, b"nonsense\r\n\r\n", b""), 400, None, ""),
        (lambda gateway: exchange(gateway, get(), b"nonsense\r\n\r\n"), 502, "/", "app/abc"),
        (lambda gateway: exchange(gateway, get(method=b"CONNECT"), b""), 405, "/", ""),
        (leaves, 499, "/", "app/abc"),
        (tunnel, 101, "/", "app/abc"),
        (breaks, 200, "/", "app/abc"),
    ],
)
def test_whatever_becomes_of_a_request_there_is_one_line_for_it(
    tmp_path: Path, happens: Callable[[Gateway], object], status: int, target: str | None, stack: str
) -> None:
    with logged(tmp_path / "log", "json") as gateway:
        happens(gateway)
        gateway.wait(5)
        [line] = map(json.loads, gateway.lines())
        assert (line["status"], line.get("target"), line["stack"]) == (status, target, stack)
        if happens is tunnel:
            assert line["bytes_in"] == 5


def test_nothing_that_a_client_sends_ends_a_line_or_a_quotation(tmp_path: Path) -> None:
    evil = b'" \xff\xc2\x85\xe2\x80\xa8\\" 200 "\t'
    for format in ("combined", "json"):
        with logged(tmp_path / format, format) as gateway:
            fields = (b"User-Agent: " + evil, b"Referer: " + evil, b"X-Forwarded-For: " + evil)
            exchange(gateway, get(b'/"\\x', *fields), peer="10.0.0.1")
            [line] = gateway.lines()
            assert line.isascii()
            assert line[:-1].isprintable()
            assert json.loads(line)["client"] == "10.0.0.1" if format == "json" else COMBINED.fullmatch(line)


def test_the_same_fields_in_absolute_form_name_another_host(tmp_path: Path) -> None:
    with logged(tmp_path / "log", "json") as gateway:
        client = gateway.client()
        for target in (b"/", b"http://def.review.test/", b"/"):
            client.send(get(target))
            gateway.origin[-1].send(OK)
        hosts = [json.loads(line)["host"] for line in gateway.lines()]
        assert hosts == ["abc.review.test", "def.review.test", "abc.review.test"]


@pytest.mark.parametrize(
    ("peer", "told", "client"),
    [
        ("192.0.2.7", [b"1.1.1.1"], "192.0.2.7"),
        ("10.0.0.1", [], "10.0.0.1"),
        ("10.0.0.1", [b"1.1.1.1"], "1.1.1.1"),
        ("10.0.0.1", [b"6.6.6.6, 1.1.1.1", b"10.0.0.2"], "1.1.1.1"),
        ("10.0.0.1", [b"10.0.0.3,10.0.0.2"], "10.0.0.3"),
        ("10.0.0.1", [b"nonsense, 10.0.0.2"], "10.0.0.2"),
        ("10.0.0.1", [b"2001:db8::7"], "2001:db8::7"),
    ],
)
def test_the_client_is_the_last_that_is_no_proxy_of_ours(peer: str, told: list[bytes], client: str) -> None:
    assert client_of(peer, told, PROXIES) == client


class Note:
    """A request that is over, as short as can be."""

    head = None
    peer, status, key, trace = "192.0.2.7", 200, Key("app", "abc"), ""
    received = sent = 0
    held = upstream_time = total = 0.0


def test_a_file_that_was_moved_away_is_begun_anew_and_no_line_is_lost(tmp_path: Path) -> None:
    clock, path = Clock(), tmp_path / "log"
    log = AccessLog(clock, str(path), "combined")
    log.start()
    written = 0
    for part in range(3):
        assert log.note(Note())
        clock.advance(access.EVERY)
        eventually(lambda: path.exists() and path.stat().st_size, 5)
        clock.advance(access.EVERY)
        path.rename(tmp_path / f"log.{part}")
        written += 1
    log.stop()
    assert sum(len((tmp_path / f"log.{part}").read_text().splitlines()) for part in range(3)) == written


def test_a_reader_that_stands_still_costs_lines_and_neither_memory_nor_time(tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.setattr(access, "ROOM", 10_000)
    monkeypatch.setattr(access, "PATIENCE", 0.1)
    path = tmp_path / "pipe"
    os.mkfifo(path)
    reader = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    filler = os.open(path, os.O_WRONLY | os.O_NONBLOCK)
    with suppress(BlockingIOError):  # it is full then; select could not be asked about a descriptor beyond 1023
        while True:
            os.write(filler, b"x" * 4096)
    clock = Clock()
    log = AccessLog(clock, str(path), "combined")
    log.start()
    taken = 0
    for _ in range(10):
        taken += sum(log.note(Note()) for _ in range(1000))
        clock.advance(access.EVERY)
    assert 0 < taken * 100 < 30_000  # what is being written, and what waits
    log.stop()
    os.close(filler)
    os.close(reader)  # now its write fails, and it ends
    log._writer.join(5)
    assert not log._writer.is_alive()


def test_a_log_that_cannot_be_written_is_said_once(tmp_path: Path, monkeypatch: Any) -> None:
    clock = Clock()
    log = AccessLog(clock, str(tmp_path / "no" / "log"), "combined")
    said: list[str] = []
    monkeypatch.setattr(log, "_log", type("Log", (), {"error": lambda self, event, **fields: said.append(fields["why"])})())
    log.start()
    for _ in range(5):
        log.note(Note())
        clock.advance(access.EVERY)
        eventually(lambda: not log._writer.busy, 5)
    log.stop()
    assert len(said) == 1
    assert "No such file" in said[0]
