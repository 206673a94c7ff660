"""The limits of front doors other than HTTP's, in one value."""

from __future__ import annotations

from attrs import frozen

from ...core.forwarding import Network


@frozen
class TcpSettings:
    """Times are seconds, enforced by a sweep once a second; sizes are bytes."""

    identify_timeout: float = 10.0  # for a client to say who it is, in total
    start_timeout: float = 120.0  # for attempts to connect to a stack that was ready and does not answer
    connect_timeout: float = 5.0  # for one of them
    buffer: int = 64 * 1024  # of a client that has to wait; then it is not read any more
    linger: float = 3.0  # reading on after the last answer, so that the client sees it
    flush_timeout: float = 60.0  # for whoever is left to take what was written before the end
    cancel_timeout: float = 10.0  # for a server to take a cancel request
    proxy_protocol: tuple[Network, ...] = ()  # who has to begin with a PROXY header, which is believed
    max_connections: int = 10_000  # of all clients, those of other front doors included
    max_connections_per_client: int = 1024  # of one address
    grace: float = 30.0  # how long sessions may go on when the front door stops
