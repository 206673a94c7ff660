"""The programs that the bench needs, and how they are got: ``python -m bench setup``. Nothing is skipped for want of one."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

CACHE = Path(__file__).with_name(".cache")
CHP = CACHE / "npm" / "node_modules" / ".bin" / "configurable-http-proxy"
PY_SPY = CACHE / "py-spy" / "bin" / "py-spy"
PATH = f"{os.environ.get('PATH', '')}:/usr/local/sbin:/usr/sbin:/sbin"

PACKAGES = {"haproxy": "haproxy", "nginx": "nginx-light", "wrk": "wrk", "npm": "npm", "setpriv": "util-linux", "git": "git"}
"""Program to the Debian package that has it."""


def find(program: str) -> str:
    path = shutil.which(program, path=PATH)
    if path is None:
        raise SystemExit(f"bench: {program} is not installed; run `python -m bench setup` (as root on Debian)")
    return path


def need(*files: Path) -> None:
    for file in files:
        if not file.exists():
            raise SystemExit(f"bench: {file.name} is not installed; run `python -m bench setup`")


def install() -> None:
    """Install what is missing; quick when nothing is. Ends the process with a sentence where it can't."""
    packages = sorted({package for program, package in PACKAGES.items() if shutil.which(program, path=PATH) is None})
    if packages:
        if os.geteuid() != 0 or shutil.which("apt-get") is None:
            raise SystemExit(f"bench: only root on Debian can install these from here; install by hand: {' '.join(packages)}")
        _run(["apt-get", "update"])
        _run(["apt-get", "install", "--yes", "--no-install-recommends", *packages])
    if not CHP.exists():
        _run([find("npm"), "install", "--no-fund", "--no-audit", "--prefix", str(CACHE / "npm"), "configurable-http-proxy@5"])
    if not PY_SPY.exists():
        _run([sys.executable, "-m", "pip", "install", "--quiet", "--target", str(CACHE / "py-spy"), "py-spy"])
    need(CHP, PY_SPY)


def _run(command: list[str]) -> None:
    print(" ".join([Path(command[0]).name, *command[1:]]).replace(str(CACHE), "bench/.cache"), flush=True)
    done = subprocess.run(command, env={**os.environ, "DEBIAN_FRONTEND": "noninteractive"}, stdin=subprocess.DEVNULL)
    if done.returncode:
        raise SystemExit(f"bench: {Path(command[0]).name} ended with status {done.returncode}")
