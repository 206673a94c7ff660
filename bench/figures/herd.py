"""1,000 requests at once on one cold key: how often it is started, and how far apart the answers are.

The stack is nginx as a child process, which answers a thousand connections without being the figure itself.
"""

from __future__ import annotations

import asyncio
import tempfile
from contextlib import ExitStack
from pathlib import Path
from statistics import median

from .. import gateway
from ..measured import Measured, Table, spread
from ..nginx_app import nginx_app
from ..options import Options

REQUESTS = 1_000
TIMES = 7


def run(options: Options) -> Measured:
    cold: list[float] = []
    warm: list[float] = []
    counts: list[int] = []
    with ExitStack() as stack:
        home = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="bench-")))
        app = nginx_app(home)
        running = gateway.start(stack, home, app.configuration, options.workers)
        address, [version], [host] = ("127.0.0.1", running.port), app.versions, app.hosts
        try:
            for _ in range(options.fewer(TIMES)):
                app.forget_starts()
                answers = asyncio.run(gateway.all_at_once(address, host, REQUESTS))
                _all_well(answers)
                counts.append(len(app.starts()))
                cold.append(_apart(answers))
                again = asyncio.run(gateway.all_at_once(address, host, REQUESTS))
                _all_well(again)
                warm.append(_apart(again))
                running.remove_stack("app", version)
        finally:
            running.remove_stack("app", version)
    columns = ("", "last answer after the first, ms", "rounds")
    rows = [
        ("one cold key", round(median(cold) * 1e3, 1), spread(cold, 1e3)),
        ("the same key, warm", round(median(warm) * 1e3, 1), spread(warm, 1e3)),
    ]
    return Measured(
        values={"starts": max(counts), "spread": median(cold) * 1e3},
        tables=[Table(f"{REQUESTS:,} requests at once on as many connections, {len(cold)} times", columns, rows)],
        notes=[f"Starts in each round: {', '.join(map(str, counts))}. The client is one Python process on the same cores."],
        samples={"cold": cold, "warm": warm, "starts": counts},
    )


def _all_well(answers: list[gateway.Answered]) -> None:
    failed = [answer.status for answer in answers if answer.status != 200]
    if failed:
        raise SystemExit(f"bench: {len(failed)} of {len(answers)} were not answered with 200 but {sorted(set(failed))}")


def _apart(answers: list[gateway.Answered]) -> float:
    moments = [answer.at for answer in answers]
    return max(moments) - min(moments)
