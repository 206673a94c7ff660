"""Latency that a proxy adds at one connection: its p50 and p99 less those of the origin asked directly, round by round."""

from __future__ import annotations

import gc
import os
import tempfile
from contextlib import ExitStack
from pathlib import Path
from statistics import median

from .. import clients, proxies
from ..heads import MIXED
from ..measured import Measured, Row, Table, median_ratio, percentile, ratios, spread
from ..options import LOAD_CORE, Options
from ..origins import nginx_origin

DIRECT = "direct"


def run(options: Options) -> Measured:
    p50: dict[str, list[float]] = {}
    p99: dict[str, list[float]] = {}
    with ExitStack() as stack:
        home = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="bench-")))
        origin = nginx_origin(stack, home)
        ports = {name: one.port for name, one in proxies.start_all(stack, home, origin, options.workers).items()}
        ports[DIRECT] = origin
        stack.callback(os.sched_setaffinity, 0, os.sched_getaffinity(0))
        os.sched_setaffinity(0, {LOAD_CORE})
        gc.disable()
        stack.callback(gc.enable)
        for port in ports.values():
            clients.round_trips(port, MIXED, 0.5)
        for name in proxies.interleaved(ports, options.rounds):
            took = clients.round_trips(ports[name], MIXED, options.seconds)
            p50.setdefault(name, []).append(percentile(took, 50))
            p99.setdefault(name, []).append(percentile(took, 99))
    added = {name: [a - b for a, b in zip(numbers, p50[DIRECT], strict=True)] for name, numbers in p50.items()}
    added99 = {name: [a - b for a, b in zip(numbers, p99[DIRECT], strict=True)] for name, numbers in p99.items()}
    rows: list[Row] = [("direct", round(median(p50[DIRECT]) * 1e6, 1), None, None, None, None, None)]
    for name in proxies.COMMANDS:
        by = ratios(added["grandcentral"], added[name])
        rows.append((
            proxies.TITLES[name], round(median(p50[name]) * 1e6, 1), round(median(added[name]) * 1e6, 1),
            spread(added[name], 1e6), round(median(added99[name]) * 1e6, 1), round(median(by), 2), spread(by),
        ))  # fmt: skip
    columns = ("proxy", "p50, us", "added p50, us", "rounds", "added p99, us", "Grand Central / it", "rounds")
    return Measured(
        values={"haproxy": median_ratio(added["grandcentral"], added["haproxy"])},
        tables=[Table("Latency at one connection", columns, rows)],
        samples={"p50": p50, "p99": p99},
    )
