"""The goals, in one table. A figure measures values by name; what is reached is read off here."""

from __future__ import annotations

from typing import Literal

from attrs import frozen

Sense = Literal["<=", ">=", "=="]


@frozen
class Goal:
    """``value`` is the name under which the figure reports it."""

    figure: str
    value: str
    what: str
    sense: Sense
    limit: float
    unit: str

    def met(self, measured: float) -> bool:
        match self.sense:
            case "<=":
                return measured <= self.limit
            case ">=":
                return measured >= self.limit
            case "==":
                return measured == self.limit


GOALS = (
    Goal("warm", "haproxy", "CPU per request against HAProxy", "<=", 1.25, "x"),
    Goal("warm", "twisted", "CPU per request against Twisted's ReverseProxyResource", "<=", 0.12, "x"),
    Goal("warm", "chp", "CPU per request against configurable-http-proxy", "<=", 0.15, "x"),
    Goal("latency", "haproxy", "latency added at one connection, p50, against HAProxy", "<=", 1.5, "x"),
    Goal("bulk", "down haproxy", "CPU of 64 MiB down against HAProxy", "<=", 1.0, "x"),
    Goal("bulk", "up haproxy", "CPU of 64 MiB up against HAProxy", "<=", 1.0, "x"),
    Goal("bulk", "down memory", "memory for each stream down, slow reader", "<=", 1.0, "MiB"),
    Goal("bulk", "up memory", "memory for each stream up, slow reader", "<=", 1.0, "MiB"),
    Goal("workers", "scale", "requests/s of two workers against one, on cores of their own", ">=", 1.8, "x"),
    Goal("websockets", "memory", "memory for each idle WebSocket", "<=", 12.0, "KiB"),
    Goal("websockets", "echoed", "of 10,000 WebSockets, those that echo after a minute", ">=", 10_000, ""),
    Goal("cold", "p50", "cold start beyond the engine's own, p50", "<=", 15.0, "ms"),
    Goal("cold", "p95", "cold start beyond the engine's own, p95", "<=", 40.0, "ms"),
    Goal("wake", "p50", "first byte from a paused stack, p50", "<=", 25.0, "ms"),
    Goal("herd", "starts", "starts for 1,000 requests at once on one cold key", "==", 1, ""),
    Goal("herd", "spread", "last answer after the first", "<=", 150.0, "ms"),
    Goal("chaos", "beyond", "failed requests but for those on connections of killed workers", "==", 0, ""),
    Goal("chaos", "restarted", "processes of stacks that did not last through it all", "==", 0, ""),
    Goal("janitor", "tick", "a tick with 100,000 known keys, 1,000 running", "<=", 10.0, "ms"),
    Goal("janitor", "bytes", "memory for each sleeping key", "<=", 1024.0, "bytes"),
)
WITHOUT_GOALS = ("rails",)  # measured all the same
