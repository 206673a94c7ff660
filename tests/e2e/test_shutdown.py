"""SIGTERM while somebody says nothing: an engine, or a registry, that accepts connections and does not answer."""

from __future__ import annotations

import asyncio
import signal
import socket
import time
from pathlib import Path

import pytest

from tests.gateway import GatewayProcess, Response, eventually

from .silent_engine import SilentEngine, silent_engine

HOST = "web.review.localhost"
PROMPT = 5.0  # seconds from SIGTERM to the end of the process: about one on a machine that has nothing else to do
COMPOSE = "services:\n  web:\n    image: registry.example.com/app:1\n"


def configured(home: Path, engine: SilentEngine) -> GatewayProcess:
    (home / "app.compose.yaml").write_text(COMPOSE)
    app = f'[apps.app]\nhost = "{HOST}"\ncompose = "app.compose.yaml"\nserves = "web:80"\n'
    return GatewayProcess(home, f'[docker]\nhost = "{engine.url}"\ninstance = "silent"\n{app}')


def ask_and_leave(gateway: GatewayProcess, host: str = HOST) -> None:
    """Want the stack, and wait for nothing: its start goes on."""
    with socket.create_connection(("127.0.0.1", gateway.port)) as client:
        client.sendall(f"GET / HTTP/1.1\r\nHost: {host}\r\n\r\n".encode())


def end(gateway: GatewayProcess) -> float:
    """SIGTERM; seconds until the process is gone, which must be without a complaint."""
    assert gateway.process is not None
    began = time.monotonic()
    gateway.process.send_signal(signal.SIGTERM)
    assert gateway.process.wait(90) == 0, gateway.log
    took = time.monotonic() - began
    assert "Traceback" not in gateway.log, gateway.log
    return took


@pytest.mark.parametrize("near", [True, False], ids=["unix", "tcp"])
@pytest.mark.parametrize("silent", ["images/create", "networks/create", "containers/create"])
def test_a_call_that_the_engine_does_not_answer_keeps_no_gateway_from_ending(tmp_path: Path, silent: str, near: bool) -> None:
    with silent_engine(silent, tmp_path / "engine.sock" if near else None) as engine:
        gateway = configured(tmp_path, engine).start()
        ask_and_leave(gateway)
        eventually(engine.waits, what="the call")
        assert end(gateway) < PROMPT


@pytest.mark.parametrize("workers", [0, 1])
def test_who_waits_for_a_start_that_does_not_come_about_is_told_so(tmp_path: Path, workers: int) -> None:
    with silent_engine("images/create", tmp_path / "engine.sock") as engine:
        gateway = configured(tmp_path, engine)
        gateway.workers = workers
        gateway.start()

        async def asked_and_told() -> tuple[Response, float]:
            asking = asyncio.create_task(gateway.request(HOST))
            while not engine.waits():
                await asyncio.sleep(0.02)
            took = await asyncio.to_thread(end, gateway)
            return await asking, took

        answer, took = asyncio.run(asked_and_told())
        assert (answer.status, answer.problem, answer.fields["retry-after"]) == (503, "shutting-down", "5")
        assert took < PROMPT


@pytest.mark.parametrize("silent", ["version", "events", "containers/json"])
def test_an_engine_that_does_not_answer_from_the_beginning(tmp_path: Path, silent: str) -> None:
    with silent_engine(silent, tmp_path / "engine.sock") as engine:
        gateway = configured(tmp_path, engine).start(ready=False)
        eventually(engine.waits, what="the call")
        assert end(gateway) < PROMPT


def test_a_registry_that_does_not_answer(tmp_path: Path) -> None:
    with silent_engine("nothing", tmp_path / "engine.sock") as engine, socket.create_server(("127.0.0.1", 0)) as registry:
        gateway = configured(tmp_path, engine)
        gateway.configuration += (
            '[apps.other]\nhost = "{version}.other.localhost"\nversion = "git-hash"\nserves = "web:80"\n'
            f'image = "127.0.0.1:{registry.getsockname()[1]}/app:{{version}}"\n'
        )
        gateway.start()
        ask_and_leave(gateway, "c0ffee0.other.localhost")
        connection, _ = registry.accept()
        with connection:
            assert end(gateway) < PROMPT
