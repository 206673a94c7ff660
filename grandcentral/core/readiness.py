"""How patiently what was started is asked whether it is ready: at once and often at first, then ever more slowly.

All go by the seconds it has been waited for so far: a start of 300 ms should not be found out after a second, and one of two
minutes should not be asked ten thousand times. So it is found out late by a twentieth of what it took itself, at most; by a
seventh where it takes a process to ask.
"""

from __future__ import annotations

SHARE, SHARE_OF_CHECKS = 0.05, 0.15  # of the seconds so far
SOONEST, LATEST = 0.002, 0.25  # a small application listens milliseconds after its start, and to be refused costs nobody much
SOONEST_CHECK = 0.02  # each is a process of its own, beside one that is just starting
FIRST_TIMEOUT, LAST_TIMEOUT = 0.2, 5.0


def next_probe(waited: float) -> float:
    """Seconds until it is asked again."""
    return min(max(waited * SHARE, SOONEST), LATEST)


def next_check(waited: float) -> float:
    """Seconds until a health check is run again."""
    return min(max(waited * SHARE_OF_CHECKS, SOONEST_CHECK), LATEST)


def timeout(waited: float) -> float:
    """Seconds that one answer may take.

    Two kinds of port do not answer: one whose packets are dropped (an address just handed out, a container about to listen),
    which is best asked again soon; and one whose application takes seconds over its first page, which would never be heard
    out at 200 ms.
    """
    return min(max(waited, FIRST_TIMEOUT), LAST_TIMEOUT)
