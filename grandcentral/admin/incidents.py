"""What nobody expected: the traceback goes to the log, a number to quote goes to the caller."""

from __future__ import annotations

from secrets import token_hex

from twisted.logger import Logger
from twisted.python.failure import Failure

from .. import events

_log = Logger(namespace="grandcentral.admin")


def report(failure: Failure, what: str) -> str:
    """Log it, and return the incident's id. ``what`` says what was being done."""
    incident = token_hex(4)
    _log.failure(events.BUG, failure, incident=incident, what=f"{what}: {failure.getErrorMessage()}")
    return incident
