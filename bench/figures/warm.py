"""Warm requests: CPU of the proxy for each, and requests a second. 32 connections; proxy on one core, all else on the other."""

from __future__ import annotations

import tempfile
from contextlib import ExitStack
from pathlib import Path
from statistics import median

from .. import proxies, wrk
from ..heads import KINDS
from ..measured import Measured, Table, median_ratio, ratios, spread
from ..options import LOAD_CORE, Options
from ..origins import nginx_origin

CONNECTIONS = 32


def run(options: Options) -> Measured:
    cpu: dict[str, dict[str, list[float]]] = {kind: {name: [] for name in proxies.COMMANDS} for kind in KINDS}
    rate: dict[str, dict[str, list[float]]] = {kind: {name: [] for name in proxies.COMMANDS} for kind in KINDS}
    with ExitStack() as stack:
        home = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="bench-")))
        origin = nginx_origin(stack, home)
        running = proxies.start_all(stack, home, origin, options.workers)
        for proxy in running.values():
            wrk.run(home, proxy.port, KINDS["mixed"], 1, CONNECTIONS, LOAD_CORE)
        for name in proxies.interleaved(running, options.rounds):
            proxy = running[name]
            for kind, requests in KINDS.items():
                before = proxy.running.cpu()
                load = wrk.run(home, proxy.port, requests, options.seconds, CONNECTIONS, LOAD_CORE)
                cpu[kind][name].append((proxy.running.cpu() - before) / load.requests)
                rate[kind][name].append(load.requests / load.seconds)
        memory = {name: proxy.running.memory() for name, proxy in running.items()}
    mine = cpu["mixed"]["grandcentral"]
    return Measured(
        values={name: median_ratio(mine, cpu["mixed"][name]) for name in running if name != "grandcentral"},
        tables=[
            Table(
                f"CPU for each request, {kind} heads",
                ("proxy", "us/request", "rounds", "requests/s", "Grand Central / it", "rounds", "RSS afterwards, MiB"),
                [
                    (
                        proxies.TITLES[name],
                        round(median(numbers) * 1e6, 1),
                        spread(numbers, 1e6),
                        round(median(rate[kind][name])),
                        round(median_ratio(cpu[kind]["grandcentral"], numbers), 3),
                        spread(ratios(cpu[kind]["grandcentral"], numbers)),
                        round(memory[name] / 2**20, 1),
                    )
                    for name, numbers in cpu[kind].items()
                ],
            )
            for kind in KINDS
        ],
        notes=[
            "Mixed: a page and what it is made of, 8 different heads in turn. Same: one head again and again. "
            "The goals are judged by the mixed ones."
        ],
        samples={"cpu": cpu, "rate": rate},
    )
