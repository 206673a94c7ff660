"""Where workers and their gateway find each other, how they know who is there, and what they share: files of the state
directory."""

from __future__ import annotations

import fcntl
import os
import secrets
import time
from collections.abc import Callable
from pathlib import Path

SECRET_SIZE = 32  # bytes
LONGEST_ADDRESS = 100  # bytes; the address of a UNIX socket has room for 107 (unix(7))


class Taken(Exception):
    """Another process has it. ``holder`` is what that has written down: its process id."""

    def __init__(self, holder: str) -> None:
        super().__init__(holder)
        self.holder = holder


def hold(path: Path, patience: float = 0.0, sleep: Callable[[float], None] = time.sleep) -> int:
    """Take the lock that this file stands for, until the descriptor that is returned is closed, or the process ends.

    :param patience: seconds to wait for another to let go of it. Blocks: to be used before the reactor runs.
    :raises Taken: if another has it.
    """
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    until = time.monotonic() + patience
    while not _lock(descriptor):
        if time.monotonic() >= until:
            holder = os.pread(descriptor, 20, 0).decode("ascii", "replace").strip()
            os.close(descriptor)
            raise Taken(holder)
        sleep(0.05)
    os.truncate(descriptor, 0)
    os.pwrite(descriptor, str(os.getpid()).encode("ascii"), 0)
    return descriptor


def share(path: Path) -> int:
    """Take a lock that others may take too, and that none can ``hold``, until the process ends."""
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    fcntl.flock(descriptor, fcntl.LOCK_SH)
    return descriptor


def held(path: Path) -> bool:
    """Whether somebody has the lock."""
    try:
        descriptor = os.open(path, os.O_RDWR)
    except FileNotFoundError:
        return False
    try:
        return not _lock(descriptor)
    finally:
        os.close(descriptor)


def _lock(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def slot_lock(state: Path, slot: int) -> Path:
    return state / f"worker-{slot}.lock"


def secret(path: Path) -> bytes:
    """SECRET_SIZE random bytes that stay the same, for nobody else to read. Made when first asked for; who asks holds the lock
    of the directory. Raises OSError, and ValueError for a file that is no secret of ours."""
    if not path.exists():
        fresh = path.with_suffix(".new")
        fresh.unlink(missing_ok=True)
        descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.write(secrets.token_bytes(SECRET_SIZE))
            file.flush()
            os.fsync(descriptor)
        fresh.rename(path)
    found = path.read_bytes()
    if len(found) != SECRET_SIZE:
        raise ValueError(f"{path} has {len(found)} bytes, and not the {SECRET_SIZE} of a secret")
    return found


def address(socket: Path) -> str:
    """The address of a UNIX socket, in a form that is short enough however deep its directory is (on Linux)."""
    if len(os.fsencode(socket)) <= LONGEST_ADDRESS:
        return str(socket)
    directory = os.open(socket.parent, os.O_RDONLY | os.O_DIRECTORY)  # kept open: it is the address
    return f"/proc/self/fd/{directory}/{socket.name}"


def alive(pid: int) -> bool:
    """Whether this process runs; one that has ended and only waits for its parent does not."""
    try:
        os.kill(pid, 0)
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except (ProcessLookupError, FileNotFoundError, IndexError):
        return False
    except (PermissionError, NotADirectoryError):
        return True
    return state not in ("Z", "X")
