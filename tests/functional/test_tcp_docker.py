"""Any protocol behind a port of its own: the service is a container that is started for the first connection."""

from __future__ import annotations

import random
import socket
from pathlib import Path

from tests.gateway import eventually, free_port, gateway
from tests.testbed.client import Engine

from .site import Containers

COMPOSE = """
services:
  echo:
    image: {busybox}
    command: ["nc", "-ll", "-p", "2525", "-e", "cat"]
    stop_grace_period: 1s
"""


def test_a_service_is_started_by_a_connection_and_stopped_when_there_is_none(
    tmp_path: Path, engine: Engine, busybox: str
) -> None:
    (tmp_path / "echo.compose.yaml").write_text(COMPOSE.format(busybox=busybox))
    instance, port = f"test-{random.randrange(2**32):08x}", free_port()
    configuration = (
        f'[docker]\nhost = "{engine.url}"\ninstance = "{instance}"\n[limits]\nmin_uptime = "0s"\n'
        f'[apps.echo]\nlisten = "tcp:{port}:interface=127.0.0.1"\ncompose = "echo.compose.yaml"\nserves = "echo:2525"\n'
        'idle = { stop = "1s" }\n'
    )
    with gateway(tmp_path, configuration, workers=2) as running:
        containers = Containers(engine, instance)
        try:
            with socket.create_connection(("127.0.0.1", port), 60) as client, client.makefile("rb") as answers:
                client.sendall(b"anybody there?\n")
                assert answers.readline() == b"anybody there?\n"
                eventually(lambda: running.stacks()[""]["streams"] == 1)
            eventually(lambda: running.state("") == "stopped")
            with socket.create_connection(("127.0.0.1", port), 60) as client, client.makefile("rb") as answers:
                client.sendall(b"and now?\n")
                assert answers.readline() == b"and now?\n"
        finally:
            running.admin("/api/v1/stacks/echo/-/remove?volumes=1&wait=60s", "POST")
            assert containers.all() == []
