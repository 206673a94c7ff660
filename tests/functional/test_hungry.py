"""Stacks that take more memory than there is: those that nobody uses make room before the kernel has to choose."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.gateway import eventually
from tests.testbed.client import Engine

from .site import Serve, Site

MIB = 2**20
ROOM = 450  # MiB: for six that take 60 each, and what is to stay free

COMPOSE = """
services:
  web:
    image: ${{IMAGE}}
    command: ["sh", "-c", "dd if=/dev/zero of=/dev/shm/taken bs=1M count=60 & exec httpd -f -p 8080 -h /www"]
"""


def out_of_memory_kills() -> int:
    """How often the kernel has killed for want of memory, in any control group, since it booted."""
    lines = dict(line.split() for line in Path("/proc/vmstat").read_text().splitlines())
    return int(lines["oom_kill"])


@pytest.fixture
def small_machine(engine: Engine) -> Iterator[Path]:
    """The control group of all containers, with a limit."""
    if not engine.ours:
        pytest.skip("the engine was there before us, and its control group is not ours to limit; unset DOCKER_HOST")
    group = engine.memory_cgroup()
    limit = next(path for path in (group / "memory.limit_in_bytes", group / "memory.max") if path.exists())
    limit.write_text(str(ROOM * MIB))
    yield group
    limit.write_text("-1" if limit.name == "memory.limit_in_bytes" else "max")


def test_twenty_hungry_stacks_where_there_is_room_for_six_are_all_served_in_turn_and_none_is_killed(
    small_machine: Path, serve: Serve, versions: list[str]
) -> None:
    killed = out_of_memory_kills()
    site: Site = serve(
        compose=COMPOSE,
        more=f'[limits]\nmax_stacks = 50\nmin_uptime = "0s"\nmemory_min_free = "48MiB"\nmemory_cgroup = "{small_machine}"\n',
    )
    running: list[int] = []

    def serve_in_turn(some: list[str]) -> int:
        for version in some:
            answer = site.running.get(site.host(version))
            assert (answer.status, answer.body) == (200, version.encode())
            running.append(sum(container["State"] == "running" for container in site.containers.all()))
        return running[-1]

    serve_in_turn([*versions, *versions[:3]])
    # Once it is known what one of them takes, the room that there is is used.
    eventually(lambda: serve_in_turn(versions[:6]) >= 4, 90, "four that run side by side")
    assert max(running) <= 6
    assert out_of_memory_kills() == killed
    assert "gives way" in site.running.log or "memory is short" in site.running.log
