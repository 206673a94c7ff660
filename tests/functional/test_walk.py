"""A random walk over everything that can happen to stacks on a real engine.

In CI it is short and always the same. ``WALK_SECONDS=600 pytest tests/functional/test_walk.py`` walks for so many seconds,
elsewhere each time.
"""

from __future__ import annotations

import asyncio
import os
import socket
import threading
import time
from pathlib import Path

from attrs import define, field
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule, run_state_machine_as_test

from tests.gateway import eventually
from tests.testbed.client import Engine, Registry

from .site import Serve, Site, push_notes

SECONDS = float(os.environ.get("WALK_SECONDS", "0"))
NAMES = [f"{n:07x}" for n in range(0xE000001, 0xE000005)]
SLOTS = 2
COMPOSE = "services:\n  web:\n    image: ${{IMAGE}}\n"
APP = 'idle = { pause = "1s", stop = "3s", remove = "never" }\nbefore_stop = { web = "true" }\n'
MIB = 2**20
MIN_FREE = 64 * MIB
LIMITS = (
    f'[limits]\nmax_stacks = {SLOTS}\nmin_uptime = "0s"\nqueue_timeout = "5s"\n'
    f'memory_min_free = {MIN_FREE}\nmemory_cgroup = "{{cgroup}}"\n'
)
names = st.sampled_from(NAMES)


@define
class Census:
    """Counts, all the time, how many stacks run: those of which some container does."""

    site: Site
    most: int = 0
    _over: threading.Event = field(factory=threading.Event)

    def begin(self) -> None:
        threading.Thread(target=self._count, daemon=True).start()

    def end(self) -> None:
        self._over.set()

    def _count(self) -> None:
        client = self.site.containers.engine.client()
        filters = {**self.site.containers.filters, "status": ["running", "paused"]}
        while not self._over.wait(0.05):
            try:
                there = client.containers(filters=filters)
            except Exception:  # the engine is stopped at times
                continue
            self.most = max(self.most, len({container["Labels"]["grandcentral.name"] for container in there}))


@define
class Stream:
    """A download that never ends."""

    name: str
    socket: socket.socket

    @classmethod
    def open(cls, site: Site, name: str) -> Stream | None:
        """None if there was no room for its stack."""
        connection = socket.create_connection(("127.0.0.1", site.running.port), timeout=90)
        connection.sendall(f"GET /cgi-bin/talks HTTP/1.1\r\nHost: {site.host(name)}\r\n\r\n".encode())
        if connection.recv(12).endswith(b" 200"):
            return cls(name, connection)
        connection.close()
        return None

    def talks(self) -> bool:
        """Whether it goes on: something comes within the seconds in which it should have come ten times."""
        self.socket.settimeout(5)
        try:
            while len(self.socket.recv(65536)) == 65536:
                pass
            return bool(self.socket.recv(65536))
        except OSError:
            return False


@define
class Memory:
    """The control group of all containers: how much they may take."""

    group: Path

    @property
    def limit(self) -> Path:
        return next(path for path in (self.group / "memory.limit_in_bytes", self.group / "memory.max") if path.exists())

    def squeeze(self) -> None:
        """Leave less than is to be free, and yet enough that nobody is killed."""
        usage = next(path for path in (self.group / "memory.usage_in_bytes", self.group / "memory.current") if path.exists())
        self.limit.write_text(str(int(usage.read_text()) + MIN_FREE // 2))

    def release(self) -> None:
        self.limit.write_text(str(1024 * MIB))


class Walk(RuleBasedStateMachine):
    """Two slots, four versions. ``site`` is set by the test."""

    site: Site
    memory: Memory
    until: float = 0.0
    walks: int = 0

    def __init__(self) -> None:
        super().__init__()
        self.written: dict[str, str] = {}
        self.streams: list[Stream] = []
        self.pinned: set[str] = set()
        self.squeezed = False
        self.census = Census(self.site)
        self.census.begin()

    def late(self) -> bool:
        """Whether to end this walk soon."""
        return bool(SECONDS) and self.over()

    @classmethod
    def over(cls) -> bool:
        return not SECONDS or time.monotonic() > cls.until

    def fetch(self, name: str, method: str = "GET", body: bytes = b"") -> str | None:
        """What the application has; None if there was no room for it, which is the only excuse."""
        answer = asyncio.run(self.site.running.request(self.site.host(name), "/cgi-bin/notes", method, body))
        if answer.status == 503 and answer.problem == "at-capacity":
            assert self.squeezed or len({*self.pinned, *(stream.name for stream in self.streams)} - {name}) >= SLOTS
            return None
        assert answer.status == 200, (answer, self.site.running.log[-3000:])
        return answer.body.decode()

    @rule(name=names)
    def look(self, name: str) -> None:
        if not self.late():
            found = self.fetch(name)
            assert found in (None, self.written.get(name, "")), self.site.running.log[-3000:]

    @rule(name=names)
    def write(self, name: str) -> None:
        if not self.late():
            text = f"{len(self.written.get(name, ''))} "
            if self.fetch(name, "POST", text.encode()) is not None:
                self.written[name] = self.written.get(name, "") + text

    @precondition(lambda self: len(self.streams) < SLOTS)
    @rule(name=names)
    def open_a_stream(self, name: str) -> None:
        stream = None if self.late() else Stream.open(self.site, name)
        if stream is not None:
            self.streams.append(stream)

    @precondition(lambda self: self.streams)
    @rule()
    def close_a_stream(self) -> None:
        self.streams.pop().socket.close()

    @rule(seconds=st.sampled_from([0.2, 1.5, 5.0]))
    def be_idle(self, seconds: float) -> None:
        if not self.late():
            time.sleep(seconds)  # so that stacks are paused and stopped

    @rule(name=names, pinned=st.booleans())
    def pin(self, name: str, pinned: bool) -> None:
        if pinned and len(self.pinned | {name}) > SLOTS - 1:
            return
        assert self.site.running.admin(f"/api/v1/stacks/app/{name}/pin", "PUT" if pinned else "DELETE").status < 300
        (self.pinned.add if pinned else self.pinned.discard)(name)

    @rule(name=names)
    def stop(self, name: str) -> None:
        if name not in {stream.name for stream in self.streams} and not self.late():
            assert self.site.running.admin(f"/api/v1/stacks/app/{name}/stop?wait=30s", "POST").status < 300

    @rule(name=names)
    def kill_a_container(self, name: str) -> None:
        client = self.site.containers.engine.client()
        for container in self.site.containers.all():
            if container["Labels"]["grandcentral.name"] == name and container["State"] == "running":
                client.kill(container["Id"])
        self.forget_streams({name})

    @rule(squeezed=st.booleans())
    def memory_is_short_or_not(self, squeezed: bool) -> None:
        self.squeezed = squeezed
        (self.memory.squeeze if squeezed else self.memory.release)()

    @rule()
    def kill_the_gateway(self) -> None:
        if not self.late():
            self.site.running.kill()
            self.site.running.start()
            eventually(lambda: self.site.running.admin("/readyz").status == 200, 30)
            self.forget_streams(set(NAMES))

    @rule()
    def stop_the_engine(self) -> None:
        if not self.late():
            self.site.containers.engine.stop()
            self.site.containers.engine.start()
            eventually(lambda: self.site.running.admin("/readyz").status == 200, 30)
            self.forget_streams(set(NAMES))

    def forget_streams(self, those: set[str]) -> None:
        for stream in [stream for stream in self.streams if stream.name in those]:
            stream.socket.close()
            self.streams.remove(stream)

    @invariant()
    def never_more_than_the_cap(self) -> None:
        assert self.census.most <= SLOTS

    @invariant()
    def nothing_that_is_used_was_stopped(self) -> None:
        for stream in self.streams:
            assert stream.talks(), (stream.name, self.site.running.log[-3000:])

    def teardown(self) -> None:
        """When it is over: what was written is there, pins are there, everything else sleeps, and there is no orphan."""
        self.memory_is_short_or_not(False)
        self.forget_streams(set(NAMES))
        shown = self.site.running.stacks()
        assert {name for name, stack in shown.items() if stack["pinned"]} == self.pinned
        for name in sorted(self.pinned):
            self.site.running.admin(f"/api/v1/stacks/app/{name}/pin", "DELETE")
        for name in NAMES:
            assert self.fetch(name) == self.written.get(name, ""), self.site.running.log[-3000:]
        eventually(lambda: {stack["state"] for stack in self.site.running.stacks().values()} == {"stopped"}, 60)
        assert self.site.containers.names() == dict.fromkeys(NAMES, 1)
        assert len(self.site.containers.networks()) == len(NAMES)
        self.census.end()
        assert self.census.most <= SLOTS
        for name in NAMES:
            assert self.site.running.admin(f"/api/v1/stacks/app/{name}/remove?wait=60s", "POST").status < 300
        assert self.site.containers.all() == []
        assert self.site.containers.networks() == []


def test_whatever_happens_nothing_is_lost_and_nothing_is_left(
    own_engine: Engine, registry: Registry, busybox: str, serve: Serve
) -> None:
    for name in NAMES:
        push_notes(registry, busybox, name)
    Walk.memory = Memory(own_engine.memory_cgroup())
    Walk.memory.release()
    Walk.site = serve(LIMITS.format(cgroup=Walk.memory.group), app=APP, compose=COMPOSE)
    Walk.until = time.monotonic() + SECONDS
    steps = settings(
        max_examples=1,
        stateful_step_count=40 if SECONDS else 25,
        phases=[Phase.generate],
        deadline=None,
        derandomize=not SECONDS,
        database=None,
        suppress_health_check=list(HealthCheck),
    )
    while True:
        run_state_machine_as_test(Walk, settings=steps)
        Walk.walks += 1
        if Walk.over():
            break
    print(f"{Walk.walks} walks")
