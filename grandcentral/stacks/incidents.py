"""What we did not expect: the log gets the traceback, people get a number to quote."""

from __future__ import annotations

import sqlite3

from twisted.logger import Logger
from twisted.python.failure import Failure

from .. import events
from ..core.keys import Key
from ..errors import Mishap
from ..incidents import report

_log = Logger(namespace="grandcentral.stacks")


def as_mishap(failure: Failure) -> Mishap:
    """A Mishap as it is; anything else is a bug of ours, and becomes a Mishap that names the incident."""
    if isinstance(failure.value, Mishap):
        return failure.value
    incident = report(_log, failure)
    return Mishap(f"Something went wrong inside the gateway (incident {incident}; the log says more).")


def log_bug(failure: Failure) -> None:
    """The end of a chain of callbacks in which nothing should go wrong."""
    as_mishap(failure)


def log_mishap(failure: Failure, key: Key) -> None:
    """For what goes on without us: nobody waits for it, so the log is told."""
    _log.warn(events.ASIDE_FAILED, key=key, why=str(as_mishap(failure)))


def log_unwritten(failure: Failure, app: str) -> None:
    """The manifest does not take what was to be remembered: the log is told, and stacks go on. Anything else is a bug."""
    if failure.check(sqlite3.Error):
        _log.error(events.MANIFEST_FAILED, app=app, why=failure.getErrorMessage())
    else:
        log_bug(failure)
