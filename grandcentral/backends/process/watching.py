"""One process, ours or adopted: to be told when it ends, and to signal exactly it.

.. rubric:: Why not ``reactor.spawnProcess``

It knows children only, by SIGCHLD, and gives them pipes. The processes of a stack must outlive a gateway that is killed, so
they write to files; and the next gateway must see them end although they are not its children. A pidfd (pidfd_open(2),
Linux 5.3) does both in one way: it is readable from the moment the process has ended, and a signal sent through it cannot hit
another process that has got the number since. ``waitid`` on it reaps exactly that child, so Twisted's own reaper, which
waits for the pids that it has started, is not disturbed.
"""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from twisted.internet.defer import CancelledError, Deferred, TimeoutError
from twisted.internet.interfaces import IReadDescriptor
from twisted.python.failure import Failure
from zope.interface import implementer

from . import proc


@implementer(IReadDescriptor)
class Process:
    """A running process. Its exit status is that of the ``wait`` family: negative for the signal that ended it.

    :param reactor: IReactorFDSet.
    :param pidfd: is ours from now on.
    """

    def __init__(self, reactor: Any, pid: int, started: int, pidfd: int) -> None:
        self.pid = pid
        self.started = started
        self.running = True
        self._status: int | None = None
        self._reactor = reactor
        self._pidfd = pidfd
        self._waiting: list[Deferred[int | None]] = []
        reactor.addReader(self)

    @classmethod
    def adopt(cls, reactor: Any, pid: int, started: int) -> Process | None:
        """Watch a process that is there; None if it has ended (the number may be another's by now)."""
        try:
            pidfd = os.pidfd_open(pid)
        except ProcessLookupError:
            return None
        seen = proc.look(pid)  # after the pidfd: what is seen now is what the pidfd holds
        if seen is None or seen.started != started or not seen.alive:
            os.close(pidfd)
            return None
        return cls(reactor, pid, started, pidfd)

    def ended(self) -> Deferred[int | None]:
        """Fires with the exit status when the process has ended; None where nobody could know: it was not our child."""
        waiting: Deferred[int | None] = Deferred(self._forget)
        if self.running:
            self._waiting.append(waiting)
        else:
            waiting.callback(self._status)
        return waiting

    def signal(self, number: int) -> None:
        """Send a signal to this process; to nobody if it has ended."""
        if self.running:
            try:
                signal.pidfd_send_signal(self._pidfd, number)
            except (ProcessLookupError, PermissionError):
                pass  # it has just ended; or become another user's, and whoever needs it gone will see that it stays

    def let_go(self) -> None:
        """Stop watching; the process stays as it is. ``ended`` will not fire any more."""
        if self.running:
            self.running = False
            self._reactor.removeReader(self)
            os.close(self._pidfd)

    def _forget(self, waiting: Deferred[int | None]) -> None:
        if waiting in self._waiting:
            self._waiting.remove(waiting)

    # IReadDescriptor

    def fileno(self) -> int:
        return self._pidfd

    def logPrefix(self) -> str:
        return f"process {self.pid}"

    def doRead(self) -> None:
        try:
            result = os.waitid(os.P_PIDFD, self._pidfd, os.WEXITED | os.WNOHANG)
        except ChildProcessError:
            result = None  # not our child, or reaped through another pidfd of ours
        if result is not None:
            self._status = result.si_status if result.si_code == os.CLD_EXITED else -result.si_status
        self.let_go()
        waiting, self._waiting = self._waiting, []
        for one in waiting:
            if not one.called:  # cancelled by what an earlier one led to
                one.callback(self._status)

    def connectionLost(self, reason: Failure) -> None:
        self.let_go()


def spawn(
    reactor: Any, command: Sequence[str], directory: Path, environment: Mapping[str, str], output: Path, *, fresh: bool = False
) -> Process:
    """Start a program in a session of its own, with its output added to a file. Raises OSError if it cannot be started.

    :param fresh: empty the file first.
    """
    # Appending, so that the file can be emptied under the writer (see logs.py); unbuffered by us, so that nothing is lost.
    with open(output, "wb" if fresh else "ab") as file:
        child = subprocess.Popen(
            command,
            cwd=directory,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=file,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    # Not reaped by anybody yet, so the number is still its own.
    pidfd = os.pidfd_open(child.pid)
    seen = proc.look(child.pid)
    assert seen is not None
    child.returncode = 0  # tells Popen that the reaping is not its business; otherwise its destructor would try
    return Process(reactor, child.pid, seen.started, pidfd)


async def finished(process: Process, reactor: Any, within: float | None = None) -> int | None:
    """The exit status of a short-lived program.

    Raises TimeoutError after ``within`` seconds and CancelledError when cancelled; by then it has been killed and has ended.
    """
    ended = process.ended()
    if within is not None:
        ended.addTimeout(within, reactor)
    try:
        return await ended
    except (CancelledError, TimeoutError):
        os.killpg(process.pid, signal.SIGKILL)  # not yet reaped: the number is still its own
        await process.ended()
        raise
