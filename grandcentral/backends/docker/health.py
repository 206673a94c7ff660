"""Health checks at start-up pace: how often to ask, and when to give up. Pure.

The engine asks every ``interval`` (30 s unless said otherwise), so that with it a database that is ready after one second
is healthy after thirty. We ask every 20 to 250 ms instead. What the template says about patience stays true: it is given up
when it would have been by the engine's pace, after ``retries`` intervals of failing past its ``start_period``, and not
after ``retries`` failures of our faster one.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from attrs import evolve, frozen

from ...core.model import HealthCheck, Service
from ...core.readiness import next_check


@frozen
class Verdict:
    """What follows from a check that failed: ask again ``after`` so many seconds, or give up."""

    after: float
    failures: int  # in a row, past the start period
    give_up: bool


def failed(check: HealthCheck, failures: int, running_for: float) -> Verdict:
    """
    :param failures: how many in a row had failed before it, not counting those in the start period.
    :param running_for: seconds since the service started.
    """
    after = next_check(running_for)
    if running_for < check.start_period:
        return Verdict(check.start_interval or after, 0, False)
    patience = check.start_period + check.retries * check.interval
    return Verdict(after, failures + 1, failures + 1 >= check.retries and running_for >= patience)


def depends_on_image(service: Service) -> bool:
    """Whether ``check_of`` has to see the image."""
    mine = service.healthcheck
    return mine is None or not (mine.disabled or mine.test)


def check_of(service: Service, image: Mapping[str, Any]) -> HealthCheck | None:
    """The check of a service: its template's, or its image's (``ImageInspect``), or a mixture; None if there is none."""
    mine = service.healthcheck
    if not depends_on_image(service):
        return None if mine is None or mine.disabled else mine
    theirs = parsed((image.get("Config") or {}).get("Healthcheck") or {})
    return theirs if mine is None or theirs is None else evolve(mine, test=theirs.test)


def parsed(said: Mapping[str, Any]) -> HealthCheck | None:
    """``Healthcheck`` of an image's configuration: times in nanoseconds, 0 for the default (Engine API, HealthConfig)."""
    match said.get("Test"):
        case ["CMD", *words]:
            test = tuple(words)
        case ["CMD-SHELL", line]:
            test = ("/bin/sh", "-c", line)
        case _:
            return None
    return HealthCheck(
        test,
        timeout=said.get("Timeout", 0) / 1e9 or 30.0,
        interval=said.get("Interval", 0) / 1e9 or 30.0,
        retries=said.get("Retries", 0) or 3,
        start_period=said.get("StartPeriod", 0) / 1e9,
    )
