"""For how long the manifest keeps what nobody needs any more, so that years of branches do not add up."""

from __future__ import annotations

from attrs import frozen

DAY = 86400.0


@frozen
class Retention:
    """Seconds, and counts. What is forgotten is looked for when the manifest is opened, and after that once ``every`` so often.

    A stack that is pinned or was used within ``unused`` keeps its last use, its starts and its version. The clock may be wrong
    for a while, so nothing goes as soon as it might.
    """

    unused: float = 366 * DAY
    ended: float = 7 * DAY  # pins are forgotten so long after their end
    versions: int = 10_000  # of each app, those remembered last; the others go
    starts: int = 20  # of each stack
    every: float = DAY


USUAL = Retention()
