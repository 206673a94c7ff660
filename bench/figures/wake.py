"""Sleeping stacks: time to the first byte of the request that wakes one, from paused and from stopped."""

from __future__ import annotations

import tempfile
import time
from contextlib import ExitStack
from pathlib import Path

from .. import docker, gateway
from ..measured import Measured, Row, Table, percentile
from ..options import Options

STACKS, WAKES = 10, 30


def run(options: Options) -> Measured:
    count = options.fewer(WAKES)
    woken: list[float] = []
    warm: list[float] = []
    stopped: list[float] = []
    engine: list[float] = []
    started: list[float] = []
    with ExitStack() as stack:
        home = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="bench-")))
        site = stack.enter_context(docker.site(min(STACKS, count)))
        running = gateway.start(stack, home, site.configuration('idle = {pause = "1s", stop = "1h"}\n'), options.workers)
        address = ("127.0.0.1", running.port)
        hosts = {version: f"{version}.bench.example.com" for version in site.versions}
        try:
            for host in hosts.values():
                gateway.first_byte(address, host)
            while len(woken) < count:
                _until_paused(running, len(hosts))
                for host in hosts.values():
                    woken.append(gateway.first_byte(address, host))
                    warm.append(gateway.first_byte(address, host))
            for _ in range(-(-count // len(hosts))):
                for version, host in hosts.items():
                    running.stop_stack("app", version)
                    stopped.append(gateway.first_byte(address, host))
            engine = _unpaused_by_hand(site, count)
            started = [site.started(site.versions[0]) for _ in range(count)]
        finally:
            for version in hosts:
                running.remove_stack("app", version)
    columns = ("", "p50, ms", "p95, ms", "most, ms")
    rows: list[Row] = [
        (what, *(round(value * 1e3, 1) for value in (percentile(took, 50), percentile(took, 95), max(took))))
        for what, took in (
            ("first byte, warm", warm),
            ("first byte, paused", woken),
            ("the engine's own unpause", engine),
            ("first byte, stopped", stopped),
            ("by hand: start, until it answers", started),
        )
    ]
    return Measured(
        values={"p50": percentile(woken, 50) * 1e3},
        tables=[Table(f"{len(woken)} wakes of {len(hosts)} stacks", columns, rows)],
        samples={"woken": woken, "warm": warm, "unpause": engine, "stopped": stopped, "started": started},
    )


def _until_paused(running: gateway.Gateway, count: int) -> None:
    until = time.monotonic() + 60
    while list(running.states().values()).count("paused") < count:
        if time.monotonic() > until:
            raise SystemExit(f"bench: not paused after a minute: {running.states()}")
        time.sleep(0.2)


def _unpaused_by_hand(site: docker.Site, count: int) -> list[float]:
    """Seconds of as many unpauses by the engine itself."""
    client = site.engine.client()
    container = client.create_container(site.image(site.versions[0]))["Id"]
    took = []
    try:
        client.start(container)
        for _ in range(count):
            client.pause(container)
            began = time.perf_counter()
            client.unpause(container)
            took.append(time.perf_counter() - began)
    finally:
        client.remove_container(container, force=True, v=True)
        client.close()
    return took
