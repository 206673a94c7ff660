"""How many connections there are from where, and when it is one too many."""

from __future__ import annotations

from typing import Protocol

from ...errors import TooManyConnections


class Seats(Protocol):
    """What a front door's settings say of connections."""

    @property
    def max_connections(self) -> int: ...
    @property
    def max_connections_per_client(self) -> int: ...


class Crowd:
    """Connections by the client's address. ``guests`` are those of other front doors than HTTP's."""

    def __init__(self) -> None:
        self.guests = 0
        self._there: dict[str, int] = {}

    def seat(self, peer: str, exempt: bool, total: int, settings: Seats) -> TooManyConnections | None:
        """Count one more in, or say which limit it exceeds. Who is seated has to leave.

        :param exempt: the address stands for many clients, or for none: only the total counts.
        :param total: connections there are, this one included.
        """
        if total > settings.max_connections:
            return TooManyConnections("the gateway", settings.max_connections, retry_after=1.0)
        there = self._there.get(peer, 0) + 1
        if there > settings.max_connections_per_client and not exempt:
            return TooManyConnections(f"the address {peer}", settings.max_connections_per_client, retry_after=1.0)
        self._there[peer] = there
        return None

    def leave(self, peer: str) -> None:
        """One that was seated has gone."""
        left = self._there[peer] - 1
        if left:
            self._there[peer] = left
        else:
            del self._there[peer]
