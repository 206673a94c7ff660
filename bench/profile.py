"""Where the gateway spends its time under ``warm``: self time by function, sampled by py-spy without slowing it down much."""

from __future__ import annotations

import subprocess
import tempfile
from collections import Counter
from contextlib import ExitStack
from pathlib import Path

from . import proxies, wrk
from .baselines import PY_SPY, need
from .figures.warm import CONNECTIONS
from .heads import KINDS
from .options import LOAD_CORE, Options
from .origins import nginx_origin

TOP = 25
RATE = 200  # samples a second
SECONDS = 15


def run(options: Options) -> str:
    """A table: share of samples, function. Samples in C code are counted for the Python function that called it."""
    need(PY_SPY)
    seconds = 4 if options.quick else SECONDS
    with ExitStack() as stack:
        home = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="bench-")))
        origin = nginx_origin(stack, home)
        proxy = proxies.start(stack, "grandcentral", home, origin, options.workers)
        busiest = proxy.running.pids[-1]
        report = home / "stacks.txt"
        what = ["--format", "raw", "--rate", RATE, "--duration", seconds, "--output", report, "--pid", busiest]
        wrk.run(home, proxy.port, KINDS["mixed"], 1, CONNECTIONS, LOAD_CORE)
        before = proxy.running.cpu()
        sampler = subprocess.Popen(
            [PY_SPY, "record", *map(str, what)], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
        )
        stack.callback(sampler.kill)
        load = wrk.run(home, proxy.port, KINDS["mixed"], seconds + 1, CONNECTIONS, LOAD_CORE)
        _, complaint = sampler.communicate(timeout=60)
        if sampler.returncode:
            raise SystemExit(f"bench: py-spy ended with status {sampler.returncode}: {complaint}")
        each = (proxy.running.cpu() - before) / load.requests
        lines = report.read_text().splitlines()
    return _table(lines, each, options.workers)


def _table(lines: list[str], each: float, workers: int) -> str:
    """``lines`` of py-spy's raw format: "outermost;…;innermost COUNT", a frame being "function (file:line)"."""
    own: Counter[str] = Counter()
    within: Counter[str] = Counter()
    for line in lines:
        frames, _, count = line.rpartition(" ")
        if "_bootstrap" in frames:  # a thread of the pool, which waits
            continue
        names = [_function(frame) for frame in frames.split(";")]
        own[names[-1]] += int(count)
        for name in set(names):
            within[name] += int(count)
    total = own.total()
    rows = [f"{total} samples, {each * 1e6:.1f} us of CPU for each request, workers = {workers}", "  self   total  function"]
    rows += [f"{count / total:6.1%} {within[name] / total:7.1%}  {name}" for name, count in own.most_common(TOP)]
    return "\n".join(rows)


def _function(frame: str) -> str:
    name, _, place = frame.partition(" (")
    return f"{name} ({place.rpartition(':')[0] or place})"
