"""One worker and two: how much more they can do.

Two workers need two cores, and the load needs more. Where there are only two, requests/s of two workers say what is left of
the machine, not what they could do. So the workers' own CPU is measured, each pinned to a core of its own: two that had
their cores to themselves would serve as many more as the CPU for each request and the share of the busier one allow:

    scale = 2 x (CPU per request with one / CPU per request with two) x (half of it all / what the busier one did)
"""

from __future__ import annotations

import os
import tempfile
from contextlib import ExitStack
from pathlib import Path
from statistics import median

from .. import proxies, wrk
from ..heads import MIXED
from ..measured import Measured, Table, spread
from ..options import Options
from ..origins import nginx_origin
from ..processes import cpu_of_thread

CONNECTIONS = 64
WITH = ("grandcentral", "haproxy", "nginx")


def run(options: Options) -> Measured:
    if not options.workers:
        return Measured({}, [], ["There are no workers in this version, or `--workers 0` was asked for."])
    cores = sorted(os.sched_getaffinity(0))
    samples: dict[str, dict[str, list[float]]] = {}
    with ExitStack() as stack:
        home = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="bench-")))
        origin = nginx_origin(stack, home, None)
        running = {
            f"{name} {count}": proxies.start(stack, name, home / str(count), origin, count, None)
            for name in WITH
            for count in (1, 2)
        }
        for name, proxy in running.items():
            _pin(proxy, cores)
            wrk.run(home, proxy.port, MIXED, 1, CONNECTIONS, None)
            samples[name] = {"cpu": [], "rate": [], "share": []}
        for name in proxies.interleaved(running, options.rounds):
            proxy = running[name]
            before = _by_thread(proxy)
            load = wrk.run(home, proxy.port, MIXED, options.seconds, CONNECTIONS, None)
            used = [after - before.get(thread, 0.0) for thread, after in _by_thread(proxy).items()]
            samples[name]["cpu"].append(sum(used) / load.requests)
            samples[name]["rate"].append(load.requests / load.seconds)
            samples[name]["share"].append(max(used) / sum(used))
    scales = {name: _scales(samples[f"{name} 1"], samples[f"{name} 2"]) for name in WITH}
    rows = []
    for name in WITH:
        one, two = samples[f"{name} 1"], samples[f"{name} 2"]
        rows.append((
            proxies.TITLES[name], round(median(one["cpu"]) * 1e6, 1), round(median(two["cpu"]) * 1e6, 1),
            f"{median(two['share']):.0%}", round(median(scales[name]), 2), spread(scales[name]),
            round(median(one["rate"])), round(median(two["rate"])),
        ))  # fmt: skip
    columns = ("proxy", "us/request, 1", "us/request, 2", "busier of 2", "scale", "rounds", "requests/s, 1", "requests/s, 2")
    return Measured(
        values={"scale": median(scales["grandcentral"])},
        tables=[Table("One worker and two", columns, rows)],
        notes=[
            f"{len(cores)} cores for the proxy, wrk and the origin together, so requests/s are of the whole machine; the scale "
            "is 2 x (CPU per request with 1 / with 2) x (50 % / what the busier one did), from CPU that was measured: what two "
            "can do on cores of their own."
        ],
        samples={"rounds": samples},
    )


def _scales(one: dict[str, list[float]], two: dict[str, list[float]]) -> list[float]:
    return [a / b / share for a, b, share in zip(one["cpu"], two["cpu"], two["share"], strict=True)]


def _threads(proxy: proxies.Proxy) -> list[tuple[int, int]]:
    """Process and thread."""
    return [(pid, int(task.name)) for pid in proxy.running.pids for task in Path(f"/proc/{pid}/task").iterdir()]


def _by_thread(proxy: proxies.Proxy) -> dict[tuple[int, int], float]:
    return {(pid, thread): cpu_of_thread(pid, thread) for pid, thread in _threads(proxy)}


def _pin(proxy: proxies.Proxy, cores: list[int]) -> None:
    """Each worker on a core, in turn; HAProxy's are threads of one process."""
    parent, *workers = proxy.running.pids
    order = workers or [thread for _, thread in _threads(proxy)]
    for pid, thread in _threads(proxy):
        if pid != parent or not workers:
            os.sched_setaffinity(thread, {cores[order.index(pid if workers else thread) % len(cores)]})
