"""Who gets a slot. ``max_stacks`` is an invariant: a slot is held by every stack that may be running, and by no other.

First come, first served: nobody starts before one who has waited for longer, even where he would fit and the other not. That
is fair enough, for a stack has one place in the queue however many ask for it, nobody waits for longer than the queue's
timeout, and how many stacks one client may have started is bounded before they queue (rates.py).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from itertools import accumulate, chain

from attrs import frozen

from .idleness import LEAVING, last_use, may_sleep
from .keys import Key
from .lifecycle import State
from .model import Limits, StackUse, Version
from .pressure import Accounts, fewest

_SETTLED = frozenset({State.READY.value, State.PAUSED.value})
_STARTING = frozenset({State.STARTING.value, State.PROBING.value, State.STOPPING_WANTED.value})


@frozen
class Newcomer:
    """A stack that waits for a slot."""

    app: str
    version: Version | None = None


@frozen
class Grant:
    """There is room for the first of the queue."""


@frozen
class EvictFirst:
    """Stop this one; ask again when its slot is free."""

    victim: Key


@frozen
class Wait:
    """Somebody will leave, fall idle or be old enough to give way: ask again when a slot is freed, or RECHECK seconds later."""

    why: str


@frozen
class Refuse:
    """Nobody can give way to the first of the queue, and nobody is about to."""

    why: str


Verdict = Grant | EvictFirst | Wait | Refuse

RECHECK = 0.25  # seconds


def slot(
    now: float,
    holders: Sequence[StackUse],
    queue: Sequence[Newcomer],
    limits: Limits,
    accounts: Accounts | None = None,
) -> Verdict:
    """What to do next for those who wait.

    The one with the oldest last request gives way; never one that is busy, pinned, starting, let be on request, or younger
    than ``limits.min_uptime``. Before that one go older commits of a branch of which a newer one runs or is asked for; after
    all others, those that are to be kept warm.

    :param holders: the stacks that hold a slot.
    :param queue: those who wait, in order; at least one. What is being freed is for the first of them, and so on: who gives way
        does so for the first for whom it is not enough.
    :param accounts: of memory; None if it is not looked at. A start on a machine that has nothing else to run always fits.
    """
    starting = sum(holder.state in _STARTING for holder in holders)
    if limits.max_starting:
        if starting >= limits.max_starting:
            return Wait(f"{starting} stacks are starting, and no more may at once")
        queue = queue[: limits.max_starting - starting]
    lacking, coming = _memory(holders, queue, limits, accounts)
    free = limits.max_stacks - len(holders)  # less than 0 when some were adopted over the cap: the next to leave pay that back
    if free > 0 and lacking[0] <= 0:
        return Grant()
    leaving = sum(holder.state in LEAVING for holder in holders)
    slots = max(0, free + leaving)
    place = next((place for place in range(len(queue)) if place >= slots or lacking[place] > coming), None)
    if place is None:
        return Wait("those that give way have yet to stop")
    willing = [holder for holder in holders if may_sleep(now, holder, limits)]
    if place >= slots and not willing and all(holder.state in _SETTLED for holder in holders):
        return Refuse(f"all {limits.max_stacks} places are taken, by stacks that are in use or pinned")
    grown = [holder for holder in willing if holder.ready_since is None or now - holder.ready_since >= limits.min_uptime]
    frees, room = (accounts.frees, accounts.room) if accounts is not None else (_nothing, _nothing)
    newer = _newest(holders, queue)
    grown.sort(key=lambda h: (not _outdated(h.key.app, h.version, newer), h.warm, last_use(h), -frees(h)))
    short = lacking[place] - coming
    if short > 0 and sum(map(room, grown)) < short and len(grown) + leaving < len(holders):
        return Wait(f"there is not enough memory: {_mib(lacking[0])} more would have to be free")
    if not grown:
        return Wait("none of the stacks that run can give way yet")
    return EvictFirst((fewest(grown, short, room) or grown)[0].key)


def _memory(
    holders: Sequence[StackUse], queue: Sequence[Newcomer], limits: Limits, accounts: Accounts | None
) -> tuple[list[int], int]:
    """What is lacking for each of the queue and those before it, and what of that is about to be freed."""
    if accounts is None or not holders:
        return [0] * len(queue), 0
    lacking = accounts.lacking(holders, limits)
    return [lacking + needed for needed in accumulate(accounts.need(one.app) for one in queue)], accounts.leaving(holders)


def _nothing(stack: StackUse) -> int:
    return 0


Branches = Mapping[tuple[str, str], float]


def _newest(holders: Iterable[StackUse], queue: Iterable[Newcomer]) -> Branches:
    """When the newest of each app's branches was built, of those that run or are asked for."""
    newest: dict[tuple[str, str], float] = {}
    for app, version in chain(((h.key.app, h.version) for h in holders), ((one.app, one.version) for one in queue)):
        if version is not None and version.branch and version.created is not None:
            branch = app, version.branch
            newest[branch] = max(version.created, newest.get(branch, version.created))
    return newest


def _outdated(app: str, version: Version | None, newest: Branches) -> bool:
    """Whether there is a newer commit of its branch."""
    if version is None or not version.branch or version.created is None:
        return False
    return version.created < newest[app, version.branch]


def _mib(size: int) -> str:
    return f"{max(1, round(size / 2**20))} MiB"
