"""A Docker engine that answers what a gateway asks when it begins, and to one question nothing at all."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from attrs import define, field

SAYS = {
    "version": {"Version": "27.0.0", "ApiVersion": "1.46", "MinAPIVersion": "1.24"},
    "info": {"DockerRootDir": "/nowhere"},
    "volumes": {"Volumes": []},
}


@define
class SilentEngine:
    """Listens at ``path``, or on a TCP port of its own if that is None.

    ``silent`` is part of what it says nothing to ("networks/create"); no image ever comes. All else is answered. ``asked``: the
    targets of all requests it was sent.
    """

    silent: str
    path: Path | None = None
    asked: list[str] = field(factory=list)
    _listener: socket.socket = field(init=False)
    _kept: list[socket.socket] = field(factory=list, init=False)

    @property
    def url(self) -> str:
        return f"unix://{self.path}" if self.path else f"tcp://127.0.0.1:{self._listener.getsockname()[1]}"

    def listen(self) -> None:
        if self.path is None:
            self._listener = socket.create_server(("127.0.0.1", 0))
        else:
            self._listener = socket.socket(socket.AF_UNIX)
            self._listener.bind(str(self.path))
            self._listener.listen(64)
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        for one in (self._listener, *self._kept):
            one.close()

    def waits(self) -> bool:
        """Whether somebody has been waiting for an answer to what it says nothing to."""
        return any(self.silent in target for target in self.asked)

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            self._kept.append(connection)
            threading.Thread(target=self._converse, args=(connection,), daemon=True).start()

    def _converse(self, connection: socket.socket) -> None:
        try:
            while received := connection.recv(65536):
                head = received.split(b"\r\n")[0].split()
                if len(head) != 3:  # the body of a request that has been answered, or will not be
                    continue
                target = head[1].decode().partition("?")[0]
                self.asked.append(target)
                if self.silent in target or target.endswith("/images/create"):
                    continue
                connection.sendall(self._answer(target))
        except OSError:  # whoever asked has gone
            pass

    @staticmethod
    def _answer(target: str) -> bytes:
        if target.endswith("/events"):
            return b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n"
        status, said = "200 OK", json.dumps(SAYS.get(target.rpartition("/")[2], []))
        if target.endswith("/containers/create"):
            status, said = "404 Not Found", '{"message": "No such image: app"}'
        if target.endswith("/networks/create"):
            status, said = "201 Created", '{"Id": "cafe"}'
        head = f"HTTP/1.1 {status}\r\nContent-Type: application/json\r\nContent-Length: {len(said)}\r\n\r\n"
        return (head + said).encode()


@contextmanager
def silent_engine(silent: str, path: Path | None = None) -> Iterator[SilentEngine]:
    engine = SilentEngine(silent, path)
    engine.listen()
    try:
        yield engine
    finally:
        engine.close()
