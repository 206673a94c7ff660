"""What the figures were measured on, and with which versions of everything."""

from __future__ import annotations

import json
import os
import platform
import re
import subprocess
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import grandcentral

from .baselines import CHP, find


def describe() -> dict[str, str | int | float]:
    """For people, and to tell one run from another."""
    return {
        "CPU": _field("/proc/cpuinfo", r"model name\s*: (.*)"),
        "cores": os.cpu_count() or 0,
        "memory": f"{int(_field('/proc/meminfo', r'MemTotal: *([0-9]+)') or 0) / 2**20:.0f} GiB",
        "system": _field("/etc/os-release", r'PRETTY_NAME="(.*)"'),
        "kernel": platform.release(),
        "Python": platform.python_version(),
        "Twisted": _package("Twisted"),
        "uvloop": _package("uvloop"),
        "Grand Central": f"{grandcentral.__version__} {_commit()}",
        "HAProxy": _said(["haproxy", "-v"], r"version (\S+)"),
        "nginx": _said(["nginx", "-v"], r"nginx/(\S+)"),
        "configurable-http-proxy": json.loads(CHP.resolve().parents[1].joinpath("package.json").read_text())["version"],
        "Node": _said(["node", "-v"], r"v(\S+)"),
        "wrk": _said(["wrk", "-v"], r"wrk (\S+)"),
    }


def load() -> float:
    """Processes that ran or wanted to, on average of the last minute: near 0 on a machine that is quiet."""
    return os.getloadavg()[0]


def _field(path: str, pattern: str) -> str:
    found = re.search(pattern, Path(path).read_text())
    return found[1].strip() if found else ""


def _said(command: list[str], pattern: str) -> str:
    done = subprocess.run([find(command[0]), *command[1:]], capture_output=True, text=True)
    found = re.search(pattern, done.stdout + done.stderr)
    return found[1] if found else "?"


def _package(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return "none"


def _commit() -> str:
    git = ["git", "-C", str(Path(__file__).parent)]
    commit = subprocess.run([*git, "rev-parse", "--short", "HEAD"], capture_output=True, text=True).stdout.strip()
    changed = subprocess.run([*git, "status", "--porcelain", "../grandcentral"], capture_output=True, text=True).stdout.strip()
    return f"{commit} with changes" if changed else commit
