"""What the commands can be told."""

from __future__ import annotations

from attrs import frozen

PROXY_CORE, LOAD_CORE = 0, 1  # a proxy has a core to itself; the origin and the load share the other one


@frozen
class Options:
    """``workers`` of Grand Central; ``seconds`` of load for each proxy in each of ``rounds`` rounds."""

    workers: int
    rounds: int = 7
    seconds: float = 3.0
    quick: bool = False  # to see whether it works: the figures mean nothing

    def fewer(self, usual: int) -> int:
        """How many times to do something that is usually done ``usual`` times."""
        return max(2, usual // 10) if self.quick else usual
