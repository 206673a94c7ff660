"""Cold starts: time to the first byte from the gateway, beside the same container made by hand on the same engine."""

from __future__ import annotations

import tempfile
from contextlib import ExitStack
from pathlib import Path
from statistics import median

from .. import docker, gateway
from ..measured import Measured, Row, Table, percentile
from ..options import Options
from ..overhearing import overheard

STARTS = 60


def run(options: Options) -> Measured:
    count = options.fewer(STARTS)
    cold: list[float] = []
    bare: list[docker.Bare] = []
    with ExitStack() as stack:
        home = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="bench-")))
        site = stack.enter_context(docker.site(count + 1))
        engine, calls = stack.enter_context(overheard(site.engine.url, home))
        running = gateway.start(stack, home, site.configuration(engine=engine), options.workers)
        starts: dict[bool, list[float]] = {True: [], False: []}  # whether by hand: as overheard
        for n, version in enumerate(site.versions):
            for by_hand in (n % 2 == 0, n % 2 == 1):  # in turn: what disturbs the engine disturbs both
                if by_hand:
                    bare.append(site.bare(version, engine))
                else:
                    try:
                        cold.append(gateway.first_byte(("127.0.0.1", running.port), f"{version}.bench.example.com"))
                    finally:
                        running.remove_stack("app", version)
                starts[by_hand].append(calls.seconds["start"].pop())
    for samples in (cold, bare, *starts.values()):
        del samples[0]  # the engine loads what it needs
    calling = median(one.start - start for one, start in zip(bare, starts[True], strict=True))
    besides = calling + median(one.create for one in bare) + median(one.listen + one.answer for one in bare)
    beyond = [first - start - besides for first, start in zip(cold, starts[False], strict=True)]
    rows: list[Row] = [
        ("first byte through the gateway", *_row(cold)),
        ("of that, the engine's start", *_row(starts[False])),
        ("beyond the engine's and the application's own", *_row(beyond)),
        ("by hand: all", *_row([one.total for one in bare])),
    ]
    for part in ("network", "create", "start", "listen", "answer"):
        rows.append((f"by hand: {part}", *_row([getattr(one, part) for one in bare])))
    return Measured(
        values={f"p{percent}": percentile(beyond, percent) * 1e3 for percent in (50, 95)},
        tables=[Table(f"{count} cold starts of as many versions", ("", "p50, ms", "p95, ms", "least", "most"), rows)],
        notes=[
            "By hand: the engine's own calls for the same image on a network of its own, as the gateway gives every stack, "
            "then until it listens and answers. Through the gateway: also the registry's answer whether the version exists. "
            "Images are in the engine already.",
            "What the engine's start takes varies by more than all else together, so it is overheard in each start, on a "
            "socket in front of the engine's, which all calls go through; by hand, a call of it takes "
            f"{calling * 1e3:.1f} ms longer than what is overheard of it. Beyond is what is left of the first byte less the "
            "start, as if called by hand, and less the medians of what create, listening and answering take by hand. The "
            "network that the gateway makes counts against it.",
        ],
        samples={
            "cold": cold,
            "starts": starts[False],
            "bare": [[one.network, one.create, one.start, one.listen, one.answer] for one in bare],
        },
    )


def _row(seconds: list[float]) -> tuple[float, float, float, float]:
    numbers = (percentile(seconds, 50), percentile(seconds, 95), min(seconds), max(seconds))
    first, second, third, fourth = (round(number * 1e3, 1) for number in numbers)
    return first, second, third, fourth
