"""The same protocols over uvloop's own transports: suites that use real sockets, run once more in a process on that reactor."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

pytest.importorskip("uvloop")


@pytest.mark.parametrize("suite", ["tests/relay/test_transports.py", "tests/frontends/test_sockets.py"])
def test_suite_on_uvloop(suite: str) -> None:
    command = [sys.executable, "-m", "tests.on_uvloop", "-q", "-p", "no:cacheprovider", suite]
    run = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=300, check=False)
    assert run.returncode == 0, run.stdout + run.stderr
    assert " passed" in run.stdout


def test_signals_and_children_reach_twisted(tmp_path: Path) -> None:
    """SIGCHLD ends a spawned process's protocol; SIGTERM stops the reactor."""
    script = """if True:
        import os, signal
        from grandcentral.reactors import install_fastest
        assert install_fastest() == "uvloop"
        assert install_fastest() == "uvloop"
        from twisted.internet import reactor, utils
        found = utils.getProcessValue("/bin/sh", ["-c", "exit 7"])
        found.addCallback(print)
        found.addCallback(lambda _: os.kill(os.getpid(), signal.SIGTERM))
        reactor.addSystemEventTrigger("during", "shutdown", lambda: print("stopped"))
        reactor.callLater(20, os._exit, 1)
        reactor.run()
    """
    run = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60, check=False)
    assert (run.stdout, run.returncode) == ("7\nstopped\n", 0), run.stderr
