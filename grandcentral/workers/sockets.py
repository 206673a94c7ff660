"""Listening sockets that are shared with workers: made here, kept here, served there.

Every worker has a socket of its own on each TCP address (SO_REUSEPORT, socket(7)), and the kernel spreads connections over
them. The gateway keeps a copy of each: what a worker that died has not accepted waits in its queue for the next one. Other
endpoints (UNIX sockets, systemd's) are one socket that all workers accept from.
"""

from __future__ import annotations

import errno
import os
import socket
from collections.abc import Sequence

from twisted.internet.endpoints import AdoptedStreamServerEndpoint, serverFromString

from ..config import endpoints

BACKLOG = 1024  # connections; the kernel's own limit (net.core.somaxconn) applies


class Sockets:
    """The sockets of ``slots`` workers. Everything here raises OSError."""

    def __init__(self, listen: Sequence[str], slots: int) -> None:
        self._listen = {text: endpoints.parse(text) for text in listen}
        self._sockets: dict[tuple[str, int], socket.socket] = {}
        self._slots = slots

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
        if listen is None or slot >= self._slots or _place(listen, slot) in self._sockets:
            os.close(descriptor)
        else:
            self._sockets[_place(listen, slot)] = socket.socket(fileno=descriptor)

    def descriptors(self, slot: int) -> list[int]:
        """Those for one worker, in the order of the configuration; what is missing is made."""
        return [self._socket(listen, slot).fileno() for listen in self._listen.values()]

    def own(self, slot: int) -> list[tuple[str, int]]:
        """Those that no other worker accepts from: the endpoint and the descriptor of each."""
        return [
            (text, one.fileno())
            for (text, whose), one in self._sockets.items()
            if whose == slot and self._listen[text].kind == "tcp"
        ]

    def close(self) -> None:
        for one in self._sockets.values():
            one.close()
        self._sockets.clear()
        for listen in self._listen.values():
            if listen.kind == "unix" and os.path.exists(listen.fields["address"]):
                os.unlink(listen.fields["address"])

    def _socket(self, listen: endpoints.Listen, slot: int) -> socket.socket:
        place = _place(listen, slot)
        if place not in self._sockets:
            match listen.kind:
                case "tcp":
                    others = [one for (text, _), one in self._sockets.items() if text == listen.text]
                    made = _bound(listen, others[0].getsockname()[1] if others else listen.port or 0)  # port 0: one for all
                    made.listen(_backlog(listen))
                case "unix":
                    made = _unix(listen)
                case _:
                    made = _inherited(listen)
            self._sockets[place] = made
        return self._sockets[place]


def _place(listen: endpoints.Listen, slot: int) -> tuple[str, int]:
    return listen.text, slot if listen.kind == "tcp" else 0


def _backlog(listen: endpoints.Listen) -> int:
    return int(listen.fields.get("backlog", BACKLOG))


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


def _unix(listen: endpoints.Listen) -> socket.socket:
    """As Twisted's own UNIX endpoints have it: for everybody, unless ``mode`` says otherwise."""
    path, made = listen.fields["address"], socket.socket(socket.AF_UNIX)
    try:
        if os.path.exists(path):
            with socket.socket(socket.AF_UNIX) as probe:
                if probe.connect_ex(path) != errno.ECONNREFUSED:
                    raise OSError(errno.EADDRINUSE, os.strerror(errno.EADDRINUSE))
            os.unlink(path)  # of a gateway that was killed
        made.bind(path)
        os.chmod(path, int(listen.fields.get("mode", "666"), 8))
        made.listen(_backlog(listen))
    except OSError:
        made.close()
        raise
    return made


def _inherited(listen: endpoints.Listen) -> socket.socket:
    """The one that systemd has opened for us (sd_listen_fds(3))."""
    try:
        endpoint = serverFromString(None, listen.text)  # Twisted has taken the list from the environment already
    except (KeyError, IndexError):
        raise OSError(errno.EBADF, "systemd has given us no such socket") from None
    assert isinstance(endpoint, AdoptedStreamServerEndpoint)
    return socket.socket(fileno=os.dup(endpoint.fileno))
