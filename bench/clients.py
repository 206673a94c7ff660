"""Clients that measure what wrk does not: one request's time to the nanosecond, and bodies of 64 MiB."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterable, Sequence

from .heads import HOST

STEP = 1 << 20
_BLOCK = memoryview(bytes(STEP))


def round_trips(port: int, requests: Sequence[bytes], seconds: float) -> list[float]:
    """Seconds that each request took on one connection, one after the other."""
    took: list[float] = []
    with connect(port) as connection:
        expected = len(_answer(connection, requests[0]))
        until = time.perf_counter() + seconds
        n = 0
        while (began := time.perf_counter()) < until:
            n += 1
            connection.sendall(requests[n % len(requests)])
            got = len(connection.recv(65536))
            while got < expected:
                more = len(connection.recv(65536))
                if not more:
                    raise SystemExit(f"bench: port {port} closed its connection after {n} requests")
                got += more
            took.append(time.perf_counter() - began)
            if got != expected:  # a Date or a header that comes and goes would make the lengths differ
                raise SystemExit(f"bench: port {port} answered with {got} bytes after {expected}")
    return took


def download(port: int, slow: bool = False) -> float:
    """Seconds for GET /64MiB; if ``slow``, 1 MiB every 20 ms."""
    began = time.perf_counter()
    with connect(port) as connection:
        head = _answer(connection, _head("GET", "/64MiB", 0), whole=False)
        left = _length(head) - (len(head) - head.index(b"\r\n\r\n") - 4)
        buffer = bytearray(STEP)
        took = 0
        while left:
            size = connection.recv_into(buffer)
            if not size:
                raise SystemExit(f"bench: port {port} cut a download {left} bytes before its end")
            left -= size
            took += size
            if slow and took >= STEP:
                took = 0
                time.sleep(0.02)
    return time.perf_counter() - began


def upload(port: int, size: int, slow: bool = False) -> float:
    """Seconds for POST /sink; if ``slow``, the origin is."""
    began = time.perf_counter()
    with connect(port) as connection:
        connection.sendall(_head("POST", "/slow" if slow else "/sink", size))
        for _ in range(size // STEP):
            connection.sendall(_BLOCK)
        _answer(connection, b"")
    return time.perf_counter() - began


def at_once(works: Iterable[threading.Thread]) -> None:
    """Run threads and wait for all."""
    started = list(works)
    for thread in started:
        thread.start()
    for thread in started:
        thread.join()


def connect(port: int) -> socket.socket:
    connection = socket.create_connection(("127.0.0.1", port), 120)
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return connection


def _head(method: str, path: str, length: int) -> bytes:
    lines = [f"{method} {path} HTTP/1.1", f"Host: {HOST}", "User-Agent: bench", "Accept: */*"]
    return "\r\n".join([*lines, *[f"Content-Length: {length}"] * bool(length), "", ""]).encode()


def _answer(connection: socket.socket, request: bytes, whole: bool = True) -> bytes:
    """A head and, if ``whole``, its body; ends the process for any status but 200."""
    connection.sendall(request)
    data = b""
    while b"\r\n\r\n" not in data or (whole and len(data) < data.index(b"\r\n\r\n") + 4 + _length(data)):
        more = connection.recv(65536)
        if not more:
            break
        data += more
    if data[9:12] != b"200":
        raise SystemExit(f"bench: expected 200, got {data[:80]!r}")
    return data


def _length(head: bytes) -> int:
    lines = head.partition(b"\r\n\r\n")[0].lower().split(b"\r\n")
    return next(int(line.partition(b":")[2]) for line in lines if line.startswith(b"content-length:"))
