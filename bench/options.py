"""What the commands can be told."""

from __future__ import annotations

import tempfile
from pathlib import Path

from attrs import frozen

from grandcentral import config
from grandcentral.core.problems import Invalid

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


def best_workers() -> int:
    """1 if this version has worker processes, else 0."""
    with tempfile.TemporaryDirectory() as home:
        path = Path(home, "workers.toml")
        path.write_text('[gateway]\nworkers = 1\n[apps.a]\nhost = "a.example.com"\nupstream = "127.0.0.1:1"\n')
        try:
            config.load(path, {})
        except Invalid:
            return 0
    return 1
