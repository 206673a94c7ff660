"""A UNIX socket in front of the engine's, which passes everything on and notes how long the engine takes over its calls."""

from __future__ import annotations

import re
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

_CALL = re.compile(rb"POST /v[0-9.]+/containers/(?:[0-9a-f]+/)?(create|start)\b").match


class Overheard:
    """``seconds["start"]``: of each call that starts a container, from its request to the first byte of the answer."""

    def __init__(self, engine: str) -> None:
        self.seconds: dict[str, list[float]] = {"create": [], "start": []}
        self._engine = engine

    def serve(self, listening: socket.socket) -> None:
        while True:
            try:
                client, _ = listening.accept()
            except OSError:
                return  # it was closed: that is all
            engine = socket.socket(socket.AF_UNIX)
            engine.connect(self._engine)
            under_way: list[tuple[str, float]] = []
            threading.Thread(target=self._asks, args=(client, engine, under_way), daemon=True).start()
            threading.Thread(target=self._answers, args=(engine, client, under_way), daemon=True).start()

    def _asks(self, client: socket.socket, engine: socket.socket, under_way: list[tuple[str, float]]) -> None:
        def heard(data: bytes) -> None:
            call = _CALL(data)
            if call is not None:
                under_way.append((call[1].decode(), time.perf_counter()))

        _pass_on(client, engine, heard)

    def _answers(self, engine: socket.socket, client: socket.socket, under_way: list[tuple[str, float]]) -> None:
        def heard(data: bytes) -> None:
            if under_way:
                call, began = under_way.pop()
                self.seconds[call].append(time.perf_counter() - began)

        _pass_on(engine, client, heard)


@contextmanager
def overheard(url: str, home: Path) -> Iterator[tuple[str, Overheard]]:
    """The URL to talk to instead of ``url``, which is unix:, and what is overheard there."""
    calls = Overheard(url.removeprefix("unix://"))
    path = home / "engine.sock"
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(path))
        listening.listen(64)
        threading.Thread(target=calls.serve, args=(listening,), daemon=True).start()
        yield f"unix://{path}", calls
        listening.shutdown(socket.SHUT_RDWR)  # accept does not notice that it is closed


def _pass_on(source: socket.socket, target: socket.socket, heard: Callable[[bytes], None]) -> None:
    try:
        while data := source.recv(65536):
            heard(data)
            target.sendall(data)
        target.shutdown(socket.SHUT_WR)
    except OSError:
        pass  # either side may be killed
