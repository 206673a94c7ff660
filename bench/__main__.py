"""``python -m bench setup | FIGURE… | all | profile | readme``."""

from __future__ import annotations

import argparse
import signal
import sys
import time
from collections.abc import Callable
from importlib import import_module
from types import FrameType

from . import baselines, machine, profile, report
from .goals import GOALS, WITHOUT_GOALS
from .measured import Measured
from .options import Options
from .processes import allow_many_files
from .proxies import best_workers

FIGURES = (*dict.fromkeys(goal.figure for goal in GOALS), *WITHOUT_GOALS)


def main(arguments: list[str]) -> int:
    """Exit status: 0 if every goal of what was measured is met, else 1."""
    parser = argparse.ArgumentParser("python -m bench", description=__doc__)
    parser.add_argument(
        "what", nargs="+", choices=("setup", "all", "profile", "readme", *FIGURES), metavar="WHAT", help=", ".join(FIGURES)
    )
    parser.add_argument("--workers", type=int, help="of Grand Central (default: 1, or 0 where there are none)")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--seconds", type=float, default=3.0, help="of load for each proxy in each round")
    parser.add_argument("--quick", action="store_true", help="only to see whether it works: few repetitions, nothing written")
    given = parser.parse_args(arguments)
    signal.signal(signal.SIGTERM, _terminated)
    rounds, seconds = (2, 1.0) if given.quick else (given.rounds, given.seconds)
    allow_many_files()
    if "setup" in given.what:
        baselines.install()
    options = Options(best_workers() if given.workers is None else given.workers, rounds, seconds, given.quick)
    figures = [what for what in (FIGURES if "all" in given.what else given.what) if what in FIGURES]
    modules = {figure: import_module(f".figures.{figure}", __package__) for figure in figures}
    met = [measure(figure, modules[figure].run, options) for figure in figures]
    if "readme" in given.what:
        report.write_readme()
    if "profile" in given.what:
        print(profile.run(options))
    return 0 if all(met) else 1


def measure(figure: str, run: Callable[[Options], Measured], options: Options) -> bool:
    """Whether its goals are met."""
    load, began = machine.load(), time.monotonic()
    measured = run(options)
    result = report.publish(figure, measured, options, load, time.monotonic() - began)
    return all(one["met"] for one in result["verdicts"])


def _terminated(number: int, frame: FrameType | None) -> None:
    """As by Ctrl-C: whatever was started is ended on the way out."""
    raise SystemExit(128 + number)


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:]))
    except KeyboardInterrupt:
        sys.exit(130)
