"""Is the gateway alive, and is it ready for traffic?"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from attrs import frozen
from twisted.internet.defer import Deferred, gatherResults, maybeDeferred
from twisted.internet.interfaces import IReactorTime
from twisted.python.failure import Failure

Checks = Mapping[str, Callable[[], Deferred[None]]]

PATIENCE = 2.0  # seconds that one check may take


@frozen
class Finding:
    ok: bool
    detail: str


async def examine(checks: Checks, clock: IReactorTime) -> dict[str, Finding]:
    """What each check finds, all at the same time. One that fails, or takes too long, is found wanting; none is skipped."""
    findings = await gatherResults([_examine(check, clock) for check in checks.values()])
    return dict(zip(checks, findings, strict=True))


def _examine(check: Callable[[], Deferred[None]], clock: IReactorTime) -> Deferred[Finding]:
    def too_long(result: object, seconds: float) -> None:
        raise TimeoutError(f"no answer within {seconds:g} s")

    def found_wanting(failure: Failure) -> Finding:
        return Finding(False, failure.getErrorMessage() or type(failure.value).__name__)

    running = maybeDeferred(check).addTimeout(PATIENCE, clock, onTimeoutCancel=too_long)
    return running.addCallbacks(lambda _: Finding(True, "ok"), found_wanting)
