"""Faults of our own: the log gets the traceback, people get a number to quote."""

from __future__ import annotations

from secrets import token_hex

from twisted.logger import Logger
from twisted.python.failure import Failure

from . import events


def report(log: Logger, failure: Failure, what: str = "") -> str:
    """Log what nobody expected, and return the incident's number. ``what`` says what was being done."""
    incident = token_hex(4)
    log.failure(events.BUG, failure, incident=incident, what=what or failure.getErrorMessage())
    return incident
