"""Runs the tests: ``python3 tests/run.py [arguments for pytest]``.

Makes .venv if there is none and installs into it what the tests need. Tests of real engines and browsers run if there is an
engine (or root, to start one) and a Chromium; otherwise they are skipped, and it is said what is missing. Where ``CI`` is set
they fail instead.

Only the standard library is used here, in words that an older Python understands as well: it should learn that it is too old.
"""

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
VENV = ROOT / ".venv"
PYTHON = VENV / "bin" / "python"
INSTALLED = VENV / ".tests"  # newer than setup.cfg: what the tests need is in there

TWO_AT_A_TIME = ("-n", "2")  # tests wait for engines and sockets more than they compute; -n 0: in one process

MISSING = "from tests.testbed import packages; print(' '.join(packages.missing()))"


def main(arguments):
    if sys.version_info < (3, 11):  # noqa: UP036
        sys.exit("Python 3.11 or newer is needed; this is {}.{}. Try python3.11 tests/run.py.".format(*sys.version_info))
    os.chdir(ROOT)
    if not INSTALLED.exists() or INSTALLED.stat().st_mtime < (ROOT / "setup.cfg").stat().st_mtime:
        install()
    say_what_is_missing()
    sys.stdout.flush()
    os.execv(PYTHON, [str(PYTHON), "-m", "pytest", *TWO_AT_A_TIME, *arguments])


def install():
    print(f"Installing Grand Central and what its tests need into {VENV}; only the first run does this.", flush=True)
    if not PYTHON.exists():
        if subprocess.call([sys.executable, "-c", "import ensurepip, venv"], stderr=subprocess.DEVNULL) != 0:
            sys.exit(f"{sys.executable} has no venv and ensurepip. On Debian and Ubuntu: apt-get install python3-venv")
        if subprocess.call([sys.executable, "-m", "venv", str(VENV)]) != 0:
            sys.exit(f"The virtual environment {VENV} could not be made.")
    pip = [str(PYTHON), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    if subprocess.call([*pip, "--editable", ".[fast,test]"]) != 0:
        sys.exit("They could not be installed; pip says why above. Without a network, point pip to a mirror (PIP_INDEX_URL).")
    INSTALLED.touch()


def say_what_is_missing():
    packages = subprocess.check_output([str(PYTHON), "-c", MISSING]).decode().strip()
    if packages:
        print(f"Not on this machine: {packages}. Tests that need one of them are skipped.")
        print(f"Root can install them on Debian: {PYTHON.relative_to(ROOT)} -m tests.testbed install")


if __name__ == "__main__":
    main(sys.argv[1:])
