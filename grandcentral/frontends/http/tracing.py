"""New traces, for requests that bring none."""

from __future__ import annotations

from random import Random

_bytes = Random().randbytes  # ids that are unlikely to meet, not secrets: a third of the time of the system's source


def traceparent() -> bytes:
    """A traceparent of version 00 (W3C Trace Context §3.2) whose trace is to be recorded."""
    return b"00-%b-01" % _bytes(24).hex("-", -16).encode("ascii")
