"""Ending, freezing and thawing all processes of a stack, whoever started them."""

from __future__ import annotations

import signal
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any

from twisted.internet.defer import Deferred, DeferredList
from twisted.internet.task import deferLater

from ...errors import EngineUnavailable
from .home import Running
from .proc import Seen
from .watching import Process

KILLED_WITHIN = 1.0  # seconds; what is killed and does not end waits for a disk or a network drive
ROUNDS = 10  # of looking again: what forks while it is killed is caught by the next
_FREEZES_WITHIN = 0.002  # seconds

Look = Callable[[], Awaitable[Sequence[Seen]]]


async def end(reactor: Any, look: Look, services: Mapping[str, Running], grace: bool) -> None:
    """End every process that ``look`` finds, until it finds none.

    :param services: what the stack was started as; says in which order, by which signal, and for how long its sessions are
        asked to end.
    :param grace: ask first.
    :raises EngineUnavailable: some process does not end, although killed.
    """
    if grace:
        await _ask(reactor, look, services)
    members = await look()
    for _ in range(ROUNDS):
        if not members:
            return
        await _ended(reactor, members, lambda seen: signal.SIGKILL, KILLED_WITHIN)
        members = await look()
    if members:
        pids = ", ".join(str(seen.pid) for seen in members)
        raise EngineUnavailable(f"These processes were killed and do not end: {pids}.")


async def _ask(reactor: Any, look: Look, services: Mapping[str, Running]) -> None:
    """Ask all to end: the last wave first, and after the waves whatever has left its session."""
    members = await look()
    _signal(reactor, [seen for seen in members if seen.stopped], signal.SIGCONT)  # who ends may need who ends later
    polite = {service.pid: service for service in services.values()}
    for wave in sorted({service.wave for service in services.values()}, reverse=True):
        asked = [seen for seen in members if seen.session in polite and polite[seen.session].wave == wave]
        if asked:
            patience = max(polite[seen.session].grace for seen in asked)
            await _ended(reactor, asked, lambda seen: polite[seen.session].stop_signal, patience)
            members = await look()
    if strays := [seen for seen in members if seen.session not in polite]:
        patience = max((service.grace for service in services.values()), default=0.0)
        await _ended(reactor, strays, lambda seen: signal.SIGTERM, patience)


async def freeze(reactor: Any, look: Look) -> bool:
    """Stop all, until none runs. False if there is none."""
    for _ in range(ROUNDS):
        members = await look()
        running = [seen for seen in members if not seen.stopped]
        if not running:
            return bool(members)
        _signal(reactor, running, signal.SIGSTOP)
        await deferLater(reactor, _FREEZES_WITHIN)
    raise EngineUnavailable("Some of the processes cannot be stopped.")


async def thaw(reactor: Any, look: Look) -> None:
    """Let all run again."""
    _signal(reactor, await look(), signal.SIGCONT)


async def _ended(reactor: Any, members: Sequence[Seen], number: Callable[[Seen], int], within: float) -> None:
    """Signal each; wait until all have ended, or time is up. Cancelled, it ends there, and those who are left go on."""
    processes = [(seen, Process.adopt(reactor, seen.pid, seen.started)) for seen in members]
    there = [(seen, process) for seen, process in processes if process is not None]
    for seen, process in there:
        process.signal(number(seen))
        process.signal(signal.SIGCONT)  # a frozen process hears of nothing else than SIGKILL before it runs again
    # When time is up, this ends all the same; whoever is left is found by the next look.
    over: Deferred[None] = Deferred()
    timer = reactor.callLater(within, over.callback, None)

    def all_ended(_: object) -> None:
        if not over.called:
            over.callback(None)

    DeferredList([process.ended() for _, process in there]).addCallback(all_ended)
    try:
        await over
    finally:
        if timer.active():
            timer.cancel()
        for _, process in there:
            process.let_go()


def _signal(reactor: Any, members: Sequence[Seen], number: int) -> None:
    for seen in members:
        process = Process.adopt(reactor, seen.pid, seen.started)
        if process is not None:
            process.signal(number)
            process.let_go()
