"""Waiting for something as long as a caller likes, without ending it when he stops; and other times that callers name."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TypeVar

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.python.failure import Failure

from ..core.units import parse_duration, parse_end
from .answers import Refused

LONGEST = 600.0  # seconds that a call may ask to wait

Result = TypeVar("Result")


def asked_for(query: Mapping[str, str], fields: Mapping[str, str], default: float) -> float:
    """Seconds to wait, from ``?wait=30s`` (or ``?wait=30``) or ``Prefer: wait=30`` (RFC 7240, section 4.3); at most LONGEST.

    Raises Refused for a wait that cannot be read. A preference that cannot be read is none, says section 2.
    """
    if "wait" in query:
        written = query["wait"]
        try:
            seconds = float(written) if written.isascii() and written.isdigit() else parse_duration(written)
        except ValueError as reason:
            raise Refused(400, "invalid-wait", "Not a time to wait", f"wait: {reason}.") from None
        return min(seconds, LONGEST)
    for preference in fields.get("prefer", "").split(","):
        name, _, value = preference.partition(";")[0].partition("=")
        value = value.strip().strip('"')
        if name.strip().lower() == "wait" and value.isascii() and value.isdigit():
            return min(float(value), LONGEST)
    return default


def until(written: str, now: float) -> float:
    """As core.units.parse_end. Raises Refused."""
    try:
        return parse_end(written, now)
    except ValueError as reason:
        raise Refused(400, "invalid-until", "Not an end", f"until: {reason}.") from None


def within(
    seconds: float, work: Deferred[Result], clock: IReactorTime, late: Callable[[Failure], None]
) -> Deferred[tuple[Result] | None]:
    """Fires with the result in a tuple, or fails, as ``work`` does; with None if that takes longer.

    ``work`` goes on in any case, also when the caller cancels; if it then fails, nobody but ``late`` will know.
    """

    def arrived(result: Result | Failure) -> None:
        if timer.active():
            timer.cancel()
        if not answer.called:
            answer.callback(result if isinstance(result, Failure) else (result,))
        elif isinstance(result, Failure):
            late(result)

    answer: Deferred[tuple[Result] | None] = Deferred(lambda _: timer.cancel())
    timer = clock.callLater(seconds, answer.callback, None)
    work.addBoth(arrived)
    return answer
