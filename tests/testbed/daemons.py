"""The two daemons of the testbed: dockerd and docker-registry. Used by the keeper only, which is their parent."""

from __future__ import annotations

import ctypes
import http.client
import json
import os
import signal
import socket
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

from attrs import define, field

from .errors import Unavailable
from .network import PrivateNetwork
from .packages import find, search_path

START_WITHIN = 60.0  # seconds; a first start of dockerd takes one to five
STOP_WITHIN = 20.0


@define
class Daemon:
    """A child process that can be stopped and started again, the same each time."""

    name: str
    command: list[str]
    log: Path
    answers: Callable[[], bool]
    _process: subprocess.Popen[bytes] | None = field(default=None, init=False, kw_only=True)

    def start(self) -> None:
        """Returns when it answers. Raises Unavailable with the end of its log if it doesn't. Idempotent."""
        if self._process is not None and self._process.poll() is None:
            return
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                self.command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env={**os.environ, "PATH": search_path()},
                preexec_fn=_die_with_parent,
            )
        deadline = time.monotonic() + START_WITHIN
        while not self.answers():
            if self._process.poll() is not None or time.monotonic() > deadline:
                self.stop()
                end = "\n".join(self.log.read_text(errors="replace").splitlines()[-15:])
                raise Unavailable(f"{self.name} did not start:\n{end}")
            time.sleep(0.02)

    def stop(self) -> None:
        """Returns when the process is gone; asks first, then kills. Idempotent."""
        if self._process is None:
            return
        self._process.terminate()
        try:
            self._process.wait(STOP_WITHIN)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._process = None


@define
class Dockerd(Daemon):
    """An engine whose ``settings`` are kept in the file ``configuration``.

    Whose docker0 is it? An engine with default-address-pools that finds a bridge network in its storage (so:
    at its second start) deletes the interface docker0, whoever made it, unless it has live-restore. So ours starts
    with live-restore, and gives it up once it runs: its containers shall stop with it, as people are used to.
    """

    configuration: Path
    settings: dict[str, object]
    url: str

    def start(self) -> None:
        self._configure(live_restore=True)
        super().start()
        self._configure(live_restore=False)
        assert self._process is not None
        self._process.send_signal(signal.SIGHUP)
        while b'"LiveRestoreEnabled":true' in ask_engine(self.url, "/info"):
            time.sleep(0.02)

    def _configure(self, live_restore: bool) -> None:
        self.configuration.write_text(json.dumps({**self.settings, "live-restore": live_restore}))


def dockerd(place: Path, network: PrivateNetwork) -> Dockerd:
    """A private engine with everything of it under ``place``; listens on ``place/docker.sock``."""
    path = place / "docker.sock"
    url = f"unix://{path}"
    settings: dict[str, object] = {
        "data-root": str(place / "root"),
        "exec-root": str(place / "exec"),
        "pidfile": str(place / "dockerd.pid"),
        "hosts": [url],
        "shutdown-timeout": 3,
        # All containers in one control group, which tests can set limits to.
        "exec-opts": ["native.cgroupdriver=cgroupfs"],
        "cgroup-parent": f"/{network.name}",
        **network.settings,
    }
    configuration = place / "daemon.json"
    command = [find("dockerd"), "--config-file", str(configuration)]
    # Should a containerd of the system run, both engines use that one, and must not find each other's containers.
    command += ["--containerd-namespace", network.name, "--containerd-plugins-namespace", f"{network.name}-plugins"]
    return Dockerd(
        name="dockerd",
        command=command,
        log=place / "dockerd.log",
        answers=lambda: engine_answers(url),
        configuration=configuration,
        settings=settings,
        url=url,
    )


def registry(place: Path, port: int) -> Daemon:
    """An image registry on 127.0.0.1:``port``, which Docker trusts without TLS; keeps its content over a restart."""
    settings = {
        "version": "0.1",
        "log": {"level": "warn"},
        "storage": {"filesystem": {"rootdirectory": str(place / "registry")}, "delete": {"enabled": True}},
        "http": {"addr": f"127.0.0.1:{port}"},
    }
    configuration = place / "registry.yml"
    configuration.write_text(json.dumps(settings))  # JSON is YAML
    command = [find("docker-registry"), "serve", str(configuration)]
    return Daemon("docker-registry", command, place / "registry.log", lambda: _registry_answers(port))


def engine_answers(url: str) -> bool:
    """Whether an engine answers at ``unix://PATH``."""
    return bool(ask_engine(url, "/_ping"))


def ask_engine(url: str, path: str) -> bytes:
    """The body of an engine's answer; empty if there is none, or none with status 200."""
    connection = http.client.HTTPConnection("localhost")
    connection.sock = socket.socket(socket.AF_UNIX)
    connection.sock.settimeout(5)
    try:
        connection.sock.connect(url.removeprefix("unix://"))
        connection.request("GET", path)
        answer = connection.getresponse()
        return answer.read() if answer.status == 200 else b""
    except (OSError, http.client.HTTPException):
        return b""
    finally:
        connection.close()


def _registry_answers(port: int) -> bool:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
    try:
        connection.request("GET", "/v2/")
        return connection.getresponse().status == 200
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


def _die_with_parent() -> None:
    """In the child: get SIGTERM should the keeper be killed (PR_SET_PDEATHSIG), and no signals of the terminal."""
    os.setsid()
    ctypes.CDLL(None).prctl(1, signal.SIGTERM)
