"""The connections to an engine, which another thread can cut: an engine may take a call, and never say a word about it."""

from __future__ import annotations

import socket
from collections.abc import Callable
from functools import partial, wraps
from threading import Lock
from typing import Any
from weakref import WeakSet

from attrs import define, field

Opening = Callable[..., Any]  # HTTPAdapter.get_connection: a urllib3 connection pool


@define(eq=False)
class Lines:
    """Those of any number of clients."""

    _sockets: WeakSet[socket.socket] = field(factory=WeakSet, init=False)
    _lock: Lock = field(factory=Lock, init=False)
    _cut: bool = field(default=False, init=False)

    def cut(self) -> None:
        """End them all, from any thread: whoever waits for an answer gets an error, and so does who begins to call."""
        with self._lock:
            self._cut = True
            sockets = tuple(self._sockets)
        for one in sockets:
            try:
                one.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass  # it has ended already

    def enter(self, connection: socket.socket) -> None:
        """It is about to be used. Raises ConnectionAbortedError if all are cut."""
        with self._lock:
            if self._cut:
                raise ConnectionAbortedError("The gateway is closing its connections to the engine.")
            self._sockets.add(connection)

    def watch(self, adapter: Any) -> None:
        """Enter all that a requests adapter connects. Which of two methods opens them depends on its version."""
        for opening in ("get_connection", "get_connection_with_tls_context"):
            if (opened := getattr(adapter, opening, None)) is not None:
                setattr(adapter, opening, self._watched(opened))

    def _watched(self, opening: Opening) -> Opening:
        @wraps(opening)
        def opened(*arguments: Any, **named: Any) -> Any:
            pool = opening(*arguments, **named)
            if not hasattr(pool, "lines"):
                pool.lines = self
                pool._validate_conn = partial(self._begin, pool._validate_conn)  # called before each request
            return pool

        return opened

    def _begin(self, validate: Callable[[Any], None], connection: Any) -> None:
        validate(connection)
        if connection.sock is None:
            connection.connect()
        self.enter(connection.sock)
