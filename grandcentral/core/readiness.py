"""How patiently a launched stack is asked whether it is ready: quickly at first, then ever more slowly."""

from __future__ import annotations

from attrs import frozen

GROWTH = 1.5
FIRST_DELAY, LAST_DELAY = 0.002, 0.5
FIRST_TIMEOUT, LAST_TIMEOUT = 0.2, 5.0
SOONEST_CHECK = 0.02
_LEVEL = 32  # GROWTH ** 32 is past both limits, and far from what a float cannot hold


@frozen
class Pace:
    """One attempt: how long it may take, and how long to wait after it failed before the next. Seconds."""

    delay: float
    timeout: float


def pace(attempt: int) -> Pace:
    """The pace of one probe; the first is attempt 0.

    The delays grow because a start of 300 ms should not be found out after a second, and one of two minutes should not be
    asked ten thousand times. The first is short because a small application listens a few milliseconds after its container has
    started, and to be refused costs neither side anything to speak of. The time-outs grow because two kinds of port do not
    answer: one whose packets are dropped (an address just handed out, a container about to listen), which is best asked again
    soon; and one whose application takes seconds over its first page, which would never be heard out at 200 ms.
    """
    factor = GROWTH ** min(attempt, _LEVEL)
    return Pace(delay=min(FIRST_DELAY * factor, LAST_DELAY), timeout=min(FIRST_TIMEOUT * factor, LAST_TIMEOUT))


def check_delay(attempt: int) -> float:
    """Seconds before a health check is run again: each is a process of its own, beside one that is just starting."""
    return max(SOONEST_CHECK, pace(attempt).delay)
