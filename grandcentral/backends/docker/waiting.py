"""Small tools for coroutines that wait together: facts that many wait for, and many that fail as one."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Any, Generic, Protocol, TypeVar

from twisted.internet.defer import Deferred, DeferredList, FirstError, gatherResults
from twisted.internet.interfaces import IDelayedCall

T = TypeVar("T")


class Clock(Protocol):
    """The part of a reactor that tells and keeps time (IReactorTime)."""

    def seconds(self) -> float: ...

    def callLater(self, delay: float, callable: Callable[..., object], *args: object, **kwargs: object) -> IDelayedCall: ...


class Reactor(Clock, Protocol):
    """... and the part that threads may speak to (IReactorFromThreads)."""

    def callFromThread(self, callable: Callable[..., object], *args: object, **kwargs: object) -> None: ...


class Fact(Generic[T]):
    """Something that comes to be known once. Each who waits has a Deferred of his own, and may cancel it."""

    def __init__(self) -> None:
        self._known: list[T] = []
        self._waiting: list[Deferred[T]] = []

    def come(self, value: T) -> None:
        """It is known now. What comes later does not count."""
        if not self._known:
            self._known.append(value)
            waiting, self._waiting = self._waiting, []
            for one in waiting:
                one.callback(value)

    def wait(self) -> Deferred[T]:
        waiter: Deferred[T] = Deferred(self._forget)
        if self._known:
            waiter.callback(self._known[0])
        else:
            self._waiting.append(waiter)
        return waiter

    def _forget(self, waiter: Deferred[T]) -> None:
        self._waiting.remove(waiter)


async def together(*coroutines: Coroutine[Deferred[Any], Any, T]) -> list[T]:
    """Run all at once; their results, in order. The first failure cancels the others, and so does being cancelled.

    It is over, well or not, when every one of them is over: nothing goes on behind the caller's back.
    """
    running = [Deferred.fromCoroutine(coroutine) for coroutine in coroutines]
    try:
        return await gatherResults(running, consumeErrors=True)
    except FirstError as first:
        for one in running:
            one.cancel()
        await DeferredList(running)  # to cancel this one is to cancel them again: it still waits for all of them
        first.subFailure.raiseException()
    raise AssertionError("raiseException raises")


def sleep(clock: Clock, seconds: float) -> Deferred[None]:
    """Fires with None after ``seconds``."""

    def wake() -> None:
        done.callback(None)

    call = clock.callLater(seconds, wake)
    done: Deferred[None] = Deferred(lambda _: call.cancel())
    return done
