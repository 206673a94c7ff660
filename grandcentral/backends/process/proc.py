"""What the kernel says of processes, read from /proc (proc(5)). Nothing here waits or signals."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from pathlib import Path

from attrs import frozen

PROC = Path("/proc")
MARK = "GRANDCENTRAL_STACK"  # the environment variable that every process of a stack inherits

_LISTEN = "0A"  # include/net/tcp_states.h


@frozen
class Seen:
    """A process at one instant. ``pid`` and ``started`` (clock ticks since boot) together name it for good."""

    pid: int
    started: int
    session: int
    state: str  # "R", "S", "T" (stopped), "Z" (ended, not reaped), …

    @property
    def alive(self) -> bool:
        return self.state not in "ZX"

    @property
    def stopped(self) -> bool:
        return self.state in "Tt"


def boot_id() -> str:
    """Differs after each boot of the machine."""
    return (PROC / "sys/kernel/random/boot_id").read_text().strip()


def look(pid: int) -> Seen | None:
    """The process with that number; None if there is none."""
    try:
        stat = (PROC / str(pid) / "stat").read_text(errors="replace")
    except (FileNotFoundError, ProcessLookupError):
        return None
    fields = stat[stat.rindex(")") + 2 :].split()  # the name before it may hold anything, brackets and spaces too
    return Seen(pid=pid, started=int(fields[19]), session=int(fields[3]), state=fields[0])


def members(mark: str, leaders: Mapping[int, int]) -> tuple[Seen, ...]:
    """The living processes of a stack: those in a session of ours, and those that carry our mark.

    The session finds processes that have overwritten their environment; the mark finds those that have left the session
    (daemons), and those whose start we never came to write down. What has done both escapes.

    :param mark: the value of MARK in their environment.
    :param leaders: session leader's pid -> when it started. A session whose leader is another process by now is not ours.
    """
    for_sure = {pid for pid, started in leaders.items() if (seen := look(pid)) is None or seen.started == started}
    found = []
    for pid in _pids():
        seen = look(pid)
        if seen is not None and seen.alive and (seen.session in for_sure or _carries(pid, mark)):
            found.append(seen)
    return tuple(found)


def listening(port: int) -> frozenset[int]:
    """The inodes of the sockets that listen on a TCP port, on whatever address."""
    return frozenset(inode for file in ("tcp", "tcp6") for found, inode in _listeners(file) if found == port)


def sockets(pid: int) -> frozenset[int]:
    """The inodes of the sockets that a process holds; none for one that has gone or is not ours to look at."""
    found = set()
    try:
        with os.scandir(PROC / str(pid) / "fd") as entries:
            for entry in entries:
                target = _link(entry.path)
                if target.startswith("socket:["):
                    found.add(int(target[8:-1]))
    except (FileNotFoundError, ProcessLookupError, PermissionError):
        return frozenset(found)
    return frozenset(found)


def _pids() -> Iterator[int]:
    ours = os.getpid()
    return (int(name) for name in os.listdir(PROC) if name.isdigit() and int(name) != ours)


def _carries(pid: int, mark: str) -> bool:
    try:
        environment = (PROC / str(pid) / "environ").read_bytes()
    except (FileNotFoundError, ProcessLookupError, PermissionError):
        return False
    return f"{MARK}={mark}".encode() in environment.split(b"\0")


def _listeners(file: str) -> Iterator[tuple[int, int]]:
    """(port, inode) of each listening socket. The kernel lists those first, so that connections cost nothing here."""
    path = PROC / "net" / file
    if not path.exists():  # no IPv6
        return
    with open(path) as lines:
        next(lines)
        for line in lines:
            _, local, _, state, *_, inode = line.split(maxsplit=10)[:10]
            if state != _LISTEN:
                return
            yield int(local.rpartition(":")[2], 16), int(inode)


def _link(path: str) -> str:
    try:
        return os.readlink(path)
    except FileNotFoundError:
        return ""
