"""A tick of the janitor with 100,000 known keys and 1,000 stacks that run; and what a key that sleeps costs in memory.

Everything is the gateway's own, the SQLite manifest too, except the engine and the versions, which say yes to everything. It
is a process of its own (``python -m bench.figures.janitor``), so that its memory is its own; neither keeps anything of a stack.
"""

from __future__ import annotations

import gc
import json
import os
import subprocess
import sys
import tempfile
import time
import tracemalloc
from collections.abc import Sequence
from pathlib import Path
from statistics import median
from typing import Any

from twisted.internet.defer import Deferred, DeferredList, succeed
from twisted.logger import globalLogBeginner
from twisted.python.failure import Failure
from zope.interface import implementer

from grandcentral.core.keys import Key
from grandcentral.core.model import (
    App,
    Endpoint,
    Found,
    IdlePolicy,
    Launch,
    Limits,
    Progress,
    ReadyPolicy,
    Service,
    StackSpec,
    Version,
)
from grandcentral.interfaces import IBackend, IProber, IVersions, Report
from grandcentral.machine.fake import FakeMachine
from grandcentral.manifests.sqlite import SqliteManifest
from grandcentral.stacks.janitor import Janitor
from grandcentral.stacks.table import StackTable

from ..measured import Measured, Table
from ..options import Options

KNOWN, RUNNING = 100_000, 1_000
SLEEPERS = 500  # stacks that are started and stopped again, to see what is left of each
BATCH = 50  # at once
TICKS = 21
IDLE = IdlePolicy(pause=None, stop=3600.0)


def run(options: Options) -> Measured:
    known, running, sleepers, ticks = (2_000, 100, 100, 5) if options.quick else (KNOWN, RUNNING, SLEEPERS, TICKS)
    root = Path(__file__).parents[2]
    command = [sys.executable, "-m", __name__, *map(str, (known, running, sleepers, ticks))]
    done = subprocess.run(command, cwd=root, stdout=subprocess.PIPE, text=True, timeout=600)
    if done.returncode:
        raise SystemExit(f"bench: the janitor's process ended with status {done.returncode}")
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    blocked, written, cpu = ([seconds * 1e3 for seconds in found[name]] for name in ("blocked", "written", "cpu"))
    times = [
        ("the event loop is blocked for, ms", blocked),
        ("last uses are on disk after, ms", written),
        ("CPU, all threads, ms", cpu),
    ]
    each = [
        ("known from the manifest when the gateway starts", found["known bytes"]),
        ("started and stopped again, its data kept", found["kept bytes"]),
        ("started and removed again", found["removed bytes"]),
    ]
    return Measured(
        values={"tick": median(blocked), "bytes": max(size for _, size in each)},
        tables=[
            Table(
                f"A tick: {known:,} known keys, {running:,} running, {ticks} times",
                ("", "median", "least", "most"),
                [(what, *(round(f(numbers), 2) for f in (median, min, max))) for what, numbers in times],
            ),
            Table("Memory for each sleeping key (tracemalloc)", ("", "bytes"), [(what, round(size)) for what, size in each]),
        ],
        notes=[
            "Nothing is due in these ticks: all of them find that the stacks may stay. The goal is judged by the time that the "
            "event loop is blocked, during which no request moves; SQLite works in a thread of its own.",
            f"While they were started, up to {running:,} at once, each start took {found['start'] * 1e3:.2f} ms of CPU.",
        ],
        samples=found,
    )


# -- the process ----------------------------------------------------------------------------------------------------------


@implementer(IProber)
class Prober:
    """All is ready at once."""

    def probe(self, endpoint: Endpoint, policy: ReadyPolicy, host: str, timeout: float) -> Deferred[None]:
        return succeed(None)


@implementer(IVersions)
class AnyVersion:
    """Every name exists. MemoryVersions would go through all it has for each."""

    def resolve(self, name: str) -> Deferred[Version]:
        return succeed(Version(name))

    def close(self) -> Deferred[None]:
        return succeed(None)


@implementer(IBackend)
class NoEngine:
    """Does what it is asked at once, and remembers nothing of it: what it knew would be counted as the gateway's."""

    name = "none"

    def __init__(self) -> None:
        self._port = 10_000

    def watch(self, vanished: object, returned: object) -> None:
        pass

    def launch(self, launch: Launch, report: Report) -> Deferred[Endpoint]:
        for phase in ("create", "health"):
            report(Progress(phase, "web"))
            report(Progress(phase, "web", done=True))
        self._port += 1
        return succeed(Endpoint("127.0.0.1", self._port))

    restart = launch

    def done(self, *arguments: object) -> Deferred[None]:
        return succeed(None)

    open = close = check = stop = halt = pause = done

    def survey(self) -> Deferred[tuple[Found, ...]]:
        return succeed(())


class Template:
    """One service."""

    def render(self, variables: object) -> StackSpec:
        return StackSpec((Service("web"),), "web", 80)


async def measure(reactor: Any, known: int, running: int, sleepers: int, ticks: int) -> None:
    """Prints JSON: seconds of each tick, bytes of each key."""
    with tempfile.TemporaryDirectory(prefix="bench-") as home:
        manifest = SqliteManifest(reactor, Path(home, "manifest.sqlite"))
        await manifest.open()
        names = [f"{n:040x}" for n in range(known)]
        await manifest.touch({Key("app", name): time.time() - 86_400 for name in names})
        limits = Limits(max_stacks=running + BATCH)
        table = StackTable(
            clock=reactor,
            wall=time.time,
            apps={"app": App("app", "none", template=Template(), idle=IDLE)},
            backends={"none": NoEngine()},
            versions={"app": AnyVersion()},
            prober=Prober(),
            manifest=manifest,
            machine=FakeMachine(),
            address=lambda key: (f"{key.name}.test", f"http://{key.name}.test/"),
            token=str,
            limits=limits,
        )
        janitor = Janitor(reactor, time.time, table)
        tracemalloc.start()
        empty = _allocated()
        await table.open()
        found: dict[str, object] = {"known bytes": (_allocated() - empty) / known}
        tracemalloc.stop()
        began = time.process_time()
        await _started(table, [Key("app", name) for name in names[:running]])
        found["start"] = (time.process_time() - began) / running
        tracemalloc.start()
        await _slept(table, janitor, names[running : running + BATCH])  # which fills the caches there are
        empty, some = _allocated(), names[running + BATCH : running + BATCH + sleepers]
        await _slept(table, janitor, some)
        found["kept bytes"] = (_allocated() - empty) / sleepers
        await DeferredList([table.remove(Key("app", name)) for name in some])
        await janitor.work()
        found["removed bytes"] = max(0, _allocated() - empty) / sleepers
        tracemalloc.stop()
        assert sum(stack.state == "ready" for stack in table.snapshot()) == running
        found |= await _ticks(janitor, ticks)
        await table.close()
        await manifest.close()
    print(json.dumps(found))


async def _slept(table: StackTable, janitor: Janitor, names: Sequence[str]) -> None:
    """They are started, and stopped again."""
    for first in range(0, len(names), BATCH):
        some = [Key("app", name) for name in names[first : first + BATCH]]
        await _started(table, some)
        await DeferredList([table.stop(key) for key in some])
        await janitor.work()
    assert {stack.state for stack in table.snapshot() if stack.key.name in names} == {"stopped"}


async def _ticks(janitor: Janitor, ticks: int) -> dict[str, object]:
    blocked, written, cpu = [], [], []
    for _ in range(ticks):
        began, used = time.perf_counter(), time.process_time()
        waiting = janitor.work()
        blocked.append(time.perf_counter() - began)
        await waiting
        written.append(time.perf_counter() - began)
        cpu.append(time.process_time() - used)
    return {"blocked": blocked, "written": written, "cpu": cpu}


async def _started(table: StackTable, keys: Sequence[Key]) -> None:
    for success, result in await DeferredList([table.ensure(key) for key in keys], consumeErrors=True):
        if not success:
            raise RuntimeError(f"a stack did not start: {result}")


def _allocated() -> int:
    gc.collect()
    return tracemalloc.get_traced_memory()[0]


def _give_up(failure: Failure) -> None:
    """At once: threads of a manifest that nobody closes would keep the process."""
    print(failure.getTraceback(), file=sys.stderr, flush=True)
    os._exit(1)


if __name__ == "__main__":
    from twisted.internet import task

    globalLogBeginner.beginLoggingTo([], discardBuffer=True, redirectStandardIO=False)  # until then all that is logged is kept
    numbers = [int(word) for word in sys.argv[1:]]
    task.react(lambda reactor: Deferred.fromCoroutine(measure(reactor, *numbers)).addErrback(_give_up))
