"""Blocking calls of the engine, off the reactor: a bounded pool of threads for each class of call, a client for each thread.

A pull takes minutes and a stop as long as it is given; neither may keep an inspect waiting.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from functools import partial
from typing import Any, Generic, TypeVar

from attrs import frozen
from twisted.internet.defer import CancelledError
from twisted.python.threadpool import ThreadPool

from ...errors import EngineUnavailable
from .client import Client
from .lines import Lines
from .translate import translated
from .waiting import Fact, Reactor

T = TypeVar("T")


@frozen
class Lane:
    """One class of call: how many run at once, and how many seconds one answer may take."""

    name: str
    threads: int
    timeout: int


QUICK = Lane("quick", 8, 15)  # inspect, list, logs, exec
LIFECYCLE = Lane("lifecycle", 8, 120)  # create, start, pause, remove
STOP = Lane("stop", 16, 60)  # a stop with grace waits for the service: its grace comes on top of these seconds
PULL = Lane("pull", 32, 60)  # one whose registry stalls keeps its thread; how many downloads there are at once is the engine's
HOOK = Lane("hook", 8, 60)  # commands that run before a stop, for as long as they are given
ACCOUNT = Lane("account", 4, 15)  # what containers use, asked of all of them at once

LANES = (QUICK, LIFECYCLE, STOP, PULL, HOOK, ACCOUNT)

GRACE = 0.5  # seconds that calls under way have to end when we close, before their connections are cut
LAST = 0.3  # and after that, before their threads are left behind: one may still be connecting, which nothing ends


class Threads(ThreadPool):
    """Threads that do not keep the process from ending."""

    threadFactory = staticmethod(partial(threading.Thread, daemon=True))  # type: ignore[assignment]


class Calls:
    """Use: ``await calls.quick(lambda client: client.inspect_container(id))``. Fails with Mishaps.

    Cancelling a call takes it out of the queue, or waits for it: a call that has failed with CancelledError does nothing to
    the engine any more. (``deferToThreadPool`` would fail at once, and the thread would go on creating things.)
    """

    def __init__(self, reactor: Reactor, base_url: str) -> None:
        self._reactor = reactor
        self._base_url = base_url
        self._pools = {lane: Threads(0, lane.threads, f"docker {lane.name}") for lane in LANES}
        self._clients: dict[Lane, threading.local] = {lane: threading.local() for lane in self._pools}
        self._opened: list[Client] = []
        self._lines = Lines()
        self._version = "auto"  # then what the engine speaks
        self._open = False
        self._under_way = 0
        self._idle: Fact[None] = Fact()

    def start(self) -> None:
        for pool in self._pools.values():
            pool.start()
        self._open = True

    async def stop(self) -> None:
        """Take no more calls, end the threads. Calls under way have GRACE seconds; then they fail, whatever the engine makes of
        them. What it made is found by the next gateway, as after a crash."""
        was_open, self._open = self._open, False
        if self._under_way:
            late = self._reactor.callLater(GRACE, self._lines.cut), self._reactor.callLater(GRACE + LAST, self._idle.come, None)
            await self._idle.wait()
            for timer in late:
                if timer.active():
                    timer.cancel()
        for pool in self._pools.values() if was_open else ():
            if not (self._under_way and pool.working):
                pool.stop()  # joins its threads: they are idle, or will be as soon as they have looked
        while self._opened:
            self._opened.pop().close()

    async def quick(self, call: Callable[[Client], T]) -> T:
        return await self._call(QUICK, call)

    async def lifecycle(self, call: Callable[[Client], T]) -> T:
        return await self._call(LIFECYCLE, call)

    async def patient_stop(self, call: Callable[[Client], T]) -> T:
        return await self._call(STOP, call)

    async def account(self, call: Callable[[Client], T]) -> T:
        return await self._call(ACCOUNT, call)

    async def pull(self, call: Callable[[Client], T], abort: Callable[[], None]) -> T:
        """Cancelled, it calls ``abort`` and is over at once: what goes on for a moment is the engine's download only."""
        return await self._call(PULL, call, abort)

    async def hook(self, call: Callable[[Client], T], abort: Callable[[], None]) -> T:
        """Cancelled, it calls ``abort`` and is over at once: the command itself may go on, until somebody kills it."""
        return await self._call(HOOK, call, abort)

    async def _call(self, lane: Lane, call: Callable[[Client], T], abort: Callable[[], None] | None = None) -> T:
        if not self._open:
            raise EngineUnavailable(f"The gateway has let go of the Docker engine at {self._base_url}.")
        turn: Turn[T] = Turn(lambda: self._attempt(lane, call))
        ended: Fact[Outcome[T]] = Fact()
        self._under_way += 1

        def end(outcome: Outcome[T]) -> None:
            self._under_way -= 1
            if not self._under_way and not self._open:
                self._idle.come(None)
            ended.come(outcome)

        self._pools[lane].callInThread(lambda: self._reactor.callFromThread(end, turn.take()))
        cancelled = False
        while True:
            try:
                outcome = await ended.wait()
            except CancelledError:
                cancelled = True
                if turn.withdraw():
                    raise
                if abort is not None:
                    abort()
                    raise
            else:
                if cancelled:
                    raise CancelledError
                return outcome()

    def _attempt(self, lane: Lane, call: Callable[[Client], T]) -> T:
        """In a thread: ``call`` with this thread's client."""
        here: Any = self._clients[lane]
        try:
            if not hasattr(here, "client"):
                here.client = Client(self._base_url, lane.timeout, self._lines, self._version)
                self._version = here.client.api_version
                self._opened.append(here.client)
            return call(here.client)
        except Exception as error:
            mishap = translated(error, self._base_url)
            if mishap is None:
                raise
            if isinstance(mishap, EngineUnavailable) and hasattr(here, "client"):
                self._version = "auto"  # the engine that comes back may speak another: ask it anew
                self._opened.remove(here.client)
                here.client.close()
                del here.client
            raise mishap from error


Outcome = Callable[[], T]


class Turn(Generic[T]):
    """A call that waits for a thread: either a thread takes it, or whoever asked for it withdraws it."""

    def __init__(self, work: Callable[[], T]) -> None:
        self._work = work
        self._decided = threading.Lock()

    def withdraw(self) -> bool:
        """Whether it will never run."""
        return self._decided.acquire(blocking=False)

    def take(self) -> Outcome[T]:
        """Run it, unless withdrawn: a function that returns what it returned, or raises what it raised."""
        if not self._decided.acquire(blocking=False):
            return withdrawn
        try:
            result = self._work()
        except BaseException as caught:
            error = caught
        else:
            return lambda: result

        def fail() -> T:
            raise error

        return fail


def withdrawn() -> Any:
    raise CancelledError
