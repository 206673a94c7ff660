"""The testbed by hand: ``python -m tests.testbed install | up | env | down``."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

from . import packages
from .client import ROOT, first_words
from .errors import Unavailable

USAGE = """\
usage: python -m tests.testbed COMMAND

install   install the packages that the functional tests need (root, Debian)
up        start an engine (unless one is there) and an image registry in the background
env       print what to export to use them: eval "$(python -m tests.testbed env)"
down      stop what `up` started"""

USUAL_PORT = 5000  # of an image registry: what examples/ and everybody's notes say


def main(arguments: list[str]) -> int:
    commands = {"install": packages.install, "up": up, "env": env, "down": down}
    if len(arguments) != 1 or arguments[0] not in commands:
        print(USAGE, file=sys.stderr)
        return 2
    try:
        commands[arguments[0]]()
    except Unavailable as problem:
        print(f"testbed: {problem}", file=sys.stderr)
        return 1
    return 0


def up() -> None:
    if _running() is None:
        command = [sys.executable, "-m", "tests.testbed.keeper", "--until-told"]
        if _free(USUAL_PORT):
            command += ["--port", str(USUAL_PORT)]
        process = subprocess.Popen(
            command, cwd=ROOT, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True, start_new_session=True
        )
        facts = first_words(process)
        _notes().parent.mkdir(parents=True, exist_ok=True)
        _notes().write_text(json.dumps(facts))
    env()


def env() -> None:
    facts = _running()
    if facts is None:
        raise Unavailable("nothing is running; `python -m tests.testbed up` starts it")
    print(f"export DOCKER_HOST={facts['engine']}")
    print(f"export REGISTRY={facts['registry']}")


def down() -> None:
    facts = _running()
    if facts is not None:
        pid = int(str(facts["pid"]))
        os.kill(pid, signal.SIGTERM)
        while _alive(pid):
            time.sleep(0.05)
    _notes().unlink(missing_ok=True)


def _free(port: int) -> bool:
    try:
        socket.create_server(("127.0.0.1", port)).close()
    except OSError:
        return False
    return True


def _notes() -> Path:
    """Where ``up`` notes what it started."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "grandcentral" / "testbed.json"


def _running() -> dict[str, object] | None:
    """What ``up`` started, if it still runs."""
    try:
        facts = json.loads(_notes().read_text())
    except FileNotFoundError:
        return None
    return facts if _alive(facts["pid"]) else None


def _alive(pid: int) -> bool:
    """Whether that process is a keeper and runs (not another one that got its number since)."""
    try:
        return b"tests.testbed.keeper" in Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return False


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
