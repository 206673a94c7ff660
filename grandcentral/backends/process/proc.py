"""What the kernel says of processes, read from /proc (proc(5)). Nothing here waits or signals."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

from attrs import frozen

PROC = Path("/proc")
MARK = "GRANDCENTRAL_STACK"  # the environment variable that every process of a stack inherits

_LISTEN = "0A"  # include/net/tcp_states.h


def _words(address: bytes) -> str:
    """An address as /proc/net has it: 32 bits at a time, as a number of this machine's byte order."""
    words = (int.from_bytes(address[at : at + 4], sys.byteorder) for at in range(0, len(address), 4))
    return "".join(f"{word:08X}" for word in words)


# Addresses on which a listener hears what comes to 127.0.0.1. (One on :: does, unless it asked for IPv6 alone; we cannot see.)
_LOOPBACK = {
    "tcp": {_words(bytes(4)), _words(bytes([127, 0, 0, 1]))},
    "tcp6": {_words(bytes(16)), _words(bytes(10) + b"\xff\xff" + bytes([127, 0, 0, 1]))},
}


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
    return members_of({mark: leaders})[mark]


def members_of(stacks: Mapping[str, Mapping[int, int]]) -> dict[str, tuple[Seen, ...]]:
    """``members`` of several stacks, mark -> leaders, in one look at all processes."""
    sessions = {
        pid: mark
        for mark, leaders in stacks.items()
        for pid, started in leaders.items()
        if (seen := look(pid)) is None or seen.started == started
    }
    found: dict[str, list[Seen]] = {mark: [] for mark in stacks}
    for pid in _pids():
        seen = look(pid)
        if seen is not None and seen.alive:
            mark = sessions.get(seen.session) or _mark(pid)
            if mark in found:
                found[mark].append(seen)
    return {mark: tuple(processes) for mark, processes in found.items()}


def memory_of(stacks: Mapping[str, Mapping[int, int]]) -> dict[str, int]:
    """The ``memory`` of all ``members_of`` each stack."""
    return {mark: sum(memory(seen.pid) for seen in processes) for mark, processes in members_of(stacks).items()}


def memory(pid: int) -> int:
    """Bytes that the kernel could not have back from a process for the asking: what it has written, and its share of what
    several have written. 0 for one that has gone. Of another user's we are only told what it has written alone."""
    try:
        rollup = (PROC / str(pid) / "smaps_rollup").read_text()
    except PermissionError:
        return _anonymous(pid)
    except OSError:  # gone; or a zombie, which has no memory
        return 0
    sizes = {name: value for name, _, value in (line.partition(":") for line in rollup.splitlines())}
    return sum(int(sizes[name].split()[0]) * 1024 for name in ("Pss_Anon", "Pss_Shmem"))


def listening(port: int) -> frozenset[int]:
    """The inodes of the sockets that listen on a TCP port, on whatever address."""
    return frozenset(inode for file in ("tcp", "tcp6") for _, found, inode in _listeners(file) if found == port)


def on_loopback(port: int) -> bool:
    """Whether somebody listens on that TCP port of 127.0.0.1."""
    return any(
        found == port and address in addresses
        for file, addresses in _LOOPBACK.items()
        for address, found, _ in _listeners(file)
    )


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


def _mark(pid: int) -> str | None:
    try:
        environment = (PROC / str(pid) / "environ").read_bytes()
    except (FileNotFoundError, ProcessLookupError, PermissionError):
        return None
    prefix = f"{MARK}=".encode()
    marks = (variable[len(prefix) :] for variable in environment.split(b"\0") if variable.startswith(prefix))
    return next(map(os.fsdecode, marks), None)


def _anonymous(pid: int) -> int:
    try:
        _, resident, shared, *_ = (PROC / str(pid) / "statm").read_text().split()
    except OSError:
        return 0
    return (int(resident) - int(shared)) * os.sysconf("SC_PAGESIZE")


def _listeners(file: str) -> Iterator[tuple[str, int, int]]:
    """(address, port, inode) of each listening socket. The kernel lists those first, so that connections cost nothing here."""
    path = PROC / "net" / file
    if not path.exists():  # no IPv6
        return
    with open(path) as lines:
        next(lines)
        for line in lines:
            _, local, _, state, *_, inode = line.split(maxsplit=10)[:10]
            if state != _LISTEN:
                return
            address, port = local.split(":")
            yield address, int(port, 16), int(inode)


def _link(path: str) -> str:
    try:
        return os.readlink(path)
    except FileNotFoundError:
        return ""
