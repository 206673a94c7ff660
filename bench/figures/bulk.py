"""64 MiB down and up: CPU of the proxy for each, and how far its memory grows while readers are slow."""

from __future__ import annotations

import os
import tempfile
import threading
from collections.abc import Callable
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from statistics import median

from .. import clients, proxies
from ..measured import Measured, Table, median_ratio, ratios, spread
from ..options import LOAD_CORE, Options
from ..origins import FILE_SIZE, MIB, nginx_origin, python_origin

TIMES = 4  # transfers in each round
STREAMS = 8  # at once, with a slow reader each


def run(options: Options) -> Measured:
    with ExitStack() as stack:
        home = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="bench-")))
        stack.callback(os.sched_setaffinity, 0, os.sched_getaffinity(0))
        os.sched_setaffinity(0, {LOAD_CORE})
        down = _direction("down", nginx_origin(stack, home / "origin"), clients.download, options, home)
        sink, _ = python_origin(stack, "sink", home / "sink")
        up = _direction("up", sink, partial(clients.upload, size=FILE_SIZE), options, home)
    return Measured(
        values={**down.values, **up.values},
        tables=[*down.tables, *up.tables],
        notes=[
            "CPU: one transfer at a time, as fast as it goes. Memory: the most that was resident during "
            f"{STREAMS} transfers at once whose reader (the client down, the origin up) takes 1 MiB every 20 ms, less what "
            "was resident before, for each."
        ],
        samples={**down.samples, **up.samples},
    )


def _direction(name: str, origin: int, transfer: Callable[..., float], options: Options, home: Path) -> Measured:
    cpu: dict[str, list[float]] = {}
    took: dict[str, list[float]] = {}
    memory: dict[str, float] = {}
    with ExitStack() as stack:
        running = proxies.start_all(stack, home / name, origin, options.workers)
        for proxy in running.values():
            transfer(proxy.port)
        for one in proxies.interleaved(running, options.rounds):
            proxy = running[one]
            before = proxy.running.cpu()
            took.setdefault(one, []).append(median(transfer(proxy.port) for _ in range(TIMES)))
            cpu.setdefault(one, []).append((proxy.running.cpu() - before) / TIMES)
        for one, proxy in running.items():
            proxy.running.forget_peak()
            resident = proxy.running.memory()
            clients.at_once(
                threading.Thread(target=partial(transfer, proxy.port, slow=True), daemon=True) for _ in range(STREAMS)
            )
            memory[one] = max(0, proxy.running.peak() - resident) / STREAMS / MIB
    mine = cpu["grandcentral"]
    columns = ("proxy", "CPU, ms", "rounds", "MiB/s", "Grand Central / it", "rounds", "memory a stream, MiB")
    rows = [
        (
            proxies.TITLES[one],
            round(median(cpu[one]) * 1e3, 1),
            spread(cpu[one], 1e3),
            round(64 / median(took[one])),
            round(median_ratio(mine, cpu[one]), 2),
            spread(ratios(mine, cpu[one])),
            round(memory[one], 2),
        )
        for one in running
    ]
    return Measured(
        values={f"{name} haproxy": median_ratio(mine, cpu["haproxy"]), f"{name} memory": memory["grandcentral"]},
        tables=[Table(f"64 MiB {name}", columns, rows)],
        samples={name: {"cpu": cpu, "seconds": took, "memory": memory}},
    )
