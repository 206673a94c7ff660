"""The process that owns what the testbed started: ``python -m tests.testbed.keeper [OPTION…]``.

It prints one JSON object when everything runs (or ``{"error": …}``), then takes orders on its standard input, one a line:
``engine stop``, ``engine start``, ``registry stop``, ``registry start``; each is answered by a line, ``ok`` or what went
wrong. When its input ends, or on SIGTERM, it takes everything down. So nothing stays behind even if the tests are killed
with SIGKILL: the end of the pipe is the end of the testbed.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from types import FrameType

import docker

from .daemons import Daemon, dockerd, engine_answers, registry
from .errors import Unavailable
from .network import PrivateNetwork

CGROUPS = Path("/sys/fs/cgroup")


def main() -> None:
    parser = argparse.ArgumentParser("tests.testbed.keeper")
    parser.add_argument("--private", action="store_true", help="start an engine even if there is one")
    parser.add_argument("--until-told", action="store_true", help="run until SIGTERM, whatever becomes of standard input")
    parser.add_argument("--room", default="", help="the disk of the engine: a tmpfs of this size, such as 300m")
    parser.add_argument("--port", type=int, default=0, help="of the registry; 0: any free one")
    options = parser.parse_args()
    signal.signal(signal.SIGTERM, _terminated)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the tests; their end reaches us through the pipe
    try:
        with ExitStack() as stack:
            daemons, facts = _start(stack, options.private, options.port or _free_port(), options.room)
            print(json.dumps(facts), flush=True)
            if options.until_told:
                signal.pause()
            for line in sys.stdin:
                print(_obey(daemons, line.split()), flush=True)
    except Unavailable as problem:
        print(json.dumps({"error": str(problem)}), flush=True)


def _terminated(number: int, frame: FrameType | None) -> None:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)  # once is enough: what follows must not be interrupted
    raise SystemExit


def _start(stack: ExitStack, private: bool, port: int, room: str) -> tuple[dict[str, Daemon], dict[str, object]]:
    place = Path(tempfile.mkdtemp(prefix="gct-", dir=_short_directory()))
    stack.callback(shutil.rmtree, place, ignore_errors=True)
    daemons: dict[str, Daemon] = {}
    url, cgroup = None if private else engine_there(), ""
    if url is None:
        if os.geteuid() != 0:
            raise Unavailable("no Docker engine answers; set DOCKER_HOST, or run as root so that a private one can be started")
        network = PrivateNetwork.claim()
        stack.callback(network.release)
        stack.callback(_remove_control_groups, network.name)
        stack.enter_context(_nothing_left_of(place))
        cgroup = network.name
        url = f"unix://{place}/docker.sock"
        daemons["engine"] = dockerd(place, network)
        if room:
            _mount(place / "root", room)
    daemons["registry"] = registry(place, port)
    for daemon in daemons.values():
        stack.callback(daemon.stop)
        daemon.start()
    if "engine" in daemons:
        stack.callback(_end_containers, url)
    ours = "engine" in daemons
    facts = {"engine": url, "ours": ours, "registry": f"127.0.0.1:{port}", "pid": os.getpid(), "place": str(place)}
    return daemons, {**facts, "cgroup": cgroup}


def _mount(where: Path, room: str) -> None:
    """A small disk, for an engine to fill; it is unmounted with all that is mounted below our place."""
    where.mkdir()
    mounting = ["mount", "-t", "tmpfs", "-o", f"size={room}", "gct", str(where)]
    done = subprocess.run(mounting, capture_output=True, text=True)
    if done.returncode:
        raise Unavailable(f"no small disk can be mounted: {done.stderr.strip()}")


def engine_there() -> str | None:
    """The engine to use instead of one of our own. Raises Unavailable if DOCKER_HOST names one that is of no use."""
    named = os.environ.get("DOCKER_HOST")
    if named is None:
        usual = "unix:///var/run/docker.sock"
        return usual if engine_answers(usual) else None
    if not named.startswith("unix://"):
        raise Unavailable(f"DOCKER_HOST is {named}: the tests need an engine on this machine, at a unix:// address")
    if not engine_answers(named):
        raise Unavailable(f"DOCKER_HOST is {named}, where no engine answers; unset it to have one started")
    return named


def _obey(daemons: dict[str, Daemon], order: list[str]) -> str:
    match order:
        case [name, "start" | "stop" as verb] if name in daemons:
            try:
                getattr(daemons[name], verb)()
            except Unavailable as problem:
                return json.dumps(str(problem))
            return "ok"
        case _:
            return json.dumps(f"not an order that can be followed here: {' '.join(order)}")


def _end_containers(url: str) -> None:
    """Kill what runs: stopping the engine would give those that ignore SIGTERM ten seconds."""
    if not engine_answers(url):
        return
    with closing(docker.APIClient(url, version="auto")) as client:
        for container in client.containers():
            client.kill(container["Id"])


def _short_directory() -> str:
    """Where temporary files go, unless the paths of sockets in it would be over the 107 bytes that UNIX sockets allow."""
    usual = tempfile.gettempdir()
    return usual if len(usual) < 40 else "/tmp"


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return listener.getsockname()[1]


@contextmanager
def _nothing_left_of(place: Path) -> Iterator[None]:
    """Afterwards: no process that has the place on its command line or runs in one of its containers, and no mount below it.

    dockerd takes its containers, shims and mounts with it when it ends well; this is for when it was killed.
    """
    try:
        yield
    finally:
        ours = [str(place), *(container.name for container in place.glob("root/containers/*"))]
        for process in Path("/proc").glob("[0-9]*"):
            said = _read(process / "cmdline") + _read(process / "cgroup")
            if any(mark in said for mark in ours) and int(process.name) != os.getpid():
                _kill(int(process.name))
        mounted = [line.split()[1] for line in Path("/proc/self/mounts").read_text().splitlines()]
        for target in sorted((t for t in mounted if Path(t).is_relative_to(place)), reverse=True):
            subprocess.run(["umount", "--lazy", target], capture_output=True)


def _remove_control_groups(name: str) -> None:
    """Those that the engine put its containers' into; it takes away only the latter."""
    for top in (*CGROUPS.glob(name), *CGROUPS.glob(f"*/{name}")):
        for group in sorted((top, *(path for path in top.rglob("*") if path.is_dir())), reverse=True):
            try:
                group.rmdir()
            except OSError as error:
                print(f"the control group {group} stays: {error.strerror}", file=sys.stderr)


def _read(path: Path) -> str:
    try:
        return path.read_text(errors="replace")
    except OSError:  # the process has ended meanwhile
        return ""


def _kill(pid: int) -> None:
    try:
        os.kill(pid, signal.SIGKILL)
    except ProcessLookupError:
        pass  # it has ended meanwhile


if __name__ == "__main__":
    main()
