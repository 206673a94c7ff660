"""Who gets a slot. ``max_stacks`` is an invariant: a slot is held by every stack that may be running, and by no other."""

from __future__ import annotations

from collections.abc import Sequence

from attrs import frozen

from .idleness import LEAVING, busy, last_use
from .keys import Key
from .lifecycle import State
from .model import Limits, StackSnapshot

_SETTLED = frozenset({State.READY.value, State.PAUSED.value})


@frozen
class Grant:
    """There is room."""


@frozen
class EvictFirst:
    """Stop this one; ask again when its slot is free."""

    victim: Key


@frozen
class Wait:
    """Somebody will leave, fall idle or be old enough to give way: ask again when a slot is freed, or RECHECK seconds later."""


@frozen
class Refuse:
    """Nobody can give way, and nobody is about to."""

    why: str


Verdict = Grant | EvictFirst | Wait | Refuse

RECHECK = 0.25  # seconds


def slot(now: float, holders: Sequence[StackSnapshot], ahead: int, limits: Limits) -> Verdict:
    """Whether one more stack may start.

    :param holders: the stacks that hold a slot.
    :param ahead: how many wait in the queue before this one; slots that are being freed are theirs first.

    The one with the oldest last request gives way; never one that is busy, pinned, starting, or younger than
    ``limits.min_uptime``.
    """
    if len(holders) < limits.max_stacks:
        return Grant()
    overdrawn = len(holders) - limits.max_stacks  # stacks adopted over the cap: the next to leave pay that back first
    if sum(holder.state in LEAVING for holder in holders) > ahead + overdrawn:
        return Wait()
    willing = [h for h in holders if h.state in _SETTLED and not h.pinned and not busy(now, h, limits)]
    grown = [h for h in willing if h.ready_since is None or now - h.ready_since >= limits.min_uptime]
    if grown:
        return EvictFirst(min(grown, key=last_use).key)
    if not willing and all(h.state in _SETTLED for h in holders):
        return Refuse("each of them is in use or pinned")
    return Wait()
