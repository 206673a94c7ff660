"""The limits and time-outs of the HTTP front door, in one value."""

from __future__ import annotations

from attrs import frozen

from ...core.forwarding import Network
from ...wire.http1_fields import LIMITS, HeadLimits


@frozen
class HttpSettings:
    """Times are seconds, enforced by a sweep once a second; sizes are bytes."""

    limits: HeadLimits = LIMITS  # of request heads; heads of answers and trailers have the same
    buffer: int = 64 * 1024  # read ahead of what can be passed on, per direction; then reading pauses
    max_held_body: int = 64 * 1024 * 1024  # of a request that has to wait for a start (413); 0: no limit, as for all others
    spool_above: int = 64 * 1024  # of such a body, what waits in memory; all of it goes to a file when there is more
    max_held_bodies: int = 1024 * 1024 * 1024  # in all those files together; then clients have to wait until they may send
    spool_directory: str | None = None  # where the files are made; None: where the system keeps temporary files
    head_timeout: float = 10.0  # from the first byte of a request head to its last, in total (408)
    idle_timeout: float = 75.0  # between requests on a connection that is kept
    body_timeout: float = 60.0  # without a byte of a request body that is due (408)
    connect_timeout: float = 5.0  # to the application (502)
    response_timeout: float = 60.0  # from the end of the request to the head of the answer (504)
    stream_timeout: float = 3600.0  # without a byte in a tunnel (WebSocket), or in the body of an answer
    stall_timeout: float = 300.0  # for a client to take what fills its buffer (64 KiB): slower is as good as gone
    linger: float = 3.0  # reading on after the last answer, so that the client sees it (RFC 9112 §9.6)
    waiting_page_after: float = 20.0  # a browser that waits for a start gets a page instead after so long
    pool_idle: float = 4.0  # an idle connection to an application is kept for so long
    pool_size: int = 128  # idle connections per application
    unproven: int = 8  # connections to an application that are opened at a time, until something has come from each
    trusted_proxies: tuple[Network, ...] = ()  # whose X-Forwarded-* and Forwarded are believed
    proxy_protocol: tuple[Network, ...] = ()  # who has to begin with a PROXY header, which is believed
    max_connections: int = 10_000  # of all clients (503)
    max_connections_per_client: int = 1024  # of one address that is no trusted proxy's (503)
    max_lease: float = 12 * 3600.0  # for how long an application may ask to be kept awake
    tracing: bool = False  # requests that bring no valid traceparent get one
    grace: float = 30.0  # how long requests in flight may take when the frontend stops
    scheme: str = "http"  # what clients see: "https" behind TLS

    def too_large(self, size: int) -> bool:
        """Whether a body of this size is too large to be held."""
        return 0 < self.max_held_body < size
