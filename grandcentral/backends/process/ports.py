"""Ports for services to listen on."""

from __future__ import annotations

import socket
from collections.abc import Container
from itertools import chain

# Below what Linux hands out to outgoing connections (ip_local_port_range, from 32768), so that none of those is in the way.
FIRST, LAST = 20000, 31999


class NoPort(Exception):
    """Every port of ours is in use."""


class Ports:
    """Hands out free ports in turn; one that was given back rests as long as possible before it is another's.

    :param start: where to begin, so that two gateways on one machine do not try the same ones.
    """

    def __init__(self, start: int) -> None:
        self._next = FIRST + start % (LAST - FIRST + 1)

    def choose(self, taken: Container[object], before: int | None = None) -> int:
        """A port that is not ``taken`` and on which nobody listens, on any address of this machine. Raises NoPort.

        :param before: one that the caller had, and has again if nobody listens there.
        """
        if before is not None and _free(before):
            return before
        for port in chain(range(self._next, LAST + 1), range(FIRST, self._next)):
            if port not in taken and _free(port):
                self._next = port + 1 if port < LAST else FIRST
                return port
        raise NoPort(f"all ports from {FIRST} to {LAST} are in use")


def _free(port: int) -> bool:
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        try:
            probe.bind(("0.0.0.0", port))
        except OSError:
            return False
        return True
