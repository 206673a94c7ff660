"""Installing what the testbed needs on Debian and its kin: ``python -m tests.testbed install``."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from glob import glob

from .errors import Unavailable

PROGRAMS: Mapping[str, str] = {
    "busybox": "busybox-static",
    "chromium": "chromium",
    "curl": "curl",
    "debootstrap": "debootstrap",
    "docker": "docker.io",
    "docker-registry": "docker-registry",
    "dockerd": "docker.io",
    "git": "git",
    "ip": "iproute2",
    "iptables": "iptables",
    "postgres": "postgresql",
    "psql": "postgresql-client",
    "redis-server": "redis-server",
}
"""Program to the Debian package that has it."""

FONT = "/usr/share/fonts/truetype/dejavu/DejaVuSans.ttf"
FONT_PACKAGE = "fonts-dejavu-core"  # without any font a screenshot shows boxes


def search_path() -> str:
    """$PATH and where Debian keeps what only root uses, and PostgreSQL's servers: programs of ours look for programs of theirs
    there too."""
    servers = sorted(glob("/usr/lib/postgresql/*/bin"), reverse=True)
    return ":".join((os.environ.get("PATH", ""), "/usr/local/sbin:/usr/sbin:/sbin", *servers))


def find(program: str) -> str:
    """The path of a program. Raises Unavailable, which says how to get it."""
    path = shutil.which(program, path=search_path())
    if path is None:
        raise Unavailable(f"{program} is not installed; {remedy([program])}")
    return path


def remedy(programs: list[str]) -> str:
    packages = " ".join(sorted({PROGRAMS[program] for program in programs}))
    return f"run `python -m tests.testbed install` as root on Debian, or install by hand: {packages}"


def missing() -> list[str]:
    """Names of the Debian packages that are needed and not there, sorted."""
    packages = set()
    for program, package in PROGRAMS.items():
        try:
            find(program)
        except Unavailable:
            packages.add(package)
    if not os.path.exists(FONT):
        packages.add(FONT_PACKAGE)
    return sorted(packages)


def install() -> None:
    """Install what is missing. Does nothing, quickly, when nothing is. Raises Unavailable where it can't."""
    packages = missing()
    if not packages:
        return
    if os.geteuid() != 0 or shutil.which("apt-get") is None:
        raise Unavailable(f"only root on Debian can install the testbed from here; install by hand: {' '.join(packages)}")
    command = ["apt-get", "install", "--yes", "--no-install-recommends", *packages]
    print(" ".join(command), file=sys.stderr, flush=True)
    # Package lists that are missing or outdated are the usual reason for a failure.
    if _complaint(command) and (complaint := _complaint(["apt-get", "update"]) or _complaint(command)):
        raise Unavailable(f"apt-get could not install {' '.join(packages)}:\n{complaint}")
    if still := missing():
        raise Unavailable(f"installed, but still not found: {' '.join(still)}")


def _complaint(command: list[str]) -> str:
    """Run apt-get; "" if it did what it should, else the end of what it said."""
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    done = subprocess.run(command, env=environment, stdin=subprocess.DEVNULL, capture_output=True, text=True)
    return f"{done.stdout}{done.stderr}"[-2000:] or f"status {done.returncode}" if done.returncode else ""
