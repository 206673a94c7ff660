"""Listening sockets that are shared with workers: made here, kept here, served there.

Every worker has a socket of its own on each TCP address (SO_REUSEPORT, socket(7)), and the kernel spreads connections over
them. The gateway keeps a copy of each: what a worker that died has not accepted waits in its queue for the next one. Other
endpoints (UNIX sockets, systemd's) are one socket that all workers accept from.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from twisted.internet.endpoints import serverFromString
from twisted.internet.protocol import Factory

from ..config import endpoints

BACKLOG = 1024  # connections; the kernel's own limit (net.core.somaxconn) applies


class Sockets:
    """The sockets of ``slots`` workers. Everything here raises OSError."""

    def __init__(self, reactor: Any, listen: Sequence[str], slots: int) -> None:
        self._reactor = reactor
        self._listen = {text: endpoints.parse(text) for text in listen}
        self._sockets: dict[tuple[str, int], socket.socket] = {}
        self._slots = slots
        self._ports: list[Any] = []  # of Twisted, which accept nobody: they remove their UNIX socket in the end

    def open(self) -> None:
        """All of them, and at once, so that it is known whether they can be had. Nobody else may listen there."""
        for listen in self._listen.values():
            if listen.kind == "tcp":
                with _bound(listen, listen.port or 0, alone=True):
                    pass
            for slot in range(self._slots):
                self._socket(listen, slot)

    def recover(self, text: str, slot: int, descriptor: int) -> None:
        """Keep the socket that a worker of an earlier gateway has sent us, unless we have one."""
        listen = self._listen.get(text)
        place = (text, slot if listen is not None and listen.kind == "tcp" else 0)
        if listen is None or slot >= self._slots or place in self._sockets:
            os.close(descriptor)
        else:
            self._sockets[place] = socket.socket(fileno=descriptor)

    def descriptors(self, slot: int) -> list[int]:
        """Those for one worker, in the order of the configuration; what is missing is made."""
        return [self._socket(listen, slot).fileno() for listen in self._listen.values()]

    def close(self) -> None:
        for one in self._sockets.values():
            one.close()
        self._sockets.clear()
        for port in self._ports:
            port.stopListening()
        for listen in self._listen.values():
            if listen.kind == "unix":
                Path(listen.path).unlink(missing_ok=True)

    def _socket(self, listen: endpoints.Listen, slot: int) -> socket.socket:
        place = (listen.text, slot if listen.kind == "tcp" else 0)
        if place not in self._sockets:
            self._sockets[place] = self._tcp(listen) if listen.kind == "tcp" else self._by_twisted(listen)
        return self._sockets[place]

    def _tcp(self, listen: endpoints.Listen) -> socket.socket:
        others = [one for (text, _), one in self._sockets.items() if text == listen.text]
        made = _bound(listen, others[0].getsockname()[1] if others else listen.port or 0)  # port 0: one for all
        made.listen(listen.backlog or BACKLOG)
        return made

    def _by_twisted(self, listen: endpoints.Listen) -> socket.socket:
        made: list[Any] = []
        failed: list[Any] = []
        serverFromString(self._reactor, listen.text).listen(Factory()).addCallbacks(made.append, failed.append)
        if failed:
            error = failed[0].value
            raise getattr(error, "socketError", error)
        made[0].stopReading()
        self._ports.append(made[0])
        return socket.socket(fileno=os.dup(made[0].fileno()))


def _bound(listen: endpoints.Listen, port: int, alone: bool = False) -> socket.socket:
    """``alone`` fails if anybody listens there, a gateway that would share the port included."""
    made = socket.socket(socket.AF_INET6 if ":" in listen.interface else socket.AF_INET)
    try:
        made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if not alone:
            made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        made.bind((listen.interface, port))
    except OSError:
        made.close()
        raise
    return made
