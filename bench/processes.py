"""Processes that are started, watched and always ended: by Ctrl-C, by SIGTERM, and by the death of the bench itself."""

from __future__ import annotations

import os
import re
import resource
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path

from attrs import define

MANY_FILES = 65_536
ESTABLISHED = "01"
PAGE = os.sysconf("SC_PAGE_SIZE")


@define
class Running:
    """A process and all its descendants, which are accounted for together."""

    name: str
    process: subprocess.Popen[bytes]
    log: Path

    @property
    def pids(self) -> list[int]:
        pids = [self.process.pid]
        for pid in pids:
            for task in Path(f"/proc/{pid}/task").glob("*/children"):
                pids += map(int, task.read_text().split())
        return pids

    def cpu(self) -> float:
        """Seconds of user and system time so far."""
        return sum(map(cpu_of, self.pids))

    def memory(self) -> int:
        """Resident bytes."""
        return sum(int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * PAGE for pid in self.pids)

    def forget_peak(self) -> None:
        for pid in self.pids:
            Path(f"/proc/{pid}/clear_refs").write_text("5")

    def peak(self) -> int:
        """Most resident bytes since ``forget_peak``."""
        lines = (line for pid in self.pids for line in Path(f"/proc/{pid}/status").read_text().splitlines())
        return sum(int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM:"))

    def stop(self) -> None:
        if self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(15)
            except subprocess.TimeoutExpired:
                pass
        try:
            os.killpg(self.process.pid, signal.SIGKILL)  # a session of our own making; usually there is nobody left in it
        except ProcessLookupError:
            pass
        self.process.wait()


def connections_of(pid: int, port: int) -> int:
    """How many clients are connected to this process at ``port`` (proc(5): /proc/net/tcp)."""
    found = [re.fullmatch(r"socket:\[(\d+)\]", os.readlink(file)) for file in Path(f"/proc/{pid}/fd").iterdir()]
    sockets = {match[1] for match in found if match}
    lines = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    return sum(int(line[1].split(":")[1], 16) == port and line[3] == ESTABLISHED and line[9] in sockets for line in lines)


def started_at(pid: int) -> int:
    """Ticks from the machine's start to that of a process: with its id, this is one process and no other."""
    return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19])


def cpu_of(pid: int) -> float:
    """Seconds of user and system time of a process: the count that /proc/PID/stat has in ticks, in nanoseconds."""
    return time.clock_gettime((~pid << 3) | 2)  # as clock_getcpuclockid(3) makes it


def cpu_of_thread(pid: int, thread: int) -> float:
    """The same of one thread."""
    return int(Path(f"/proc/{pid}/task/{thread}/schedstat").read_text().split()[0]) / 1e9


def launch(
    stack: ExitStack,
    name: str,
    command: Sequence[str | Path],
    home: Path,
    core: int | None = None,
    answers: Callable[[], bool] = lambda: True,
    environment: Mapping[str, str] | None = None,
) -> Running:
    """Start it, on one core if one is given, and wait until it answers; ``stack`` ends it."""
    home.mkdir(parents=True, exist_ok=True)
    log = home / f"{name}.log"
    pinned = [] if core is None else ["taskset", "-c", str(core)]
    with log.open("ab") as output:
        process = subprocess.Popen(
            ["setpriv", "--pdeathsig", "TERM", *pinned, *map(str, command)],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            cwd=home,
            env={**os.environ, **(environment or {})},
            start_new_session=True,
        )
    running = Running(name, process, log)
    stack.callback(running.stop)
    until = time.monotonic() + 60
    while not answers():
        if process.poll() is not None or time.monotonic() > until:
            raise SystemExit(f"bench: {name} did not start:\n{log.read_text(errors='replace')[-2000:]}")
        time.sleep(0.02)
    return running


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


def serves(port: int, head: bytes = b"GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n") -> Callable[[], bool]:
    """Whether 127.0.0.1:``port`` answers with a status of 2xx."""

    def ask() -> bool:
        try:
            with socket.create_connection(("127.0.0.1", port), 5) as connection:
                connection.sendall(head)
                return connection.recv(12)[9:10] == b"2"
        except OSError:
            return False

    return ask


def allow_many_files() -> int:
    """How many descriptors each process may have, raised as far as the machine allows; what is started inherits it."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    for wanted in (max(hard, MANY_FILES), hard):
        try:
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, wanted))
        except (ValueError, OSError):  # not ours to raise
            continue
        return wanted
    return resource.getrlimit(resource.RLIMIT_NOFILE)[0]
