"""When memory or disk is short: who gives way, and whether a start would fit. Sizes are bytes.

A start that was let in takes its memory only in time, so it is counted at once as what its app is known to need: the *growth*
of a stack is what it may still take beyond what it was last seen to use.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence

from attrs import frozen

from .idleness import HOLDING, LEAVING, STOPPED, Remove, Stop, last_use, may_sleep
from .keys import Key
from .model import Limits, StackSpec, StackUse

STALLED = 20.0  # per cent; above, the kernel spends so much time on finding memory that a stack gives way
AMPLE = 0.25  # of all memory: with so much available, what stalls has come to a limit of its own
REMOVED_AT_ONCE = 2  # stacks; then the disk is looked at again

Frees = Callable[[StackUse], int]


@frozen
class Memory:
    """Of the machine, or of the control group that bounds it further."""

    total: int
    available: int  # could be had without swapping
    stalled: float = 0.0  # per cent of the last ten seconds in which something waited for memory; 0 where that is not told


@frozen
class Accounts:
    """What is known about memory at one instant."""

    memory: Memory
    usage: Mapping[Key, int]  # of the stacks that were weighed
    needs: Mapping[str, int]  # by app: what one of its stacks is expected to take

    def need(self, app: str) -> int:
        return self.needs.get(app, 0)

    def frees(self, stack: StackUse) -> int:
        """What there will be more when it has stopped. One that was not weighed yet is taken for one like the others."""
        return self.usage.get(stack.key, self.need(stack.key.app))

    def room(self, stack: StackUse) -> int:
        """What there will be more for a start: what it takes, and what it may still take."""
        return max(self.frees(stack), self.need(stack.key.app))

    def leaving(self, holders: Iterable[StackUse]) -> int:
        """What there will be more when those have stopped that are about to."""
        return sum(self.frees(stack) for stack in holders if stack.state in LEAVING)

    def lacking(self, holders: Iterable[StackUse], limits: Limits) -> int:
        """What is missing when those that hold a slot have taken what they need; below 0: what is left for others."""
        staying = (stack for stack in holders if stack.state not in LEAVING)
        growth = sum(max(0, self.need(stack.key.app) - self.usage.get(stack.key, 0)) for stack in staying)
        return limits.memory_min_free + growth - self.memory.available


def declared(spec: StackSpec) -> int:
    """The most that a stack may take by the limits of its services; 0 if none has one."""
    return sum(service.memory or 0 for service in spec.services)


def fewest(stacks: Sequence[StackUse], lacking: int, frees: Frees) -> list[StackUse]:
    """The first of ``stacks`` that free so much together, less those of them that are not needed for it.

    All that free anything, if that is not enough.
    """
    taken: list[StackUse] = []
    for stack in stacks:
        if lacking <= 0:
            break
        if frees(stack) > 0:
            taken.append(stack)
            lacking -= frees(stack)
    for stack in reversed(taken.copy()):
        if frees(stack) <= -lacking:
            taken.remove(stack)
            lacking += frees(stack)
    return taken


def relieve(now: float, stacks: Iterable[StackUse], accounts: Accounts, limits: Limits) -> tuple[Stop, ...]:
    """Which idle stacks to stop because memory is short, before the kernel chooses: no more of them than it takes.

    In the order of how long they are idle, what they free and how long they have been up; warm ones last. Here even those
    younger than ``limits.min_uptime`` are not spared: the kernel would not spare them.

    What a stack takes may not be known, and what stalls is an average of the past: one at a time goes for that.

    :param stacks: those of apps that may be put to sleep.
    """
    holders = [stack for stack in stacks if stack.state in HOLDING]
    idle = [stack for stack in holders if may_sleep(now, stack, limits)]
    idle.sort(key=lambda stack: (stack.warm, last_use(stack), -accounts.frees(stack), stack.ready_since or 0.0))
    lacking = limits.memory_min_free - accounts.memory.available - accounts.leaving(holders)
    victims = fewest(idle, lacking, accounts.frees)
    if not victims and (lacking > 0 or stalls(accounts.memory)) and not any(stack.state in LEAVING for stack in holders):
        victims = idle[:1]
    return tuple(Stop(stack.key, stack.generation, "memory") for stack in victims)


def stalls(memory: Memory) -> bool:
    """Whether the machine is busy finding memory, though it may not look short of it."""
    return memory.stalled > STALLED and memory.available < AMPLE * memory.total


def discard(stacks: Collection[StackUse]) -> tuple[Remove, ...]:
    """Which stopped stacks to remove because a disk is full: the least recently used, few at once; none pinned or warm."""
    stopped = [stack for stack in stacks if stack.state == STOPPED and not (stack.pinned or stack.warm)]
    stopped.sort(key=last_use)
    return tuple(Remove(stack.key, stack.generation, "disk") for stack in stopped[:REMOVED_AT_ONCE])
