"""Cold starts: time to the first byte from the gateway, beside the same container made by hand on the same engine."""

from __future__ import annotations

import tempfile
from contextlib import ExitStack
from pathlib import Path

from .. import docker, gateway
from ..measured import Measured, Row, Table, percentile
from ..options import Options

STARTS = 60


def run(options: Options) -> Measured:
    count = options.fewer(STARTS)
    cold: list[float] = []
    bare: list[docker.Bare] = []
    with ExitStack() as stack:
        home = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="bench-")))
        site = stack.enter_context(docker.site(count + 1))
        running = gateway.start(stack, home, site.configuration(), options.workers)
        for n, version in enumerate(site.versions):  # in turn: what disturbs the engine disturbs both
            if n % 2:
                bare.append(site.bare(version))
            try:
                cold.append(gateway.first_byte(("127.0.0.1", running.port), f"{version}.bench.example.com"))
            finally:
                running.remove_stack("app", version)
            if not n % 2:
                bare.append(site.bare(version))
    del cold[0], bare[0]  # the engine loads what it needs
    totals = [one.total for one in bare]
    without_network = [one.total - one.network for one in bare]
    columns = ("", "p50, ms", "p95, ms", "least", "most")
    rows: list[Row] = [("first byte through the gateway", *_row(cold)), ("by hand: all", *_row(totals))]
    for part in ("network", "create", "start", "listen", "answer"):
        rows.append((f"by hand: {part}", *_row([getattr(one, part) for one in bare])))
    beyond = {percent: percentile(cold, percent) - percentile(totals, percent) for percent in (50, 95)}
    strict = {percent: percentile(cold, percent) - percentile(without_network, percent) for percent in (50, 95)}
    rows.append(("gateway beyond all by hand", *(round(value * 1e3, 1) for value in beyond.values()), None, None))
    rows.append(("gateway beyond all but the network", *(round(value * 1e3, 1) for value in strict.values()), None, None))
    return Measured(
        values={f"p{percent}": value * 1e3 for percent, value in strict.items()},
        tables=[Table(f"{count} cold starts of as many versions", columns, rows)],
        notes=[
            "By hand: the engine's own calls for the same image on a network of its own, as the gateway gives every stack, "
            "then until it listens and answers. Through the gateway: also the registry's answer whether the version exists. "
            "Images are in the engine already. What is beyond is the difference of the percentiles. The goal counts against "
            "the gateway the network that it makes."
        ],
        samples={"cold": cold, "bare": [[one.network, one.create, one.start, one.listen, one.answer] for one in bare]},
    )


def _row(seconds: list[float]) -> tuple[float, float, float, float]:
    numbers = (percentile(seconds, 50), percentile(seconds, 95), min(seconds), max(seconds))
    first, second, third, fourth = (round(number * 1e3, 1) for number in numbers)
    return first, second, third, fourth
