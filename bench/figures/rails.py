"""A real stack (examples/rails-mysql: MariaDB, a loader, Rails), woken from each depth, beside the same containers by hand."""

from __future__ import annotations

import http.client
import os
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from attrs import define, field

from tests.testbed import packages as testbed
from tests.testbed.client import Engine, Keeper, Registry
from tests.testbed.errors import Unavailable

from .. import gateway
from ..measured import Measured, Row, Table, percentile
from ..options import Options

TIMES = 10
EXAMPLE = Path(__file__).parents[2] / "examples" / "rails-mysql"
VERSION = "db139cf"
DATABASE = {"MARIADB_DATABASE": "quepid", "MARIADB_USER": "quepid", "MARIADB_PASSWORD": "quepid"}
HEALTHY = ["mariadb", "--host=127.0.0.1", "--user=quepid", "--password=quepid", "--execute=SELECT 1", "quepid"]


def run(options: Options) -> Measured:
    count = options.fewer(TIMES)
    took: dict[str, list[float]] = {depth: [] for depth in ("made anew", "stopped", "paused", "warm")}
    hand: dict[str, list[float]] = {depth: [] for depth in ("made anew", "stopped", "paused")}
    with ExitStack() as stack:
        home = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="bench-")))
        engine, registry = stack.enter_context(built())
        by_hand = ByHand(engine.client(), registry)
        running = gateway.start(stack, home, configuration(home, engine, registry), options.workers)
        address, host = ("127.0.0.1", running.port), f"{VERSION}.review.localhost"

        def wake(depth: str) -> None:
            took[depth].append(gateway.first_byte(address, host))

        try:
            for _ in range(count + 1):  # in turn: what disturbs the engine disturbs both
                running.remove_stack("quepid", VERSION)
                wake("made anew")
                wake("warm")
                running.stop_stack("quepid", VERSION)
                wake("stopped")
                until(lambda: running.states()[VERSION] == "paused")
                wake("paused")
                for depth, seconds in by_hand.round().items():
                    hand[depth].append(seconds)
        finally:
            running.remove_stack("quepid", VERSION)
    for samples in (*took.values(), *hand.values()):
        del samples[0]  # the engine loads what it needs
    rows: list[Row] = []
    for depth, samples in took.items():
        rows.append((f"first byte, {depth}", *_row(samples)))
        if depth in hand:
            rows.append((f"by hand, {depth}", *_row(hand[depth])))
    return Measured(
        values={},
        tables=[Table(f"{count} wakes from each depth", ("", "p50, ms", "p95, ms", "least", "most"), rows)],
        notes=[
            "By hand: network, database until healthy, loader until it has ended, Rails until it answers; from stopped: "
            "database until healthy, Rails until it answers; from paused: the unpauses. Checks every 20 ms."
        ],
        samples={"gateway": took, "by hand": hand},
    )


def _row(seconds: list[float]) -> tuple[float, float, float, float]:
    numbers = (percentile(seconds, 50), percentile(seconds, 95), min(seconds), max(seconds))
    first, second, third, fourth = (round(number * 1e3, 1) for number in numbers)
    return first, second, third, fourth


@contextmanager
def built() -> Iterator[tuple[Engine, Registry]]:
    """An engine and a registry that have the example's images. Blocks for a minute or two."""
    try:
        testbed.install()
        keeper = Keeper.start()
    except Unavailable as problem:
        raise SystemExit(f"bench: {problem}") from problem
    try:
        engine = Engine(str(keeper.facts["engine"]), bool(keeper.facts["ours"]), keeper)
        registry = Registry(str(keeper.facts["registry"]), engine, keeper)
        environment = {**os.environ, "DOCKER_HOST": engine.url, "REGISTRY": registry.url, "VERSIONS": f"{VERSION} 7e04b2a"}
        subprocess.run([EXAMPLE / "build"], env=environment, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, check=True)
        yield engine, registry
        if not engine.ours:
            registry.forget_tags()
        engine.close()
    finally:
        keeper.close()


def configuration(home: Path, engine: Engine, registry: Registry) -> str:
    """The example's own, but for where things are and how soon it is paused."""
    template = home / "compose.yaml"
    template.write_text((EXAMPLE / "compose.yaml").read_text().replace("127.0.0.1:5000", registry.url))
    everything = (EXAMPLE / "gateway.toml").read_text().replace("127.0.0.1:5000", registry.url)
    apps = everything[everything.index("[limits]") :].replace('"compose.yaml"', f'"{template}"').replace('"5m"', '"1s"')
    return f'[docker]\nhost = "{engine.url}"\ninstance = "bench-rails"\n{apps}'


def until(condition: Callable[[], bool], within: float = 120.0) -> None:
    limit = time.monotonic() + within
    while not condition():
        if time.monotonic() > limit:
            raise SystemExit("bench: it takes too long")
        time.sleep(0.02)


@define
class ByHand:
    """The same stack by plain calls of the engine."""

    client: Any
    registry: Registry
    _containers: list[str] = field(factory=list)

    def round(self) -> dict[str, float]:
        """Seconds from each depth until it answers; nothing is left of it."""
        network = ""
        try:
            began = time.perf_counter()
            network = self.client.create_network("bench-rails-by-hand", driver="bridge")["Id"]
            db = self._started("quepid-database:10.11", network, "db", {})
            self._until_healthy(db)
            loader = self._started(f"quepid-loader:{VERSION}", network, "loader", {"DATABASE_HOST": "db"})
            self.client.wait(loader)
            url = {"DATABASE_URL": "mysql2://quepid:quepid@db/quepid", "REVIEW_HOST": "by-hand.localhost"}
            web = self._started(f"quepid:{VERSION}", network, "web", url)
            self._until_answered(web)
            made = time.perf_counter()
            self.client.stop(web)
            self.client.stop(db)
            stopped = time.perf_counter()
            self.client.start(db)
            self._until_healthy(db)
            self.client.start(web)
            self._until_answered(web)
            again = time.perf_counter()
            for container in (db, web):
                self.client.pause(container)
            paused = time.perf_counter()
            for container in (db, web):
                self.client.unpause(container)
            self._until_answered(web)
            woken = time.perf_counter()
            return {"made anew": made - began, "stopped": again - stopped, "paused": woken - paused}
        finally:
            for container in self._containers:
                self.client.remove_container(container, force=True, v=True)
            self._containers.clear()
            if network:
                self.client.remove_network(network)

    def _started(self, image: str, network: str, alias: str, environment: dict[str, str]) -> str:
        container = self.client.create_container(
            self.registry.reference(image),
            environment={**DATABASE, **environment},
            host_config=self.client.create_host_config(network_mode=network),
            networking_config={"EndpointsConfig": {network: self.client.create_endpoint_config(aliases=[alias])}},
        )["Id"]
        self._containers.append(container)
        self.client.start(container)
        return str(container)

    def _until_healthy(self, container: str) -> None:
        def healthy() -> bool:
            command = self.client.exec_create(container, HEALTHY)["Id"]
            self.client.exec_start(command)
            return bool(self.client.exec_inspect(command)["ExitCode"] == 0)

        until(healthy)

    def _until_answered(self, container: str) -> None:
        networks = self.client.inspect_container(container)["NetworkSettings"]["Networks"]
        address = next(iter(networks.values()))["IPAddress"]

        def answers() -> bool:
            asking = http.client.HTTPConnection(address, 3000, timeout=30)
            try:
                asking.request("GET", "/", headers={"Host": "by-hand.localhost"})
                return asking.getresponse().status == 200
            except OSError:
                return False
            finally:
                asking.close()

        until(answers)
