"""Under load, every process of the gateway is killed or replaced in turn: what of it do clients see?

wrk always has a request in flight on each of its connections, so a worker that is killed costs exactly one failed request for
each connection that it had accepted. These are counted before it dies, while it is stopped; whatever fails beyond them is the
gateway's fault.
"""

from __future__ import annotations

import os
import signal
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path

from attrs import define, field

from .. import gateway, wrk
from ..gateway import Gateway
from ..measured import Measured, Row, Table
from ..nginx_app import nginx_app
from ..options import Options
from ..processes import connections_of, started_at

SECONDS = 30.0
CONNECTIONS = 64
STACKS = 3
AWAY = 1.0  # seconds for which there is no gateway
WITHIN = 20.0  # seconds that anything may take to be as it was


@define
class Chaos:
    """``killed`` are connections of workers that were killed; ``events`` is what was done."""

    running: Gateway
    workers: int
    again: Callable[[], None]
    began: float = field(factory=time.monotonic)
    killed: int = 0
    rounds: int = 0  # whole ones, while there was load
    events: list[Row] = field(factory=list)

    def kill_workers(self) -> None:
        """One after the other: the next when the one before is replaced."""
        for slot, pid in self.running.workers().items():
            with self._noted(f"worker {slot} killed") as costs:
                os.kill(pid, signal.SIGSTOP)  # so that it takes no more while they are counted
                costs.append(connections_of(pid, self.running.port))
                os.kill(pid, signal.SIGKILL)
                self._await(partial(self._replaced, {pid}))

    def kill_gateway(self) -> None:
        before = self.running.workers()
        with self._noted("gateway killed and started again"):
            self.running.running.process.kill()
            self.running.running.process.wait()
            time.sleep(AWAY)
            self.again()
            self._await(lambda: self.running.workers() == before)

    def reload(self) -> None:
        """With one more app, so that workers are replaced."""
        before = set(self.running.workers().values())
        file = self.running.home / "gateway.toml"
        with self._noted("configuration read again"):
            name = f"more{len(self.events)}"
            file.write_text(f'{file.read_text()}[apps.{name}]\nhost = "{name}.example.com"\nupstream = "127.0.0.1:9"\n')
            self.running.running.process.send_signal(signal.SIGHUP)
            self._await(lambda: self._replaced(before))

    def _replaced(self, gone: set[int]) -> bool:
        serving = self.running.workers()
        return len(serving) == self.workers and not gone & set(serving.values())

    @contextmanager
    def _noted(self, what: str) -> Iterator[list[int]]:
        began = time.monotonic()
        costs: list[int] = []
        yield costs
        self.killed += sum(costs)
        ended = time.monotonic()
        self.events.append((what, round(began - self.began, 1), round(ended - began, 2), sum(costs)))

    @staticmethod
    def _await(condition: Callable[[], bool]) -> None:
        until = time.monotonic() + WITHIN
        while not condition():
            if time.monotonic() > until:
                raise SystemExit(f"bench: it was not as before after {WITHIN:.0f} s")
            time.sleep(0.05)


def run(options: Options) -> Measured:
    seconds, workers = 20.0 if options.quick else SECONDS, max(2, options.workers)
    with ExitStack() as stack:
        home = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="bench-")))
        app = nginx_app(home, STACKS)
        running = gateway.start(stack, home, app.configuration, workers)
        try:
            for host in app.hosts:
                gateway.first_byte(("127.0.0.1", running.port), host)
            before = {pid: started_at(pid) for pid in app.starts()}
            requests = [f"GET / HTTP/1.1\r\nHost: {host}\r\n\r\n".encode() for host in app.hosts]
            chaos = Chaos(running, workers, lambda: gateway.start_again(stack, running))
            with ThreadPoolExecutor(1) as pool:
                loading = pool.submit(wrk.whatever_happens, home, running.port, requests, seconds, CONNECTIONS, None)
                time.sleep(1.0)
                while time.monotonic() - chaos.began < seconds - 3:
                    for step in (chaos.kill_workers, chaos.kill_gateway, chaos.reload):
                        step()
                        time.sleep(0.5)
                    chaos.rounds += not loading.done()
                load = loading.result()
            after = {pid: started_at(pid) for pid in app.starts() if Path(f"/proc/{pid}").exists()}
        finally:
            if running.running.process.poll() is not None:  # its workers would wait for the next one
                gateway.start_again(stack, running)
            for version in app.versions:
                running.remove_stack("app", version)
    restarted = len(set(before.items()) ^ set(after.items()))
    beyond = max(0, load.failed - chaos.killed)
    errors = ", ".join(f"{kind} {count}" for kind, count in load.errors.items() if count) or "none"
    return Measured(
        values={"beyond": beyond, "restarted": restarted} if chaos.rounds else {},  # too slow a machine to say anything
        tables=[
            Table(
                f"{load.requests:,} requests in {load.seconds:.0f} s over {CONNECTIONS} connections to {STACKS} stacks",
                ("event", "at, s", "until all is as before, s", "connections of the killed"),
                chaos.events,
            )
        ],
        notes=[
            f"{load.failed} requests failed ({errors}); workers that were killed had {chaos.killed} connections. "
            f"Processes of stacks that are not those of before: {restarted}."
        ],
        samples={"errors": load.errors},
    )
